"""Metrics of a task on predictions, in one place for training, evaluation and plugins."""

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Regression
from taglm_core.specs.reference import resolve

logger = logging.getLogger(__name__)


def score(task: ResolvedTask, truth: Any, prediction: Any) -> dict[str, float]:
    """Return the task's metrics.

    Args:
        task: Names the metrics.
        truth: Regression float `(rows, targets)`; classes int `(rows,)` or `(rows, labels)`;
            text a list.
        prediction: Regression `(rows, targets)`; classes probabilities; text a list.

    Returns:
        Metric -> value. With several targets the plain key is the mean over them and
        `metric.target` each one's.
    """
    pairs = _pairs(task, truth, prediction)
    found: dict[str, float] = {}
    for metric in task.metrics:
        function: Callable[[Any, Any], float] = resolve(metric.function, f"metric {metric.name}")
        values = [float(function(t, p)) for _, t, p in pairs]
        defined = [value for value in values if not math.isnan(value)]
        found[metric.name] = float(np.mean(defined)) if defined else math.nan
        if len(pairs) > 1:
            for (name, _, _), value in zip(pairs, values, strict=True):
                found[f"{metric.name}.{name}"] = value
    return found


def _pairs(task: ResolvedTask, truth: Any, prediction: Any) -> list[tuple[str, Any, Any]]:
    target = task.spec.target
    if isinstance(target, Regression):
        return [(n, truth[:, k], prediction[:, k]) for k, n in enumerate(target.names)]
    if isinstance(target, Classification) and target.multi_label:
        both = np.stack([1 - prediction, prediction], axis=2)  # (rows, labels, 2)
        return [(n, truth[:, k], both[:, k]) for k, n in enumerate(target.names)]
    return [(task.name, truth, prediction)]


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


def rounded(metrics: dict[str, float], digits: int = 6) -> dict[str, float | None]:
    """Return metrics for JSON: rounded, None where undefined."""
    return {k: None if math.isnan(v) else round(v, digits) for k, v in metrics.items()}
