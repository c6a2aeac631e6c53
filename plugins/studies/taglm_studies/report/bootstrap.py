"""How far metrics may be off by chance: intervals and paired differences from resampled rows."""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from taglm_core.errors import TaglmError
from taglm_core.plugin import Registry, import_object
from taglm_studies.report.facts import TaskFacts

Function = Callable[[Any, Any], float]

OWN = "taglm"
SAMPLES = 1000
_FEW_SAMPLES = 200
"""The same for metrics that are no mean over rows, each of which has to be computed anew."""
_MOST_DRAWN = 5_000_000
"""Rows times resamples from which on fewer are drawn."""
MOST_ROWS = 20_000
"""Test rows up to which metrics are resampled."""


@attrs.frozen
class Interval:
    """A value with the 2.5th and 97.5th percentile of its resamples."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


@attrs.frozen(kw_only=True)
class Intervals:
    """What resampling says of the test metrics."""

    samples: int
    """Resamples of the first metric."""
    metrics: Mapping[tuple[str, str], Interval]
    """(predictor, metric) -> interval; of baselines only the first metric."""
    differences: Mapping[str, Interval]
    """Baseline -> first metric of taglm minus that of the baseline, on the same resamples."""


@attrs.frozen(eq=False)
class Resampler:
    """Test rows of a task, drawn again and again; each metric sees the same draws."""

    task: TaskFacts
    truth: np.ndarray
    drawn: np.ndarray
    """int64 `(samples, rows)`."""

    @classmethod
    def of(cls, task: TaskFacts, seed: int = 0) -> "Resampler":
        """Draw the rows."""
        truth = np.asarray(task.truth())
        rng = np.random.default_rng([seed, 17])
        samples = min(SAMPLES, max(_FEW_SAMPLES, _MOST_DRAWN // len(truth)))
        return cls(task, truth, rng.integers(0, len(truth), size=(samples, len(truth))))

    def score(self, function: Function, predicted: Any, rows: Any = slice(None)) -> float:
        """Return a metric as metrics.json has it: of several targets the mean over them."""
        truth, values = self.truth[rows], np.asarray(predicted)[rows]
        if truth.ndim == 1:
            return _called(function, truth, values)
        scores = []
        for k in range(truth.shape[1]):
            known = np.isfinite(truth[:, k]) & np.isfinite(values[:, k])
            own, other = truth[known, k], values[known, k]
            if self.task.is_multi_label:
                own, other = own.astype(np.int64), np.stack([1 - other, other], axis=1)
            scores.append(_called(function, own, other) if known.any() else math.nan)
        defined = [score for score in scores if not math.isnan(score)]
        return float(np.mean(defined)) if defined else math.nan

    def resample(self, name: str, function: Function, predicted: Any) -> np.ndarray:
        """Return a metric of each draw, or of the first ones where it is slow."""
        values = np.asarray(predicted)
        quick = _MEANS.get(name)
        if quick is not None and np.isfinite(values).all() and self._is_single:
            statistics = quick[0](self.truth.reshape(len(self.truth)), values)  # (rows, k)
            with np.errstate(all="ignore"):  # a constant has no correlation
                whole = float(quick[1](statistics.mean(axis=0)))
            exact = self.score(function, values)
            if math.isclose(whole, exact, rel_tol=1e-6, abs_tol=1e-9):  # it is the same metric
                means = np.stack([column[self.drawn].mean(axis=1) for column in statistics.T], -1)
                with np.errstate(all="ignore"):
                    return np.asarray(quick[1](means))
        if name == "auroc" and self.truth.ndim == 1 and self._is_single:
            every = np.arange(len(self.truth))[None]
            if math.isclose(_areas(self.truth, values, every)[0], self.score(function, values)):
                return _areas(self.truth, values, self.drawn)
        few = self.drawn[:_FEW_SAMPLES]
        return np.array([self.score(function, values, rows) for rows in few])

    def paired(self, name: str, function: Function, first: Any, second: Any) -> np.ndarray:
        """Return the metric of one prediction minus that of another, for each draw of both."""
        return _minus(*(self.resample(name, function, made) for made in (first, second)))

    @property
    def _is_single(self) -> bool:
        is_known = np.isfinite(self.truth).all() and (
            self.truth.ndim == 2 or (self.truth >= 0).all()
        )
        return bool(is_known) and (self.truth.ndim == 1 or self.truth.shape[1] == 1)


def intervals(task: TaskFacts, registry: Registry, seed: int = 0) -> Intervals | None:
    """Resample the test rows of a task.

    Every predictor is scored on the same resamples, so that differences are paired.

    Args:
        task: Its test rows with what was predicted for them.
        registry: Where the metrics are looked up.
        seed: Of the resamples.

    Returns:
        None for texts, for too many or too few rows, and where no metric is known.
    """
    predicted = task.predicted()
    functions = metric_functions(task, registry)
    first = task.record.get("metric", {}).get("name")
    if predicted is None or task.kind == "text" or first not in functions:
        return None
    if not 2 <= task.num_rows <= MOST_ROWS:
        return None
    sampler = Resampler.of(task, seed)
    metrics, draws = {}, {}
    for name, function in functions.items():
        values = sampler.resample(name, function, predicted)
        metrics[OWN, name] = interval_of(sampler.score(function, predicted), values)
        if name == first:
            draws[OWN] = values
    for baseline in task.baseline_names():
        other = task.predicted(baseline)
        if other is not None:
            draws[baseline] = sampler.resample(first, functions[first], other)
            score = sampler.score(functions[first], other)
            metrics[baseline, first] = interval_of(score, draws[baseline])
    differences = {
        name: interval_of(
            metrics[OWN, first].value - metrics[name, first].value, _minus(draws[OWN], values)
        )
        for name, values in draws.items()
        if name != OWN
    }
    return Intervals(samples=len(draws[OWN]), metrics=metrics, differences=differences)


def difference(
    task: TaskFacts, first: Any, second: Any, metric: str, function: Function, seed: int = 0
) -> Interval:
    """Return the metric of one prediction minus that of another, on the same resamples."""
    sampler = Resampler.of(task, seed)
    scores = [sampler.score(function, predicted) for predicted in (first, second)]
    return interval_of(scores[0] - scores[1], sampler.paired(metric, function, first, second))


def metric_functions(task: TaskFacts, registry: Registry) -> dict[str, Function]:
    """Return metric -> function, for the test metrics of a task that are registered."""
    found = {}
    for name in task.record["splits"].get("test", {}).get("metrics", {}):
        if "." in name:  # of one of several targets
            continue
        try:
            spec = registry.metrics.get(name).spec
            found[name] = import_object(spec.function, f"metric {name}")
        except TaglmError:  # of a plugin that is gone: its value stands without an interval
            continue
    return found


def _minus(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    count = min(len(first), len(second))
    return np.asarray(first[:count] - second[:count])


def _called(function: Function, truth: np.ndarray, values: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(function(truth, values))


def interval_of(value: float, values: np.ndarray) -> Interval:
    """Return a value with the percentiles of its resamples, those left out that are undefined."""
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (math.nan, math.nan)
    return Interval(float(value), float(low), float(high))


def _areas(truth: np.ndarray, values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each draw, as the metric `auroc` has it.

    An area is the share of pairs of a row of the class and another one that the probabilities put
    in order, ties counting half: each draw is a weight of each row.

    Args:
        truth: int `(rows,)`.
        values: `(rows, classes)`.
        drawn: int `(draws, rows)`.
    """
    weights = np.stack([np.bincount(rows, minlength=len(truth)) for rows in drawn])
    classes = [1] if values.shape[1] == 2 else range(values.shape[1])
    areas = []
    for k in classes:
        order = np.argsort(values[:, k], kind="stable")
        own = np.where((truth == k)[order], weights[:, order], 0).astype(float)
        rest = weights[:, order] - own
        starts = np.flatnonzero(np.diff(values[order, k], prepend=-np.inf))  # of equal values
        own, rest = (np.add.reduceat(part, starts, axis=1) for part in (own, rest))
        below = np.cumsum(rest, axis=1) - rest / 2
        with np.errstate(all="ignore"):
            areas.append((own * below).sum(axis=1) / (own.sum(axis=1) * rest.sum(axis=1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a draw without any class that occurs beside others
        return np.asarray(np.nanmean(areas, axis=0))


def _error(truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(truth - values[:, 0])


def _moments(truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    own = values[:, 0] - values[:, 0].mean()
    centered = truth - truth.mean()
    return np.stack([centered, own, centered * own, centered**2, own**2], axis=1)


def _r2_rows(truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    centered = truth - truth.mean()
    return np.stack([_error(truth, values) ** 2, centered, centered**2], axis=1)


def _correlation(m: np.ndarray) -> np.ndarray:
    spread = (m[..., 3] - m[..., 0] ** 2) * (m[..., 4] - m[..., 1] ** 2)
    return np.asarray((m[..., 2] - m[..., 0] * m[..., 1]) / np.sqrt(spread))


_MEANS: dict[str, tuple[Callable[..., np.ndarray], Callable[[np.ndarray], Any]]] = {
    "mae": (lambda t, p: np.abs(_error(t, p))[:, None], lambda m: m[..., 0]),
    "mse": (lambda t, p: _error(t, p)[:, None] ** 2, lambda m: m[..., 0]),
    "rmse": (lambda t, p: _error(t, p)[:, None] ** 2, lambda m: np.sqrt(m[..., 0])),
    "r2": (_r2_rows, lambda m: 1 - m[..., 0] / (m[..., 2] - m[..., 1] ** 2)),
    "pearson": (_moments, _correlation),
    "accuracy": (lambda t, p: (p.argmax(axis=1) == t)[:, None].astype(float), lambda m: m[..., 0]),
}
"""Metric -> statistics of each row `(rows, k)`, and the metric as a function of their means."""
