"""Scoring a predictor on a labelled file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from taglm_core.data.mending import mend_fields
from taglm_core.data.readers import read_table
from taglm_core.data.rows import (
    canonical_fields,
    raise_rows,
    read_fields,
)
from taglm_core.data.targets import encode_classes, read_targets
from taglm_core.errors import ConfigError
from taglm_core.inference.predictor import Predictor
from taglm_core.inference.scores import rounded, score
from taglm_core.specs import Classification


def evaluate_file(
    predictor: Predictor,
    path: Path,
    mapping: Mapping[str, str],
    on_error: str,
    mend: bool = False,
) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Predict a labelled file and score it.

    Args:
        predictor: The predictor.
        path: Table with the task's fields and targets.
        mapping: Field or target -> column.
        on_error: "raise", or "keep" to leave bad rows out.
        mend: True: rows are first mended by the rules of their domains.

    Returns:
        A record of the shape of metrics.json with the single part `input`, and the rows that were
        left out with their reasons.

    Raises:
        RowError: naming bad rows when `on_error` is raise.
    """
    if on_error not in ("raise", "keep"):
        raise ConfigError(f"--on-error {on_error}: write raise or keep.")
    table = read_table(path)
    task = predictor.task_model.task
    remembered = {k: c for k, c in predictor.columns.items() if c in table.columns}
    wanted = {**remembered, **mapping}
    raw = read_fields(table, task, wanted)[0]
    if mend:
        raw = mend_fields(raw, task, table)[0]
    fields, errors = canonical_fields(raw, task)
    targets, _ = read_targets(table, task, fields, errors, wanted)
    target = task.spec.target
    if isinstance(target, Classification):
        known = [i for i, error in enumerate(errors) if error is None]
        words = [[label[i] for i in known] for label in targets]
        made, _, unknown = encode_classes(words, target, ())
        for place, reason in unknown.items():
            errors[known[place]] = reason
        whole = np.zeros((table.num_rows, *made.shape[1:]), dtype=np.int64)
        whole[known] = made
        targets = whole
    predicted = predictor.predict(table, wanted, mend=mend)
    errors = [a or b for a, b in zip(errors, predicted.errors, strict=True)]
    bad = [(row, error) for row, error in zip(table.rows, errors, strict=True) if error]
    if bad and (on_error == "raise" or len(bad) == table.num_rows):
        raise_rows(table.source, bad, table.num_rows, "Mend them, or use --on-error keep.")
    place_of = {row: place for place, row in enumerate(predicted.good)}
    fine = [i for i, error in enumerate(errors) if error is None]
    chosen = [place_of[i] for i in fine]
    if isinstance(predicted.values, list):
        prediction: Any = [predicted.values[k] for k in chosen]
        truth: Any = [targets[i] for i in fine]
    else:
        prediction, truth = predicted.values[chosen], targets[fine]
    metrics = rounded(score(task, truth, prediction))
    held = {"rows": len(fine), "metrics": metrics}
    unit = getattr(target, "unit", "")
    facts = {
        "target": {"kind": target.kind, "unit": unit},
        "source": table.source,
        "split": "none",
        "splits": {"input": held},
    }
    return {"tasks": {task.name: facts}}, bad
