"""Metrics in numpy: regression, classification and text; what registers them is in `specs`.

Every function takes `(truth, prediction)` and gives a float: NaN where the metric is undefined for
these rows (no row, constant truth, a value that is not finite), never a warning or an exception.
"""

from collections.abc import Callable, Sequence

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
    if not _usable(truth, prediction):
        return NAN
    return float(np.abs(_error(truth, prediction)).mean())


def mse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean squared error, of float `(rows,)` twice."""
    if not _usable(truth, prediction):
        return NAN
    return float(_squares(truth, prediction).mean())


def rmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Root of the mean squared error, of float `(rows,)` twice."""
    return float(np.sqrt(mse(truth, prediction)))


def r2(truth: np.ndarray, prediction: np.ndarray) -> float:
    """One less squared error over the variance of the truth, of float `(rows,)` twice."""
    if not _usable(truth, prediction) or _is_constant(truth):
        return NAN
    spread = _squares(np.full(len(truth), np.mean(truth, dtype=np.float64)), truth).mean()
    return float(1.0 - _squares(truth, prediction).mean() / spread) if spread else NAN


def pearson(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Linear correlation, of float `(rows,)` twice."""
    if not _usable(truth, prediction) or _is_constant(truth) or _is_constant(prediction):
        return NAN
    first, second = _unit(truth), _unit(prediction)
    return float(np.clip(first @ second, -1.0, 1.0))


def spearman(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Linear correlation of the ranks, ties at their mean rank, of float `(rows,)` twice."""
    if not _usable(truth, prediction):
        return NAN
    return pearson(_ranks(truth), _ranks(prediction))


def concordance(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Concordance index, of float `(rows,)` twice.

    Of all pairs with different truth, the share whose predictions have the same order; equal
    predictions count half. Exact, in O(n log n): sorted by truth, then by prediction, a pair in
    the wrong order is an inversion of the predictions.
    """
    if not _usable(truth, prediction) or _is_constant(truth):
        return NAN
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    order = np.lexsort((prediction, truth))
    truth, prediction = truth[order], prediction[order]
    num_pairs = len(truth) * (len(truth) - 1) // 2 - _ties(truth)
    tied = _ties(np.sort(prediction)) - _ties(truth, prediction)
    wrong = _inversions(np.unique(prediction, return_inverse=True)[1])
    return float((num_pairs - wrong - 0.5 * tied) / num_pairs)


def auroc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Area under the ROC curve.

    Two classes: of class 1; several: the mean over each class against the rest, of the classes
    that occur beside others.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    return _over_classes(_auroc, truth, probabilities)


def auprc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Average precision: precision summed over the steps of recall; classes as in `auroc`.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    return _over_classes(_average_precision, truth, probabilities)


def accuracy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of rows whose most probable class is the true one.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    if not _usable(truth, probabilities):
        return NAN
    return float((np.argmax(probabilities, axis=1) == truth).mean())


def mcc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Matthews correlation of the most probable class with the true one (Gorodkin 2004).

    NaN for constant truth; 0 when the same class is predicted for all rows.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    if not _usable(truth, probabilities) or _is_constant(truth):
        return NAN
    counts = _confusion(truth, probabilities)  # (classes, classes), true by predicted
    true, said, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    if said.max() == total:
        return 0.0
    above = np.trace(counts) * total - true @ said
    # two roots, since the product of four counts leaves the integers' range
    below = np.sqrt(total**2 - said @ said) * np.sqrt(total**2 - true @ true)
    return float(above / below)


def f1(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Harmonic mean of precision and recall.

    Two classes: of class 1; several: the mean over the classes that occur in truth or prediction.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    if not _usable(truth, probabilities):
        return NAN
    counts = _confusion(truth, probabilities)  # (classes, classes)
    both = counts.sum(axis=0) + counts.sum(axis=1)  # (classes,), true and predicted
    scores = 2.0 * np.diag(counts) / np.maximum(both, 1)
    if len(counts) == 2:
        return float(scores[1]) if both[1] else NAN
    return float(scores[both > 0].mean())


def logloss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over rows of -ln P(true class), P not below 2.2e-16.

    Args:
        truth: int `(rows,)` class indices.
        probabilities: float `(rows, classes)`.
    """
    if not _usable(truth, probabilities):
        return NAN
    chosen = np.asarray(probabilities, dtype=np.float64)[np.arange(len(truth)), truth]  # (rows,)
    return float(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0)).mean())


