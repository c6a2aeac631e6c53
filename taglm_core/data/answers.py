"""Targets as the text that stands behind a row in a prompt."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from taglm_core.data.censoring import values_of
from taglm_core.specs import Classification, Regression, Target

UNKNOWN = "?"
"""Stands for a target that a row lacks."""
_MOST_DECIMALS = 6


def decimals_of(values: np.ndarray) -> int | None:
    """Return how many decimals tell values apart to a hundredth of their deviation.

    Args:
        values: float `(rows,)`, NaN where one is missing.

    Returns:
        None where that takes so many decimals that powers of ten are shorter.
    """
    spread = float(np.nanstd(values))
    if not spread:
        spread = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    wanted = max(0, math.ceil(-math.log10(spread / 100)))
    return wanted if wanted <= _MOST_DECIMALS else None


def number_text(value: float, decimals: int | None) -> str:
    """Return a number as text, "?" for none.

    Args:
        value: The number, NaN where it is missing.
        decimals: As `decimals_of` gives them.
    """
    if not math.isfinite(value):
        return UNKNOWN
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def answer_texts(
    target: Target, values: Any, classes: Sequence[str] = (), like: Any = None
) -> list[str]:
    """Return targets as text, such as "0.83"; several of a row with commas between them.

    Numbers have as many decimals as tell a hundredth of their deviation; "?" is not known.

    Args:
        target: Numbers, classes or texts.
        values: float `(rows, targets)`, int class indices `(rows,)` or labels `(rows, labels)`, -1
            where one is missing; texts.
        classes: Names of the classes.
        like: Numbers by which the decimals are chosen, such as those of the train split; None:
            `values`.
    """
    if isinstance(target, Classification):
        if target.multi_label:
            return [", ".join(str(int(v)) if v >= 0 else UNKNOWN for v in row) for row in values]
        return [classes[k] for k in values]
    if not isinstance(target, Regression):
        return list(values)
    numbers = values_of(np.asarray(values, dtype=np.float64))
    spread = numbers if like is None else values_of(np.asarray(like, dtype=np.float64))
    places = [decimals_of(spread[:, k]) for k in range(spread.shape[1])]
    return [", ".join(map(number_text, row, places)) for row in numbers.tolist()]
