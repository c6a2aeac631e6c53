"""Checks of tasks."""

import numpy as np

from taglm_core.data.config import DataConfig
from taglm_core.data.rows import load_task_rows
from taglm_core.errors import DataError, counted
from taglm_core.specs import Classification, Regression
from taglm_core.specs.reference import resolve
from taglm_core.testing.contract.context import SAMPLE_ROWS, Subject
from taglm_core.testing.contract.outcomes import demand
from taglm_core.testing.contract.report import Rule
from taglm_core.training.settings import brought_settings


def resolves(subject: Subject) -> None:
    """Template, domains, metrics and split that the task names are found and fit together."""
    subject.context.resolved(subject.item)


def dataset_found(subject: Subject) -> None:
    """The dataset that the task names is registered."""
    subject.context.dataset_of(subject.item)


def settings_known(subject: Subject) -> None:
    """The settings that the task brings are settings of `stages.task`, each of its kind."""
    brought_settings(subject.item)


def labels_computed(subject: Subject) -> None:
    """Computed labels are one finite number (or class) a row and target, and not all equal."""
    resolved = subject.context.resolved(subject.item)
    target = subject.spec.target
    fields = subject.context.fields(subject.item, resolved)
    count = len(next(iter(fields.values())))
    labels = resolve(target.compute, f"task {subject.item.name}, target")(fields)
    demand(
        len(labels) == count,
        f"`compute` gives {len(labels)} labels for {count} rows; give one a row.",
    )
    if isinstance(target, Classification):
        names = [name for name in labels if name is not None]
        unknown = sorted({str(name) for name in names} - set(target.classes or map(str, names)))
        demand(not unknown, f"`compute` gives the class {unknown}, not among {target.classes}.")
        distinct = len(set(names))
    else:
        values = np.asarray(labels, dtype=np.float64)
        shape = (count, len(target.names))
        demand(
            values.shape == shape,
            f"`compute` gives the shape {values.shape}; give {shape}, one column for each of "
            f"{', '.join(target.names)}.",
        )
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        place = int(bad[0]) if len(bad) else 0
        demand(
            not len(bad),
            f"`compute` gives {values[place].tolist()} for row {place + 1} of the task's own "
            "dataset. NaN is for rows that have no label: leave them out of the dataset.",
        )
        distinct = min(len(np.unique(values[:, k])) for k in range(values.shape[1]))
    demand(
        distinct > 1, "all labels are equal: there is nothing to learn. Vary the dataset's rows."
    )


def labels_alone(subject: Subject) -> None:
    """The computed label of a row does not depend on the rows beside it."""
    resolved = subject.context.resolved(subject.item)
    fields = subject.context.fields(subject.item, resolved)
    compute = resolve(subject.spec.target.compute, f"task {subject.item.name}, target")
    together = compute(fields)
    for place in (0, len(together) - 1):
        alone = compute({name: [rows[place]] for name, rows in fields.items()})
        is_same = (
            np.allclose(np.asarray(alone[0], float), np.asarray(together[place], float))
            if isinstance(subject.spec.target, Regression)
            else alone[0] == together[place]
        )
        demand(
            is_same,
            f"the label of row {place + 1} is {together[place]} in a batch and {alone[0]} alone. "
            "Compute each row by itself.",
        )


def rows_usable(subject: Subject) -> None:
    """Every row of the task's dataset can be used, and train, valid and test get some."""
    subject.context.table(subject.context.dataset_of(subject.item))  # skips when out of reach
    resolved = subject.context.resolved(subject.item)
    try:
        settings = DataConfig(size=SAMPLE_ROWS, on_error="skip")
        rows = load_task_rows(resolved, subject.registry, settings, 0)
    except DataError as error:
        if "leaves no rows" not in str(error):
            raise
        rows = load_task_rows(resolved, subject.registry, DataConfig(on_error="skip"), 0)
    demand(
        not rows.rejected,
        f"{counted(len(rows.rejected), 'row')} of {rows.source} cannot be used, the first is row "
        f"{rows.rejected[0][0] if rows.rejected else 0}: "
        f"{rows.rejected[0][1] if rows.rejected else ''}. Fix the dataset or leave them out.",
    )


def _computes(subject: Subject) -> bool:
    return getattr(subject.spec.target, "compute", None) is not None


CHECKS = (
    Rule(resolves),
    Rule(dataset_found),
    Rule(settings_known),
    Rule(labels_computed, _computes),
    Rule(labels_alone, _computes),
    Rule(rows_usable),
)
