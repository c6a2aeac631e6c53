"""Scoring a predictor on labelled rows."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from taglm_core.data.columns import check_on_error
from taglm_core.data.measured import refuse_measured, with_labels
from taglm_core.data.rows import (
    raise_rows,
)
from taglm_core.data.table import Table
from taglm_core.data.targets import encode_classes, read_targets
from taglm_core.data.wide import is_wide, spread
from taglm_core.inference.groups import grouped, signatures
from taglm_core.inference.predictor import Predictor
from taglm_core.inference.scores import known_rows, metric_doubts, plain, score
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification

logger = logging.getLogger(__name__)


@attrs.frozen
class Scored:
    """What scoring rows gave."""

    metrics: dict[str, Any]
    """A record of the shape of metrics.json with the single split `input`."""
    skipped: list[tuple[int, str]]
    """Row number and reason of each row that could not be used."""
    columns: dict[str, list[Any]]
    """The scored rows: columns of the file, then the predictions."""


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
    """Predict labelled rows and score them.

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
        RowError: naming bad rows when `on_error` is raise.
    """
    check_on_error(on_error)
    task = with_labels(predictor.task_model.task, labels)
    refuse_measured(table, task, labels, ("--labels measured", "--labels computed"))
    if limit is not None:
        table = table.select(range(min(limit, table.num_rows)))
    if is_wide(table, task.prompt):
        table = spread(table, task.prompt, predictor.tag_columns())
    rows = predictor.read(table, mapping, fix)
    fields, errors = rows.fields, rows.errors
    targets, _ = read_targets(table, task, fields, errors, predictor.mapping(table, mapping))
    target = task.spec.target
    if isinstance(target, Classification) and not target.multi_label:
        known = [i for i, error in enumerate(errors) if error is None]
        made, _, unknown = encode_classes([targets[i] for i in known], target, ())
        for place, reason in unknown.items():
            errors[known[place]] = reason
        whole = np.zeros(table.num_rows, dtype=np.int64)
        whole[known] = made
        targets = whole
    predicted = predictor.predict_rows(rows, on_progress)
    errors = predicted.errors
    bad = [(row, error) for row, error in zip(table.rows, errors, strict=True) if error]
    if bad and (on_error == "raise" or len(bad) == table.num_rows):
        advice = "Correct the rows, or skip them with --on-error skip."
        if len(bad) == table.num_rows:
            advice = "Correct the rows; skipping them would leave none."
        raise_rows(table.source, bad, table.num_rows, advice)
    place_of = {row: place for place, row in enumerate(predicted.good)}
    fine = [i for i, error in enumerate(errors) if error is None]
    chosen = [place_of[i] for i in fine]
    if isinstance(predicted.values, list):
        prediction: Any = [predicted.values[k] for k in chosen]
        truth: Any = [targets[i] for i in fine]
    else:
        prediction, truth = predicted.values[chosen], targets[fine]
    metrics = plain(score(task, truth, prediction))
    remarks = metric_doubts(task, truth)
    for remark in remarks:
        logger.warning("warning: %s", remark)
    held = {"rows": len(fine), "metrics": metrics, **known_rows(task, truth)}
    picked = {name: [fields[name][i] for i in fine] for name in task.prompt.tag_columns}
    held |= grouped(task, picked, truth, prediction, predictor.combinations)
    unit = getattr(target, "unit", "")
    facts = {
        "target": {"kind": target.kind, "unit": unit},
        "source": table.source,
        "split": "none",
        "splits": {"input": held},
        **({"remarks": remarks} if remarks else {}),
        **_signed(task),
    }
    scored = table.select(fine)
    filled = {name: [values[i] for i in fine] for name, values in predicted.columns.items()}
    return Scored({"tasks": {task.name: facts}}, bad, {**scored.columns, **filled})


def _signed(task: ResolvedTask) -> dict[str, Any]:
    found = signatures(task)
    return {"signatures": found} if found else {}
