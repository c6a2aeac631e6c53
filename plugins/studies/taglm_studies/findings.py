"""What can be wrong with the rows of a data file; how columns are found is in `check.py`.

Every function takes whole columns and gives plain values for JSON: counts over all rows, and the
first few rows as examples.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

SHOWN = 5
OUTLIER_Z = 6.0

# Robust standard deviations of a normal distribution: 1.4826 times the median of the absolute
# deviations, or 1.2533 times their mean (Iglewicz and Hoaglin 1993).
_MEDIAN_FACTOR = 1.4826
_MEAN_FACTOR = 1.2533

Groups = list[list[int]]


def equal_rows(keys: Sequence[Hashable | None]) -> Groups:
    """Return the indices of rows with equal keys, groups of two and more; None equals nothing."""
    rows_of: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        if key is not None:
            rows_of[key].append(index)
    return [indices for indices in rows_of.values() if len(indices) > 1]


def duplicates(groups: Groups, rows: Sequence[int]) -> dict[str, Any]:
    """Count rows that repeat another.

    Args:
        groups: Groups of equal rows.
        rows: Row number of each index.
    """
    return {
        "groups": len(groups),
        "repeated_rows": sum(len(group) - 1 for group in groups),
        "examples": [[rows[i] for i in group[:SHOWN]] for group in groups[:SHOWN]],
    }


def between_splits(groups: Groups, splits: Sequence[str], rows: Sequence[int]) -> dict[str, Any]:
    """Count groups of equal rows that stand in several splits, for each pair of splits.

    Args:
        groups: Groups of equal rows.
        splits: Part of each index.
        rows: Row number of each index.
    """
    pairs: dict[str, int] = defaultdict(int)
    examples: list[dict[str, int]] = []
    for group in groups:
        names = sorted({splits[i] for i in group})
        for number, first in enumerate(names):
            for second in names[number + 1 :]:
                pairs[f"{first}-{second}"] += 1
        if len(names) > 1 and len(examples) < SHOWN:
            firsts = [next(i for i in group if splits[i] == split) for split in names]
            examples.append({splits[i]: rows[i] for i in firsts})
    return {"groups": dict(sorted(pairs.items())), "examples": examples}


def conflicts(groups: Groups, values: Sequence[Any], rows: Sequence[int]) -> dict[str, Any]:
    """Find equal inputs with different targets; the widest spreads come first.

    Args:
        groups: Groups of equal rows.
        values: Target of each index; None or NaN where it has none.
        rows: Row number of each index.
    """
    conflicting = []
    num_inputs = 0
    for group in groups:
        known = [(i, values[i]) for i in group if values[i] is not None and values[i] == values[i]]
        num_inputs += len(known) > 1
        if len({value for _, value in known}) > 1:
            conflicting.append(known)
    numeric = all(isinstance(value, float) for known in conflicting for _, value in known)
    result: dict[str, Any] = {"groups": len(conflicting), "repeated_inputs": num_inputs}
    if numeric and conflicting:
        conflicting.sort(key=_spread, reverse=True)
        spreads = [_spread(known) for known in conflicting]
        result |= {"median_spread": float(np.median(spreads)), "largest_spread": spreads[0]}
    result["examples"] = [
        {"rows": [rows[i] for i, _ in known[:SHOWN]], "values": [v for _, v in known[:SHOWN]]}
        for known in conflicting[:SHOWN]
    ]
    return result


def _spread(known: list[tuple[int, Any]]) -> float:
    values = [value for _, value in known]
    return float(max(values) - min(values))


def outliers(values: np.ndarray, rows: Sequence[int]) -> dict[str, Any]:
    """Find numbers more than `OUTLIER_Z` robust standard deviations from the median.

    Args:
        values: float `(rows,)`, NaN where there is none.
        rows: Row number of each index.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return {"count": 0, "median": None, "deviation": None, "examples": []}
    median = float(np.median(known))
    distances = np.abs(known - median)
    deviation = _MEDIAN_FACTOR * float(np.median(distances))
    if deviation == 0:  # more than half of the values are equal
        deviation = _MEAN_FACTOR * float(distances.mean())
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(values - median) / deviation
    far = np.flatnonzero(z > OUTLIER_Z)
    order = far[np.argsort(-z[far], kind="stable")]
    return {
        "count": len(far),
        "median": median,
        "deviation": deviation,
        "examples": [
            {"row": rows[i], "value": float(values[i]), "z": round(float(z[i]), 1)}
            for i in order[:SHOWN]
        ],
    }


def marked(errors: Sequence[str | None], rows: Sequence[int]) -> dict[str, Any]:
    """Count rows with an error, and show the first.

    Args:
        errors: For each index None or what is wrong.
        rows: Row number of each index.
    """
    bad = [(rows[i], error) for i, error in enumerate(errors) if error is not None]
    return {
        "count": len(bad),
        "examples": [{"row": row, "reason": error} for row, error in bad[:SHOWN]],
    }
