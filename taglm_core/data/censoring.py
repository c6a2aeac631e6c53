"""Censored targets: a cell such as `<-5` or `>10` is a limit, and the value lies beyond it.

Each row has its own limit and side. Targets with censored cells are float64 `(rows, targets, 2)`:
value or limit, then side; targets without are `(rows, targets)`. Both are cut and joined alike.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.data.characters import clean, with_minus
from taglm_core.data.columns import (
    OnError,
    check_on_error,
    number_or_reason,
    parse_numbers,
    raise_bad_cells,
)

BELOW, EXACT, ABOVE = -1, 0, 1
"""The value is at most the number of the cell, equal to it, or at least it."""

SIDE_WORDS = {BELOW: "<", EXACT: "", ABOVE: ">"}
"""Side -> how a column says it."""

HOW_COUNTED = "trained as limits and left out of the metrics"
"""How censored rows count, for metrics.json and remarks."""

_CELL = re.compile(r"(<=?|≤|>=?|≥)\s*(.+)")


def limit_and_side(value: Any) -> tuple[float, int] | None:
    """Return the limit and the side of a censored cell: `<-5` is -5, below; None for any other."""
    match = _CELL.fullmatch(with_minus(clean(value))) if isinstance(value, str) else None
    number = number_or_reason(match[2]) if match else None
    if match is None or not isinstance(number, float):
        return None
    return number, BELOW if match[1][0] in "<≤" else ABOVE


def parse_censored(
    values: Sequence[Any],
    rows: Sequence[int],
    source: str,
    column: str,
    on_error: OnError = "raise",
) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """Read cells as finite numbers or as limits of them.

    Args:
        values: Cells, as text or as numbers.
        rows: Row number of each cell, for messages.
        source: The file, for messages.
        column: The column, for messages.
        on_error: "raise": bad cells are an error that counts them all; "skip": they become NaN.

    Returns:
        float64 `(rows,)`: numbers and limits; int64 `(rows,)`: the side of each; and for each row
        None or what is wrong with its cell.

    Raises:
        RowError: naming file, row and cell of the first five bad ones.
        ConfigError: when `on_error` is another word.
    """
    check_on_error(on_error)
    numbers, errors = parse_numbers(values, rows, source, column, on_error="skip")
    sides = np.zeros(len(values), dtype=np.int64)
    for index, error in enumerate(errors):
        found = limit_and_side(values[index]) if error is not None else None
        if found is not None:
            numbers[index], sides[index] = found
            errors[index] = None
    if on_error == "raise":
        raise_bad_cells(errors, rows, source, "number")
    return numbers, sides, errors


def with_sides(values: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Return targets of values and sides, both `(rows, targets)`; values alone if all are exact."""
    return np.stack([values, sides.astype(values.dtype)], axis=2) if sides.any() else values


def has_sides(targets: Any) -> bool:
    """Say whether targets have censored cells."""
    return getattr(targets, "ndim", 0) == 3


def values_of(targets: Any) -> Any:
    """Return the values and limits of an array or tensor, NaN where one is missing."""
    return targets[..., 0] if has_sides(targets) else targets


def sides_of(targets: Any) -> Any:
    """Return the side of each target of an array or tensor, `(rows, targets)`."""
    return targets[..., 1] if has_sides(targets) else targets * 0


def exact_of(targets: Any) -> Any:
    """Return the exact values, NaN where one is censored or missing; any other target as it is."""
    if not has_sides(targets):
        return targets
    return np.where(targets[..., 1] == EXACT, targets[..., 0], np.nan)


def joined_targets(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the targets of two tables, of which only one may have censored cells."""
    if has_sides(first) == has_sides(second):
        return np.concatenate([first, second])
    both = [t if has_sides(t) else np.stack([t, np.zeros_like(t)], axis=2) for t in (first, second)]
    return np.concatenate(both)


def censored_facts(
    names: Sequence[str], truth: Any, prediction: Any
) -> dict[str, dict[str, dict[str, int]]]:
    """Return what metrics.json says of the censored rows of a split; {} where there are none.

    Args:
        names: Names of the targets.
        truth: Targets as above.
        prediction: `(rows, targets)`.

    Returns:
        `censored`: target -> rows `below` and `above` their limit, and `predicted_beyond`: those
        whose prediction lies where the cell says.
    """
    if not has_sides(truth):
        return {}
    facts = {}
    for k, name in enumerate(names):
        limits, sides = truth[:, k, 0], truth[:, k, 1]
        agrees = (sides != EXACT) & (sides * (prediction[:, k] - limits) >= 0)
        if (sides != EXACT).any():
            facts[name] = {
                "below": int((sides == BELOW).sum()),
                "above": int((sides == ABOVE).sum()),
                "predicted_beyond": int(agrees.sum()),
            }
    return {"censored": facts} if facts else {}


def censored_remark(names: Sequence[str], targets: Any) -> str | None:
    """Return a sentence about the censored cells of all rows; None where there are none."""
    if not has_sides(targets):
        return None
    sides = targets[..., 1]
    said = []
    for k, name in enumerate(names):
        counts: Mapping[str, int] = {
            "below": int((sides[:, k] == BELOW).sum()),
            "above": int((sides[:, k] == ABOVE).sum()),
        }
        shown = " and ".join(f"{n:,} {side} a limit" for side, n in counts.items() if n)
        said += [f"{name} {shown}"] if shown else []
    return f"censored values ({', '.join(said)}) are {HOW_COUNTED}"
