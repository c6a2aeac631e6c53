"""Whether a predictor is worse than one that says the same of every row."""

from typing import Any

import numpy as np

from taglm_core.data.masks import is_known
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Regression

_LEAST_SHARE = 1e-4  # of a probability, so that a sure mistake costs something finite


def worse_than_constant(
    task: ResolvedTask, split: str, train_truth: Any, truth: Any, prediction: Any
) -> str | None:
    """Compare predictions with the mean or the most frequent class of the training rows.

    Args:
        task: The task; a text task is never worse.
        split: Name of the split, for the message.
        train_truth: Targets of the training rows: float `(rows, targets)`, class indices
            `(rows,)` or labels `(rows, labels)`; NaN or below 0 where one is missing.
        truth: Targets of the split.
        prediction: As the task model gives them.

    Returns:
        One sentence, None when the predictor is better.
    """
    target = task.spec.target
    if not len(truth) or not is_known(truth).any():
        return None
    if isinstance(target, Regression):
        found = _regression(train_truth, truth, prediction)
        what = "root mean squared error {0:.4g} of the target's spread, but {1:.4g}"
        constant = "the mean of the training rows"
    elif isinstance(target, Classification):
        judge = _labels if target.multi_label else _classes
        found = judge(train_truth, truth, prediction)
        what, constant = "accuracy {0:.4g}, but {1:.4g}", "the most frequent class"
    else:
        return None
    if found is None:
        return None
    return (
        f"{task.name} is worse than {constant} on the {split} split: {what.format(*found)} with "
        f"{constant} for every row. Do not use this predictor."
    )


def _regression(
    train_truth: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> tuple[float, float] | None:
    """Return the errors of both in units of the spread in the training rows, if ours is larger."""
    mean, spread = np.nanmean(train_truth, axis=0), np.nanstd(train_truth, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    ours = np.sqrt(np.nanmean(((prediction - truth) / spread) ** 2))
    constant = np.sqrt(np.nanmean(((mean - truth) / spread) ** 2))
    # not finite is worse; the last digits are rounding where both say the mean
    return None if ours <= constant * (1 + 1e-3) else (float(ours), float(constant))


def _classes(
    train_truth: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> tuple[float, float] | None:
    """Return the accuracies of both, if ours is lower and its likelihood too.

    Where classes are unequal a predictor may rank well and yet be less often right than the most
    frequent class, so its probabilities have to be worse as well.
    """
    seen, known = train_truth[train_truth >= 0], truth >= 0
    shares = np.bincount(seen.astype(np.int64), minlength=prediction.shape[1]) / max(1, len(seen))
    truth, prediction = truth[known].astype(np.int64), prediction[known]
    if not len(truth):
        return None
    ours = float((prediction.argmax(axis=1) == truth).mean())
    constant = float((truth == shares.argmax()).mean())
    costs = _nats(prediction[np.arange(len(truth)), truth]), _nats(shares[truth])
    return (ours, constant) if ours < constant and not costs[0] <= costs[1] else None


def _labels(
    train_truth: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> tuple[float, float] | None:
    """Return the same over the labels of a multi-label target."""
    train, held = train_truth.astype(float), truth.astype(float)
    shares = np.nanmean(np.where(train >= 0, train, np.nan), axis=0)  # NaN is not >= 0
    known = held >= 0
    if not known.any():
        return None
    both = np.broadcast_to(shares, held.shape)[known]
    held, mine = held[known], prediction[known]
    ours, constant = (float(((p > 0.5) == (held > 0.5)).mean()) for p in (mine, both))
    costs = [_nats(np.where(held > 0.5, p, 1 - p)) for p in (mine, both)]
    return (ours, constant) if ours < constant and not costs[0] <= costs[1] else None


def _nats(probabilities: np.ndarray) -> float:
    """Return the mean cost of what was true, in nats."""
    return float(-np.log(np.maximum(probabilities, _LEAST_SHARE)).mean())
