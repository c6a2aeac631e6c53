"""Scoring a predictor on labeled rows."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from taglm_core.data.censoring import censored_facts, censored_remark, exact_of
from taglm_core.data.columns import check_on_error
from taglm_core.data.measured import refuse_measured, with_labels
from taglm_core.data.rowerrors import check_errors
from taglm_core.data.table import Table
from taglm_core.data.targets import encode_classes, read_targets
from taglm_core.data.wide import is_wide, spread
from taglm_core.errors import CheckpointError, ConfigError, DataError, counted
from taglm_core.inference.groups import grouped, signatures
from taglm_core.inference.intervals import coverage_facts
from taglm_core.inference.predicted import Predicted, ReadRows
from taglm_core.inference.predictor import Predictor
from taglm_core.inference.scores import known_rows, metric_doubts, plain, score
from taglm_core.inference.truth import (
    beside_truth,
    found_truth,
    joined,
    significant,
    splits_of,
    truth_aside,
)
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification
from taglm_core.specs.encoding import first_errors

logger = logging.getLogger(__name__)


@attrs.frozen
class Scored:
    """What scoring rows gave."""

    metrics: dict[str, Any]
    """A record of the shape of metrics.json with the single split `input`."""
    skipped: list[tuple[int, str]]
    """Row number and reason of each row that could not be used."""
    columns: dict[str, list[Any]]
    """The scored rows: columns of the file, then predictions and residuals."""


def evaluate_table(
    predictor: Predictor,
    table: Table,
    mapping: Mapping[str, str],
    on_error: str,
    fix: bool = False,
    limit: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    labels: str = "auto",
) -> Scored:
    """Predict labeled rows and score them.

    A table without the columns that name tags, but with a column for each of several tags, is
    spread into a row for every ordered choice of them.

    Args:
        predictor: The predictor.
        table: Rows with the task's fields and targets.
        mapping: Field or target -> column.
        on_error: "raise", or "skip" to skip invalid rows.
        fix: True: rows are first standardized by the rules of their domains.
        limit: Most rows of the table, its first ones; None: all.
        on_progress: Called with the number of rows predicted.
        labels: Of a task that computes its target: "computed", or "measured" in a column; "auto":
            computed, and an error if the table has a column of that name.

    Raises:
        RowError: naming invalid rows when `on_error` is "raise".
        DataError: for a table without rows.
        ConfigError: for a limit below 1.
        CheckpointError: when the target is computed by code that no installed plugin registers.
    """
    check_on_error(on_error)
    _check_rows(table, limit)
    task = with_labels(predictor.task_model.task, labels)
    refuse_measured(table, task, labels, ("--labels measured", "--labels computed"))
    _check_code(predictor, task)
    if limit is not None:
        table = table.select(range(min(limit, table.num_rows)))
    if is_wide(table, task.prompt):
        table = spread(table, task.prompt, predictor.tag_columns())
    rows = predictor.read(table, mapping, fix)
    fields = rows.fields
    targets, errors = _targets(predictor, table, task, rows, mapping)
    predicted = predictor.predict_rows(attrs.evolve(rows, errors=errors), on_progress)
    bad = check_errors(table, predicted.errors, on_error)
    fine, prediction, truth = _scored_rows(predicted, targets)
    remarks = _remarks(predictor, task, fields, fine, truth)
    for remark in remarks:
        logger.warning("%s", remark)
    chosen_fields = {name: [values[i] for i in fine] for name, values in fields.items()}
    facts = {
        "target": {"kind": task.spec.target.kind, "unit": getattr(task.spec.target, "unit", "")},
        "source": table.source,
        "split": "none",
        "splits": {"input": _results(predictor, task, chosen_fields, truth, prediction)},
        **({"remarks": remarks} if remarks else {}),
        **_signed(task),
    }
    made = {name: [values[i] for i in fine] for name, values in predicted.columns.items()}
    columns = _columns(predictor, table.select(fine), task, mapping, made)
    return Scored({"tasks": {task.name: facts}}, bad, columns)


def _check_rows(table: Table, limit: int | None) -> None:
    """Demand that there are rows to score."""
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be 1 or more, not {limit}.")
    if not table.num_rows:
        raise DataError(f"{table.source} holds no rows to score. Give a table with rows.")


def _scored_rows(predicted: Predicted, targets: Any) -> tuple[list[int], Any, Any]:
    """Return the indices of the rows without an error, their predictions and their targets."""
    place_of = {row: place for place, row in enumerate(predicted.good)}
    fine = [i for i, error in enumerate(predicted.errors) if error is None]
    chosen = [place_of[i] for i in fine]
    if isinstance(predicted.values, list):
        return fine, [predicted.values[k] for k in chosen], [targets[i] for i in fine]
    return fine, predicted.values[chosen], targets[fine]


def _columns(
    predictor: Predictor,
    table: Table,
    task: ResolvedTask,
    mapping: Mapping[str, str],
    made: Mapping[str, list[Any]],
) -> dict[str, list[Any]]:
    """Return the columns of a table, predictions and residuals; none takes the place of another."""
    truth = found_truth(table, task, predictor.mapping(table, mapping), mapping)
    renamed = truth_aside(table, truth, list(made))
    inputs = {renamed.get(name, name): values for name, values in table.columns.items()}
    after = {**made, **beside_truth(table, task, truth, made)}
    return joined({}, inputs, {name: significant(values) for name, values in after.items()})


def _results(
    predictor: Predictor,
    task: ResolvedTask,
    fields: Mapping[str, Any],
    truth: Any,
    prediction: Any,
) -> dict[str, Any]:
    """Return what metrics.json says of rows: metrics, known targets, limits, groups of tags."""
    exact = exact_of(truth)
    picked = {name: fields[name] for name in task.prompt.tag_columns}
    return {
        "rows": len(truth),
        "metrics": plain(score(task, exact, prediction)),
        **known_rows(task, exact),
        **censored_facts(getattr(task.spec.target, "names", ()), truth, prediction),
        **coverage_facts(predictor.task_model.intervals, task.spec.target, truth, prediction),
        **grouped(task, picked, exact, prediction, predictor.combinations),
    }


def _remarks(
    predictor: Predictor, task: ResolvedTask, fields: Mapping[str, Any], rows: list[int], truth: Any
) -> list[str]:
    """Return what the reader of the scores should know."""
    said = censored_remark(getattr(task.spec.target, "names", ()), truth)
    remarks = [*([said] if said else []), *metric_doubts(task, exact_of(truth))]
    return remarks + _seen(predictor, task, fields, rows)


def _seen(
    predictor: Predictor, task: ResolvedTask, fields: Mapping[str, Any], rows: list[int]
) -> list[str]:
    """Say how many of the rows the predictor was trained on, whose scores flatter it."""
    if not predictor.splits:
        return []
    splits = splits_of(task, fields, predictor.splits)
    trained = sum(splits[i] == "train" for i in rows)
    if not trained:
        return []
    return [
        f"{trained:,} of {counted(len(rows), 'row')} were in the train split of the run: expect "
        "worse scores on new rows"
    ]


def _targets(
    predictor: Predictor,
    table: Table,
    task: ResolvedTask,
    rows: ReadRows,
    mapping: Mapping[str, str],
) -> tuple[Any, list[str | None]]:
    """Return the true values, classes as indices, and None or the first error of each row."""
    columns = predictor.mapping(table, mapping)
    targets, _, errors = read_targets(table, task, rows.fields, rows.errors, columns)
    target = task.spec.target
    if not isinstance(target, Classification) or target.multi_label:
        return targets, errors
    known = [i for i, error in enumerate(errors) if error is None]
    classes, _, unknown = encode_classes([targets[i] for i in known], target, ())
    indices = np.zeros(table.num_rows, dtype=np.int64)
    indices[known] = classes
    not_listed = {known[place]: reason for place, reason in unknown.items()}
    return indices, first_errors(errors, [not_listed.get(i) for i in range(len(errors))])


def _check_code(predictor: Predictor, task: ResolvedTask) -> None:
    """Demand that a plugin registers the code that computes the target of an artifact.

    An artifact comes from anywhere and may name any module; only what is installed may run.
    """
    reference = getattr(task.spec.target, "compute", None)
    if reference is not None and reference not in predictor.known_code:
        folder = predictor.artifact and predictor.artifact.folder
        raise CheckpointError(
            f"{folder} computes its target with '{reference}', which no installed plugin registers "
            "for a task, so it is not run. Score measured values (--labels measured), or install "
            "the plugin of the task."
        )


def _signed(task: ResolvedTask) -> dict[str, Any]:
    metric_signatures = signatures(task)
    return {"signatures": metric_signatures} if metric_signatures else {}
