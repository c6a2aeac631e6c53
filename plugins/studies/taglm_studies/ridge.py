"""Ridge regression by normal equations; strength and scaling chosen on the valid part."""

from collections.abc import Iterator

import attrs
import numpy as np

from taglm_studies.features import Features
from taglm_studies.outcome import Outcome

# relative to the mean of the matrix' diagonal
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@attrs.frozen
class _Equations:
    """Sums over training rows, of centred features and targets."""

    mean: np.ndarray
    """float32 `(features,)`."""
    target_mean: np.ndarray
    """float64 `(targets,)`."""
    products: np.ndarray
    """float64 `(features, features)`."""
    targets: np.ndarray
    """float64 `(features, targets)`."""


def ridge(features: Features, truth: dict[str, np.ndarray], seed: int) -> Outcome:
    """Fit a linear map with a squared penalty on all training rows.

    Both raw features and features of variance 1 are tried at several strengths; the smallest error
    on the valid part wins (without one: on a tenth of the training rows, and the fit is of the
    others).

    Args:
        features: Features of all parts.
        truth: Part -> float `(rows, targets)`.
        seed: Chooses the tenth.

    Returns:
        Predictions of all parts.
    """
    valid_rows = None
    fit_rows = np.arange(len(truth["train"]))
    valid_part = "valid"
    if "valid" not in truth and len(fit_rows) >= 20:
        order = np.random.default_rng(seed).permutation(fit_rows)
        valid_part, valid_rows, fit_rows = "train", order[: len(order) // 10], order[len(order) // 10 :]
    equations = _equations(features, fit_rows, truth["train"])
    candidates = list(_solutions(equations))
    weights = np.stack(candidates, axis=2)  # (features, targets, candidates)
    ...
