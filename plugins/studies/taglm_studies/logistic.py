"""Logistic regression with a squared penalty; alpha chosen on the validation split."""

import warnings

import numpy as np
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from taglm_core import BaselineResult
from taglm_studies.features import Features, Fold, sample_rows

MOST_TRAIN_ROWS = 50_000
# scikit-learn's C, the inverse of the penalty, for features of variance 1
ALPHAS = (1e-3, 1e-2, 1e-1, 1.0)
_MOST_STEPS = 200
_SPARSE_BELOW = 0.1


def logistic_ridge(
    features: Features, truth: dict[str, np.ndarray], num_classes: int, fold: Fold, seed: int
) -> BaselineResult:
    """Fit class probabilities; the smallest log loss on the judging rows chooses the alpha.

    Args:
        features: Features of all splits.
        truth: Part -> int `(rows,)` class indices, at least two of them in the rows fitted.
        num_classes: Number of columns of the predictions.
        fold: Which rows are fitted and which judge.
        seed: Chooses the training rows when there are more than `MOST_TRAIN_ROWS`.

    Returns:
        Probabilities `(rows, classes)` of all splits.
    """
    chosen_rows = fold.fit[sample_rows(len(fold.fit), MOST_TRAIN_ROWS, seed)]
    rows = features.of("train", chosen_rows)
    scale = rows.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)  # (features,)
    rows /= scale
    is_sparse = np.count_nonzero(rows) < _SPARSE_BELOW * rows.size
    fitted = scipy.sparse.csr_array(rows) if is_sparse else rows
    del rows
    judged = features.of(fold.split, fold.rows) / scale
    wanted = truth[fold.split][fold.rows]
    best, least = None, np.inf
    for alpha in ALPHAS:
        model = LogisticRegression(C=alpha, max_iter=_MOST_STEPS)
        with warnings.catch_warnings():  # a baseline need not be exact to the last digit
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(fitted, truth["train"][chosen_rows])
        probabilities = _probabilities(model, judged, num_classes)[np.arange(len(wanted)), wanted]
        cost = float(-np.log(np.maximum(probabilities, 1e-12)).mean())
        if best is None or cost < least:
            best, least = model, cost
    predictions = {}
    for split, values in truth.items():
        preds = np.empty((len(values), num_classes))
        for chosen, block in features.blocks(split):
            preds[chosen] = _probabilities(best, block / scale, num_classes)
        predictions[split] = preds
    limits = {} if len(chosen_rows) == len(fold.fit) else {"train_rows": len(chosen_rows)}
    return BaselineResult(predictions, limits)


def _probabilities(model: LogisticRegression, rows: np.ndarray, num_classes: int) -> np.ndarray:
    """Return probabilities `(rows, classes)`; 0 for a class that was not in the rows fitted."""
    probabilities = np.zeros((len(rows), num_classes))
    probabilities[:, model.classes_] = model.predict_proba(rows)
    return probabilities
