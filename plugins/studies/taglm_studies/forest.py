"""Random forests with scikit-learn's usual settings, on at most some rows.

Trees are grown by all cores that the process may use, each from a seed of its own, so that their
number changes nothing. One thread predicts: several would add up the trees in any order.
"""

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from taglm_core import BaselineResult
from taglm_studies.features import Features, Fold, sample_rows

NUM_TREES = 300
FEWEST_TREES = 50
"""Trees of a forest, and of each when many labels share the work."""
MOST_TRAIN_ROWS = 20_000


def forest_numbers(
    features: Features, truth: dict[str, np.ndarray], fold: Fold, seed: int
) -> BaselineResult:
    """Fit one forest for all targets, each scaled to variance 1.

    A third of the features is tried at each split and leaves hold one row, as Breiman (2001)
    proposes for numbers.

    Args:
        features: Features of all splits.
        truth: Split -> float `(rows, targets)`.
        fold: Which rows are fitted.
        seed: Of the forest, and of the rows when there are too many.
    """
    rows = _rows(fold, seed)
    targets = truth["train"][rows]
    center, scale = targets.mean(axis=0), targets.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    model = RandomForestRegressor(NUM_TREES, max_features=1 / 3, random_state=seed, n_jobs=-1)
    fitted = (targets - center) / scale
    model.fit(features.of("train", rows), fitted[:, 0] if fitted.shape[1] == 1 else fitted)
    model.set_params(n_jobs=1)
    predictions = {}
    for split, values in truth.items():
        blocks = [model.predict(block) for _, block in features.blocks(split)]
        preds = np.concatenate(blocks).reshape(values.shape)
        predictions[split] = preds * scale + center
    return BaselineResult(predictions, _limits(rows, fold))


def forest_classes(
    features: Features,
    truth: dict[str, np.ndarray],
    num_classes: int,
    fold: Fold,
    seed: int,
    num_fits: int = 1,
) -> BaselineResult:
    """Fit a forest for classes; the root of the number of features is tried at each split.

    Args:
        features: Features of all splits.
        truth: Split -> int `(rows,)` class indices, at least two of them in the rows fitted.
        num_classes: Number of columns of the predictions.
        fold: Which rows are fitted.
        seed: Of the forest, and of the rows when there are too many.
        num_fits: Number of such fits that share the trees, as for several labels.

    Returns:
        Probabilities `(rows, classes)` of all splits; 0 for a class that was not fitted.
    """
    rows = _rows(fold, seed)
    trees = max(FEWEST_TREES, NUM_TREES // num_fits)
    model = RandomForestClassifier(trees, max_features="sqrt", random_state=seed, n_jobs=-1)
    model.fit(features.of("train", rows), truth["train"][rows])
    model.set_params(n_jobs=1)
    predictions = {}
    for split, values in truth.items():
        probabilities = np.zeros((len(values), num_classes))
        for chosen, block in features.blocks(split):
            probabilities[chosen.start : chosen.start + len(block), model.classes_] = (
                model.predict_proba(block)
            )
        predictions[split] = probabilities
    return BaselineResult(predictions, _limits(rows, fold))


def _rows(fold: Fold, seed: int) -> np.ndarray:
    chosen: np.ndarray = fold.fit[sample_rows(len(fold.fit), MOST_TRAIN_ROWS, seed)]
    return chosen


def _limits(rows: np.ndarray, fold: Fold) -> dict[str, Any]:
    return {} if len(rows) == len(fold.fit) else {"train_rows": len(rows)}
