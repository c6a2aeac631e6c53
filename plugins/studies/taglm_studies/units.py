"""Numbers that do not look like the unit that their column or task names."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from taglm_studies.findings import SHOWN

LARGEST_LOG = 20.0
"""A decimal logarithm of a concentration, an affinity or a ratio lies within this."""
MANY_ORDERS = 1e4
"""Span of positive numbers from which their logarithm should be learned."""
_IS_LOG = re.compile(r"\bp(kd|ki|ic50|ec50|ka)\b|log", re.IGNORECASE)


def odd_units(values: np.ndarray, name: str, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Look for numbers in another unit, such as nM among pKd.

    Args:
        values: float `(rows,)`, NaN where there is none.
        name: Name of the target and its unit, which tell a logarithm.
        rows: Row number of each index.

    Returns:
        One record for each oddity: what, how many rows, the first of them; empty: nothing odd.
    """
    known = np.isfinite(values)
    if _IS_LOG.search(name):
        far = np.flatnonzero(known & (np.abs(values) > LARGEST_LOG))
        if not len(far):
            return []
        what = (
            f"{len(far):,} of {int(known.sum()):,} values beyond {LARGEST_LOG:g}, though the name "
            "or unit says logarithm (values in nM, not yet turned into -log10 mol/L?)"
        )
        return [_record(what, far, values, rows)]
    positive = values[known & (values > 0)]
    if len(positive) < 10 or (values[known] < 0).any():
        return []
    low, high = np.quantile(positive, [0.01, 0.99])
    if high < MANY_ORDERS * low:
        return []
    what = (
        f"values span {high / low:.1g} times from the 1st to the 99th percentile; a logarithm "
        "(such as pKd for Kd) is learned better"
    )
    return [_record(what, np.flatnonzero(known & (values >= high)), values, rows)]


def _record(what: str, far: np.ndarray, values: np.ndarray, rows: Sequence[int]) -> dict[str, Any]:
    examples = [{"row": rows[i], "value": float(values[i])} for i in far[:SHOWN]]
    return {"what": what, "count": len(far), "examples": examples}
