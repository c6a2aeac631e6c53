"""Names and values of prediction columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from taglm_core.data.columns import OWN_COLUMNS
from taglm_core.data.measured import label_word
from taglm_core.data.targets import class_words
from taglm_core.errors import ConfigError
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Regression


def prediction_names(task: ResolvedTask, classes: Sequence[str]) -> list[str]:
    """Return the columns that a task's predictions fill, in order."""
    target = task.spec.target
    if isinstance(target, Regression) and len(target.names) > 1:
        return [f"{task.name}.{name}" for name in target.names]
    if isinstance(target, Classification) and target.multi_label:
        return [f"{task.name}.{name}" for name in target.names]
    if isinstance(target, Classification):
        return [task.name, *(f"{task.name}.{name}" for name in classes)]
    return [task.name]


def check_names(task: ResolvedTask) -> None:
    """Refuse a task or target that is named like a field, whose column predictions would take.

    Case does not count, since columns are found without regard to it.

    Raises:
        ConfigError: naming both, before anything is trained.
    """
    target = task.spec.target
    columns = prediction_names(task, getattr(target, "classes", None) or ())
    names = list(columns)
    if isinstance(target, Regression | Classification):
        columns += [f"{name}.{label_word(task)}" for name in target.names]
    taken = {}
    for field in task.fields:
        for column in [field, *field_columns(task, field, [])]:
            taken[column.lower()] = column
    for name in columns:
        if name.lower() in taken:
            raise ConfigError(
                f"task {task.name}: its predictions would fill the column '{name}', but the field "
                f"'{taken[name.lower()]}' has that name. Give the task another name, for example "
                f"--set task.name={task.name}_predicted."
            )
    reserved = [name for name in [*names, *taken.values()] if name.lower() in OWN_COLUMNS]
    if reserved:
        raise ConfigError(
            f"task {task.name}: the name '{reserved[0]}' is taken by a column that taglm adds to "
            f"predictions ({', '.join(OWN_COLUMNS)}). Choose another name."
        )
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ConfigError(
            f"task {task.name}: two predictions are named '{twice[0]}'. Give each target its own "
            "name."
        )


def prediction_columns(
    task: ResolvedTask, classes: Sequence[str], prediction: np.ndarray | list[str]
) -> dict[str, list[Any]]:
    """Return the columns of predictions.

    Args:
        task: The task.
        classes: Class names, for classification.
        prediction: `(rows, targets)` values, `(rows, classes)` or `(rows, labels)` probabilities;
            texts for a text task.
    """
    names = prediction_names(task, classes)
    target = task.spec.target
    if isinstance(prediction, list):
        return {names[0]: prediction}
    if isinstance(target, Classification) and not target.multi_label:
        best = class_words(prediction.argmax(axis=1), classes)
        return {names[0]: best} | {
            name: prediction[:, k].tolist() for k, name in enumerate(names[1:])
        }
    return {name: prediction[:, k].tolist() for k, name in enumerate(names)}


def field_columns(task: ResolvedTask, field: str, rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the columns that hold a field: one, or those that make up a record of its domain."""
    domain = task.domain_of_field(field)
    if domain is None or field != domain.spec.field or not domain.spec.columns:
        return {field: list(rows)}
    cells = zip(*rows, strict=True) if rows else ([] for _ in domain.spec.columns)
    return dict(zip(domain.spec.columns, map(list, cells), strict=True))


def needed_columns(task: ResolvedTask) -> list[str]:
    """Return the columns that a task's inputs fill: one for each field, several for a record."""
    names: list[str] = []
    for field in task.fields:
        domain = task.domain_of_field(field)
        is_record = domain is not None and field == domain.spec.field and domain.spec.columns
        names += domain.spec.columns if domain is not None and is_record else (field,)
    return names
