"""Splits of pairs: new drugs, new targets, both new, or the future."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.errors import DataError
from taglm_core.plugin import assign_random

BOTH_SHARE = 0.2
"""Share of the molecules, and of the sequences, that the test part of `cold_both` has."""
TIME_SHARE = 0.1
"""Share of the rows that the newest years of `by_time` hold at least."""


def cold(columns: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """Put 80 % of the distinct values into train, 10 % into valid, 10 % into test.

    Args:
        columns: One column, canonical.
        seed: Decides which.
    """
    return assign_random(columns, seed)


def cold_both(columns: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """Keep molecules and sequences apart: a pair is in a part only if both of it are.

    Args:
        columns: Two columns, canonical.
        seed: Decides which.

    Returns:
        The part of each pair; "" where its two halves are in different ones.
    """
    found = [_shares(values, [seed, place]) for place, values in enumerate(columns.values())]
    return [parts[0] if len(set(parts)) == 1 else "" for parts in zip(*found, strict=True)]


def _shares(values: Sequence[str], seed: list[int]) -> list[str]:
    distinct = list(dict.fromkeys(values))
    order = np.random.default_rng(seed).permutation(len(distinct))
    held = max(1, round(BOTH_SHARE * len(distinct)))
    part_of = dict.fromkeys(distinct, "train")
    part_of |= {distinct[i]: "test" for i in order[:held]}
    part_of |= {distinct[i]: "valid" for i in order[held : 2 * held]}
    return [part_of[value] for value in values]


def by_time(columns: Mapping[str, Sequence[Any]], seed: int) -> list[str]:
    """Put the newest years into test, those before them into valid; whole years stay together.

    Args:
        columns: `year` among them.
        seed: Not used.

    Returns:
        The part of each row; "" where the year is no whole number.

    Raises:
        DataError: when there are fewer than three years.
    """
    years = [_year(value) for value in columns["year"]]
    known = [year for year in years if year is not None]
    ordered = sorted(set(known), reverse=True)
    if len(ordered) < 3:
        raise DataError(
            f"the split 'dti/time' needs three years or more, found "
            f"{', '.join(map(str, ordered)) or 'none'}. Name the column: --column year=NAME."
        )
    part_of: dict[int, str] = {}
    least = math.ceil(TIME_SHARE * len(known))
    for part, later in (("test", 2), ("valid", 1)):
        count = 0
        # a year at least stays for each part that follows
        while count < least and len(ordered) > later:
            year = ordered.pop(0)
            part_of[year] = part
            count += known.count(year)
    return ["" if year is None else part_of.get(year, "train") for year in years]


def _year(value: Any) -> int | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None
