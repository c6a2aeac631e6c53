"""Descriptors as quantile levels: small to store, and robust against their long tails."""

import numpy as np
from scipy.special import ndtri

NUM_LEVELS = 100
MISSING = 255
CLIP = 4.0


def to_levels(values: np.ndarray) -> np.ndarray:
    """Return the quantile level of each value within its column, MISSING where it is not finite.

    Equal values share a level: that of the middle of their ranks.

    Args:
        values: (rows, columns).

    Returns:
        uint8 (rows, columns).
    """
    levels = np.full(values.shape, MISSING, np.uint8)
    for column, row in zip(levels.T, values.T, strict=True):
        finite = np.isfinite(row)
        if not finite.any():
            continue
        _, place, counts = np.unique(row[finite], return_inverse=True, return_counts=True)
        middle = (np.cumsum(counts) - counts / 2) / counts.sum()
        column[finite] = np.minimum(NUM_LEVELS - 1, (middle * NUM_LEVELS).astype(int))[place]
    return levels


def to_targets(levels: np.ndarray) -> np.ndarray:
    """Return standard scores of levels: their normal quantile, standardized by column and clipped.

    Args:
        levels: uint8 (rows, columns).

    Returns:
        float16 (rows, columns); 0, the mean, where a level is missing or a column is constant.
    """
    scores = np.zeros(256, np.float32)
    scores[:NUM_LEVELS] = ndtri((np.arange(NUM_LEVELS) + 0.5) / NUM_LEVELS)
    targets = np.empty(levels.shape, np.float16)
    for i, column in enumerate(levels.T):
        present = column != MISSING
        values = scores[column]
        mean = values[present].mean() if present.any() else 0.0
        spread = values[present].std() if present.any() else 0.0
        scaled = (values - mean) / spread if spread > 1e-6 else np.zeros_like(values)
        targets[:, i] = np.where(present, np.clip(scaled, -CLIP, CLIP), 0.0)
    return targets
