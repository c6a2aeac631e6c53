"""Which targets of a row are known: NaN stands for a missing number, -1 for a missing label.

A row of several targets may lack some of them. It takes part in whatever concerns the others.
"""

from typing import Any

import numpy as np

MISSING_LABEL = -1
"""Stands in int `(rows, labels)` where a label is missing."""


def is_known(values: Any) -> np.ndarray:
    """Say which targets are known.

    Args:
        values: float `(rows, targets)`, int `(rows,)` class indices or `(rows, labels)`.

    Returns:
        bool of the same shape.
    """
    array = np.asarray(values)
    known: np.ndarray = np.isfinite(array) if array.dtype.kind == "f" else array != MISSING_LABEL
    return known


def known_targets(values: Any) -> np.ndarray:
    """Return targets as float64 with NaN where one is missing, whatever their kind."""
    return np.where(is_known(values), np.asarray(values, dtype=np.float64), np.nan)


def without_missing(column: np.ndarray) -> list[Any]:
    """Return a target's values as plain Python values, None where one is missing."""
    known = is_known(column)
    return [value if there else None for value, there in zip(column.tolist(), known, strict=True)]


def same_rows(known: np.ndarray) -> list[np.ndarray]:
    """Group targets that are known in the same rows, so that what they share is computed once.

    Args:
        known: bool `(rows, targets)`.

    Returns:
        int64 indices of the targets of each group; every target comes once.
    """
    groups: dict[bytes, list[int]] = {}
    for target in range(known.shape[1]):
        groups.setdefault(np.packbits(known[:, target]).tobytes(), []).append(target)
    return [np.array(group) for group in groups.values()]
