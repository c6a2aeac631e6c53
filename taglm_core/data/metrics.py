"""Metrics of scikit-learn and scipy, which are imported when one is computed.

Every function takes `(truth, prediction)` and gives a float: NaN where the metric is undefined for
these rows (no row, constant truth, a value that is not finite), never a warning or an exception.
`specs` registers them.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from taglm_core.specs.metrics import METRICS

__all__ = [
    "METRICS",
    "accuracy",
    "auprc",
    "auroc",
    "concordance",
    "exact_match",
    "f1",
    "logloss",
    "mae",
    "mcc",
    "mse",
    "pearson",
    "r2",
    "rmse",
    "spearman",
]

NAN = float("nan")


def mae(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean absolute error, of float `(rows,)` twice."""
    return _scored("mean_absolute_error", truth, prediction)


def mse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean squared error, of float `(rows,)` twice."""
    return _scored("mean_squared_error", truth, prediction)


def rmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Root of the mean squared error, of float `(rows,)` twice."""
    return _scored("root_mean_squared_error", truth, prediction)


def r2(truth: np.ndarray, prediction: np.ndarray) -> float:
    """One less squared error over the variance of the truth, of float `(rows,)` twice."""
    if not varies(truth):
        return NAN
    return _scored("r2_score", truth, prediction, force_finite=False)


def pearson(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Linear correlation, of float `(rows,)` twice."""
    return _correlation("pearsonr", truth, prediction)


def spearman(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Linear correlation of the ranks, ties at their mean rank, of float `(rows,)` twice."""
    return _correlation("spearmanr", truth, prediction)


def concordance(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Concordance index, of float `(rows,)` twice.

    Of all pairs with different truth, the share whose predictions have the same order; equal
    predictions count half. No library has it in O(n log n), but scipy has Kendall's tau-b: the same
    difference of counts, divided by a root that the pairs of equal values give back.
    """
    if not _usable(truth, prediction) or _is_constant(truth):
        return NAN
    if _is_constant(prediction):
        return 0.5
    tau = _correlation("kendalltau", truth, prediction)
    return 0.5 + 0.5 * tau * math.sqrt(_different_pairs(prediction) / _different_pairs(truth))


def auroc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Area under the ROC curve.

    Two classes: of class 1; several: the mean over each class against the rest, of the classes
    that occur beside others.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    return _over_classes("roc_auc_score", truth, probabilities)


def auprc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Average precision: precision summed over the steps of recall; classes as in `auroc`.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    return _over_classes("average_precision_score", truth, probabilities)


def accuracy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of rows whose most probable class is the true one.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    return _scored("accuracy_score", truth, probabilities, _predicted)


def mcc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Matthews correlation of the most probable class with the true one (Gorodkin 2004).

    NaN for constant truth; 0 when the same class is predicted for all rows.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    if len(truth) and _is_constant(truth):
        return NAN
    return _scored("matthews_corrcoef", truth, probabilities, _predicted)


def f1(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Harmonic mean of precision and recall.

    Two classes: of class 1; several: the mean over the classes that occur in truth or prediction.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    if probabilities.shape[1] != 2:
        return _scored("f1_score", truth, probabilities, _predicted, average="macro")
    is_first = np.equal(truth, 1)
    return _scored(
        "f1_score", is_first, probabilities, lambda p: _predicted(p) == 1, zero_division=NAN
    )


def logloss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over rows of -ln P(true class), P not below 2.2e-16.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    labels = np.arange(np.shape(probabilities)[1])
    return _scored("log_loss", truth, np.asarray(probabilities, np.float64), labels=labels)


def exact_match(truth: Sequence[str], prediction: Sequence[str]) -> float:
    """Share of texts that are equal, white space around them apart."""
    if not len(truth):
        return NAN
    pairs = zip(truth, prediction, strict=True)
    return sum(first.strip() == second.strip() for first, second in pairs) / len(truth)


def varies(truth: np.ndarray) -> bool:
    """Say whether true values vary, so that every metric of this module is defined for them.

    Squares of differences below 1e-162 are 0 and above 1e154 infinite; they count as none.

    Args:
        truth: Numbers or class indices `(rows,)`.
    """
    if not len(truth) or _is_constant(truth):
        return False
    with np.errstate(all="ignore"):
        return 0 < float(np.var(truth, dtype=np.float64)) < math.inf


def _usable(truth: np.ndarray, prediction: np.ndarray) -> bool:
    """Say whether there are rows and all values are finite."""
    return len(truth) > 0 and bool(np.isfinite(truth).all() and np.isfinite(prediction).all())


def _is_constant(values: np.ndarray) -> bool:
    return bool(np.min(values) == np.max(values))


def _scored(
    name: str,
    truth: np.ndarray,
    prediction: np.ndarray,
    rewrite: Callable[[np.ndarray], np.ndarray] = np.asarray,
    **options: Any,
) -> float:
    """Return a metric of scikit-learn of what `rewrite` makes of the predictions."""
    if not _usable(truth, prediction):
        return NAN
    from sklearn import metrics

    function: Callable[..., Any] = getattr(metrics, name)
    with warnings.catch_warnings():  # such as an overflow: the error of an absurd prediction
        warnings.simplefilter("ignore")
        return float(function(_double(truth), _double(rewrite(prediction)), **options))


def _correlation(name: str, truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return a correlation of scipy; NaN when either side is constant."""
    if not _usable(truth, prediction) or _is_constant(truth) or _is_constant(prediction):
        return NAN
    from scipy import stats

    function: Callable[..., Any] = getattr(stats, name)
    with warnings.catch_warnings():  # such as one about nearly constant values
        warnings.simplefilter("ignore")
        value = float(function(_double(truth), _double(prediction)).statistic)
    return 0.0 if abs(value) < 1e-15 else value  # what rounding leaves of no correlation


def _double(values: np.ndarray) -> np.ndarray:
    """Return numbers in double precision; classes as they are."""
    values = np.asarray(values)
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _predicted(probabilities: np.ndarray) -> np.ndarray:
    """Return the most probable class of each row: int64 `(rows,)`."""
    return np.asarray(np.argmax(probabilities, axis=1))


def _different_pairs(values: np.ndarray) -> int:
    """Count the pairs of rows with different values."""
    counts = np.unique(values, return_counts=True)[1]
    return int((len(values) ** 2 - counts @ counts) // 2)


def _over_classes(name: str, truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the score of class 1 of two, or the mean over the classes that have one."""
    if not _usable(truth, probabilities):
        return NAN
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    known = [k for k in classes if not _is_constant(truth == k)]
    scores = [_scored(name, truth == k, probabilities[:, k]) for k in known]
    return float(np.mean(scores)) if scores else NAN
