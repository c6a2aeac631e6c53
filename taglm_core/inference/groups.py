"""Results by combination of tags: trained combinations, and those never seen in training."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.inference.scores import known_rows, plain, score
from taglm_core.plugins.resolved import ResolvedTask


def grouped(
    task: ResolvedTask,
    fields: Mapping[str, Sequence[Any]],
    truth: Any,
    prediction: Any,
    trained: Collection[tuple[str, ...]],
) -> dict[str, Any]:
    """Score rows by the tags that their columns name.

    Args:
        task: Names metrics and tag columns.
        fields: Tag column -> one tag a row.
        truth: As `score` takes it.
        prediction: As `score` takes it.
        trained: Combinations of tags, in the order of the columns, that training rows had.

    Returns:
        Nothing for a task without tag columns. Else `groups`, one record for each combination
        with tags, trained, rows and metrics; `trained` and `zero_shot`, the same over all rows
        of either kind.
    """
    columns = task.prompt.tag_columns
    if not columns:
        return {}
    keys = list(zip(*(map(str, fields[name]) for name in columns), strict=True))
    places: dict[tuple[str, ...], list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    groups = [
        {
            "tags": dict(zip(columns, key, strict=True)),
            "trained": key in trained,
            **_scored(task, truth, prediction, members),
        }
        for key, members in sorted(places.items())
    ]
    results: dict[str, Any] = {"groups": groups}
    for name, is_trained in (("trained", True), ("zero_shot", False)):
        members = [i for i, key in enumerate(keys) if (key in trained) == is_trained]
        if members:
            results[name] = _scored(task, truth, prediction, members)
    return results


def _scored(
    task: ResolvedTask, truth: Any, prediction: Any, members: Sequence[int]
) -> dict[str, Any]:
    chosen = [_at(values, members) for values in (truth, prediction)]
    metrics = plain(score(task, *chosen))
    return {"rows": len(members), "metrics": metrics, **known_rows(task, chosen[0])}


def _at(values: Any, members: Sequence[int]) -> Any:
    return values[list(members)] if isinstance(values, np.ndarray) else [values[i] for i in members]


def signatures(task: ResolvedTask) -> dict[str, str]:
    """Return metric -> signature for the metrics that have one."""
    from taglm_core.specs.reference import resolve

    return {
        metric.name: str(resolve(metric.signature, f"metric {metric.name}, signature")())
        for metric in task.metrics
        if metric.signature is not None
    }
