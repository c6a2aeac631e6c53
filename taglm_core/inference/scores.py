"""Metrics of a task on predictions, in one place for training, evaluation and plugins."""

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from taglm_core.data.masks import is_known
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Regression
from taglm_core.specs.reference import resolve

logger = logging.getLogger(__name__)


def score(task: ResolvedTask, truth: Any, prediction: Any) -> dict[str, float]:
    """Return the task's metrics.

    Args:
        task: Names the metrics.
        truth: Regression float `(rows, targets)`; classes int `(rows,)` or `(rows, labels)`;
            text a list. Of several targets some may be missing; each is judged on its own rows.
        prediction: Regression `(rows, targets)`; classes probabilities; text a list.

    Returns:
        Metric -> value. With several targets the plain key is the mean over them and
        `metric.target` each one's.
    """
    pairs = _pairs(task, truth, prediction)
    metrics: dict[str, float] = {}
    for metric in task.metrics:
        function: Callable[[Any, Any], float] = resolve(metric.function, f"metric {metric.name}")
        values = [float(function(t, p)) for _, t, p in pairs]
        defined = [value for value in values if not math.isnan(value)]
        metrics[metric.name] = float(np.mean(defined)) if defined else math.nan
        if len(pairs) > 1:
            for (name, _, _), value in zip(pairs, values, strict=True):
                metrics[f"{metric.name}.{name}"] = value
    return metrics


def _pairs(task: ResolvedTask, truth: Any, prediction: Any) -> list[tuple[str, Any, Any]]:
    """Return name, truth and prediction of each target, on the rows where it is known."""
    target = task.spec.target
    if isinstance(target, Classification) and target.multi_label:
        prediction = np.stack([1 - prediction, prediction], axis=2)  # (rows, labels, 2)
    elif not isinstance(target, Regression):
        return [(task.name, truth, prediction)]
    known = is_known(truth)
    return [
        (name, truth[known[:, k], k], prediction[known[:, k], k])
        for k, name in enumerate(target.names)
    ]


def metric_doubts(task: ResolvedTask, truth: Any) -> list[str]:
    """Return why metrics of the task would mislead on these rows, a sentence each.

    Args:
        task: Names the metrics.
        truth: As `score` takes it.
    """
    doubts = []
    for metric in task.metrics:
        if metric.doubt is None:
            continue
        ask: Callable[[Any], str | None] = resolve(metric.doubt, f"metric {metric.name}, doubt")
        for name, own, _ in _pairs(task, truth, _nothing(task, truth)):
            why = ask(own) if len(own) else None
            if why is not None:
                target = "" if name == task.name else f" of target '{name}'"
                doubts.append(f"{metric.name}{target}: {why}")
    return doubts


def _nothing(task: ResolvedTask, truth: Any) -> Any:
    """Return a prediction of the shape of the truth."""
    return truth if isinstance(truth, list) else np.zeros(np.asarray(truth).shape)


def known_rows(task: ResolvedTask, truth: Any) -> dict[str, dict[str, int]]:
    """Return `target_rows`: the rows in which each target is known; {} where none is missing."""
    target = task.spec.target
    if not isinstance(target, Regression | Classification) or len(target.names) < 2:
        return {}
    known = is_known(truth)
    if known.all():
        return {}
    counted = known.sum(axis=0).tolist()
    return {"target_rows": dict(zip(target.names, counted, strict=True))}


def as_cost(task: ResolvedTask, metrics: dict[str, float]) -> float:
    """Return the task's first metric such that lower is better; undefined is worst."""
    value = metrics[task.metrics[0].name]
    if math.isnan(value):
        return math.inf
    return -value if task.metrics[0].greater_is_better else value


def scorer(task: ResolvedTask) -> Callable[[Any, Any], dict[str, float]]:
    """Return the task's metrics as a function of truth and prediction."""

    def compute(truth: Any, prediction: Any) -> dict[str, float]:
        return score(task, truth, prediction)

    return compute


def plain(metrics: dict[str, float]) -> dict[str, float | None]:
    """Return metrics for JSON with all their digits, None where undefined."""
    return {name: None if math.isnan(value) else value for name, value in metrics.items()}