def exact_match(truth: Sequence[str], prediction: Sequence[str]) -> float:
    """Share of texts that are equal, white space around them apart."""
    if not len(truth):
        return NAN
    pairs = zip(truth, prediction, strict=True)
    return sum(first.strip() == second.strip() for first, second in pairs) / len(truth)


def _usable(truth: np.ndarray, prediction: np.ndarray) -> bool:
    """Say whether there are rows and all values are finite."""
    return len(truth) > 0 and bool(np.isfinite(truth).all() and np.isfinite(prediction).all())


def _is_constant(values: np.ndarray) -> bool:
    return bool(np.min(values) == np.max(values))


def _error(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    error: np.ndarray = np.asarray(prediction, np.float64) - np.asarray(truth, np.float64)
    return error


def _squares(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # an absurd prediction has the error infinity
        return np.asarray(np.square(_error(truth, prediction)))


def _unit(values: np.ndarray) -> np.ndarray:
    """Centre values and give them length 1; scaled first, so that no square overflows."""
    centred = np.asarray(values, dtype=np.float64) - np.mean(values, dtype=np.float64)
    centred = centred / np.abs(centred).max()
    return np.asarray(centred / np.sqrt(centred @ centred))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank from 1, ties at their mean rank: float `(rows,)`."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse])


def _ties(*columns: np.ndarray) -> int:
    """Count the pairs of equal rows, of columns sorted together."""
    is_new = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    lengths = np.diff(np.flatnonzero(np.concatenate([[True], is_new, [True]])))
    return int((lengths * (lengths - 1) // 2).sum())


def _inversions(values: np.ndarray) -> int:
    """Count the pairs `i < j` with `values[i] > values[j]` of int `(rows,)`, by merging."""
    size = 1 << (len(values) - 1).bit_length()
    padded = np.full(size, values.max() + 1, dtype=np.int64)  # the largest, last: no inversion
    padded[: len(values)] = values
    total, width = 0, 1
    while width < size:
        blocks = padded.reshape(-1, 2 * width)  # (blocks, two sorted halves)
        order = np.argsort(blocks, axis=1, kind="stable")  # merges the halves
        # an element of the right half jumps over the larger ones of the left half
        total += int((order - np.arange(2 * width))[order >= width].sum())
        padded = np.take_along_axis(blocks, order, axis=1)
        width *= 2
    return total


def _over_classes(
    score: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, probabilities: np.ndarray
) -> float:
    if not _usable(truth, probabilities):
        return NAN
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    if probabilities.shape[1] == 2:
        return score(truth == 1, probabilities[:, 1])
    scores = [score(truth == k, probabilities[:, k]) for k in range(probabilities.shape[1])]
    known = [value for value in scores if value == value]
    return float(np.mean(known)) if known else NAN


def _auroc(is_positive: np.ndarray, scores: np.ndarray) -> float:
    num_positive = int(is_positive.sum())
    num_negative = len(is_positive) - num_positive
    if not num_positive or not num_negative:
        return NAN
    above = _ranks(scores)[is_positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / num_positive / num_negative)


def _average_precision(is_positive: np.ndarray, scores: np.ndarray) -> float:
    num_positive = int(is_positive.sum())
    if not num_positive or num_positive == len(is_positive):
        return NAN
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of equal scores
    hits = np.cumsum(is_positive[order])[last]
    precision = hits / (last + 1)
    return float(np.diff(hits, prepend=0) @ precision / num_positive)


def _confusion(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Count rows by true and predicted class: int64 `(classes, classes)`."""
    num_classes = probabilities.shape[1]
    pairs = np.asarray(truth) * num_classes + np.argmax(probabilities, axis=1)
    counts = np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)
