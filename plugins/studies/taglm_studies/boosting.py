"""Gradient-boosted trees on histograms, ended by the judging rows, with a bounded amount of work.

The bounds were measured on QED from Morgan counts (2,048 columns): the 512 columns that go with the
target best are as good as all of them in a sixth of the time, and for the same work 90,000 rows
with 256 columns beat 30,000 rows with 1,024.

Trees are grown by one thread: threads wait for each other many times a tree, and beside another
program on the same two cores two of them took two to nine times as long as one.
"""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from taglm_core import BaselineResult
from taglm_studies.features import BLOCK_ROWS, Features, Fold, sample_rows

FREE_CELLS = 4_000_000
"""Rows times columns up to which no column is left out."""
MOST_CELLS = 90_000 * 256
"""Rows times columns of a fit."""
MOST_COLUMNS = 512
FEWEST_COLUMNS = 256
"""Columns are left out down to these numbers, beyond `FREE_CELLS` and beyond `MOST_CELLS`; then
rows are."""
MOST_TREES = 400
"""Trees of all fits of a task together, but at least `FEWEST_TREES` for each."""
FEWEST_TREES = 50
_MOST_JUDGING_ROWS = 10_000
_LEARNING_RATE = 0.2
_PATIENCE = 20


def boost_numbers(
    features: Features, truth: dict[str, np.ndarray], fold: Fold, seed: int
) -> BaselineResult:
    """Fit boosted trees for each target.

    Args:
        features: Features of all splits.
        truth: Part -> float `(rows, targets)`.
        fold: Which rows are fitted and which end the boosting.
        seed: Chooses the training rows when there are too many.

    Returns:
        Predictions of all splits.
    """
    num_targets = truth["train"].shape[1]
    predictions = {split: np.empty(values.shape) for split, values in truth.items()}
    limits: dict[str, float] = {}
    for target in range(num_targets):
        column = {split: values[:, target] for split, values in truth.items()}
        work = _plan(features, column["train"][:, None], fold, seed)
        # early stopping has a tolerance of its own, which is for numbers of about 1
        center, scale = _unit(column["train"][work.fit])
        column = {split: (values - center) / scale for split, values in column.items()}
        model = HistGradientBoostingRegressor(**_settings(num_targets, seed))
        _fit(model, features, column, work)
        for split in truth:
            preds = _predict(model.predict, features, split, work)
            predictions[split][:, target] = preds * scale + center
        limits |= work.limits
    return BaselineResult(predictions, limits)


def _unit(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of numbers, 1 where they are constant."""
    deviation = float(values.std())
    return float(values.mean()), deviation if deviation > 0 else 1.0


def boost_classes(
    features: Features,
    truth: dict[str, np.ndarray],
    num_classes: int,
    fold: Fold,
    seed: int,
    num_fits: int = 1,
) -> BaselineResult:
    """Fit boosted trees for classes.

    Args:
        features: Features of all splits.
        truth: Part -> int `(rows,)` class indices, at least two of them in the rows fitted.
        num_classes: Number of columns of the predictions.
        fold: Which rows are fitted and which end the boosting.
        seed: Chooses the training rows when there are too many.
        num_fits: Number of such fits that share the work, as for several labels.

    Returns:
        Probabilities `(rows, classes)` of all splits; 0 for a class that was not fitted.
    """
    work = _plan(features, np.eye(num_classes)[truth["train"]], fold, seed)
    known = np.unique(truth["train"][work.fit])
    is_known = np.isin(truth[work.split][work.judge], known)
    work = attrs.evolve(work, judge=work.judge[is_known])
    if not len(work.judge):
        work = attrs.evolve(work, split="train", judge=work.fit)
    trees_a_step = 1 if len(known) == 2 else len(known)
    model = HistGradientBoostingClassifier(**_settings(num_fits * trees_a_step, seed))
    _fit(model, features, truth, work)
    predictions = {}
    for split, values in truth.items():
        probabilities = np.zeros((len(values), num_classes))
        probabilities[:, model.classes_] = _predict(model.predict_proba, features, split, work)
        predictions[split] = probabilities
    return BaselineResult(predictions, work.limits)


@attrs.frozen
class _Work:
    """Which rows and columns are fitted, and which rows judge."""

    fit: np.ndarray
    split: str
    judge: np.ndarray
    columns: np.ndarray
    limits: dict[str, float]


def _plan(features: Features, targets: np.ndarray, fold: Fold, seed: int) -> _Work:
    num_columns = features.num_columns
    most_columns = _most_columns(len(fold.fit))
    columns = np.arange(num_columns)
    limits: dict[str, float] = {}
    if num_columns > most_columns:
        correlation = _correlation(features, fold.fit, targets[fold.fit])
        columns = np.sort(np.argsort(-correlation, kind="stable")[:most_columns])
        limits["train_columns"] = most_columns
    most_rows = MOST_CELLS // max(len(columns), 1)
    rows = sample_rows(len(fold.fit), most_rows, seed)
    if len(rows) < len(fold.fit):
        limits["train_rows"] = len(rows)
    judge = fold.rows[sample_rows(len(fold.rows), _MOST_JUDGING_ROWS, seed)]
    return _Work(fold.fit[rows], fold.split, judge, columns, limits)


def _most_columns(num_rows: int) -> int:
    if num_rows * MOST_COLUMNS <= FREE_CELLS:
        return FREE_CELLS // max(num_rows, 1)
    return max(FEWEST_COLUMNS, min(MOST_COLUMNS, MOST_CELLS // num_rows))


def _correlation(features: Features, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return each column's largest absolute correlation with a target: `(features,)`."""
    targets = targets - targets.mean(axis=0)
    total = np.zeros(features.num_columns)
    squares = np.zeros(features.num_columns)
    crossed = np.zeros((features.num_columns, targets.shape[1]))
    for start in range(0, len(rows), BLOCK_ROWS):
        chosen = slice(start, start + BLOCK_ROWS)
        block = features.of("train", rows[chosen])
        total += block.sum(axis=0, dtype=np.float64)
        squares += np.square(block).sum(axis=0, dtype=np.float64)
        crossed += block.T @ targets[chosen].astype(np.float32)
    variance = squares - np.square(total) / len(rows)
    length = np.sqrt(np.maximum(variance, 0.0))
    correlations = np.abs(crossed) / np.maximum(np.sqrt(np.square(targets).sum(axis=0)), 1e-30)
    # a column that is nearly constant would win by rounding alone
    is_varied = variance > 1e-6 * np.maximum(squares, 1e-30)
    return np.where(is_varied, correlations.max(axis=1) / np.maximum(length, 1e-30), 0.0)


def _settings(num_fits: int, seed: int) -> dict[str, Any]:
    return {
        "max_iter": max(FEWEST_TREES, MOST_TREES // num_fits),
        "learning_rate": _LEARNING_RATE,
        "early_stopping": True,
        "n_iter_no_change": _PATIENCE,
        "random_state": seed,
    }


def _fit(model: Any, features: Features, truth: dict[str, np.ndarray], work: _Work) -> None:
    rows = features.of("train", work.fit, work.columns)
    model.set_params(max_bins=_num_bins(rows))
    judge = features.of(work.split, work.judge, work.columns)
    judged = truth[work.split][work.judge]
    with threadpool_limits(1, user_api="openmp"):
        model.fit(rows, truth["train"][work.fit], X_val=judge, y_val=judged)


def _num_bins(rows: np.ndarray) -> int:
    """Return how many bins the features need: counts have few values, and empty bins cost time."""
    if not rows.size or not np.array_equal(rows, np.rint(rows)):
        return 255
    return int(min(max(rows.max() - rows.min() + 1, 2), 255))


def _predict(
    predict: Callable[[np.ndarray], np.ndarray], features: Features, split: str, work: _Work
) -> np.ndarray:
    """Predict a split block by block: `(rows,)` or `(rows, classes)`."""
    with threadpool_limits(1, user_api="openmp"):
        blocks = [predict(block) for _, block in features.blocks(split, work.columns)]
    return np.concatenate(blocks)
