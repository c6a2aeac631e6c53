"""Splits of pairs: new drugs, new targets, both new, or the future."""

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.errors import DataError, counted
from taglm_core.plugin import assign_random, clean_cell, is_missing

BOTH_SHARE = 0.2
"""Share of the molecules, and of the sequences, that the test split of `cold_both` has."""
FIRST_YEAR, LAST_YEAR = 1800, 2200
"""Numbers outside are no years: two digits, or a spreadsheet's number of a date."""
TIME_SHARE = 0.1
"""Share of the rows that the newest years of `by_time` hold at least."""

_DATE = re.compile(
    r"(?P<first>\d{4})[-/.]\d{1,2}([-/.]\d{1,2})?([T ].*)?"
    r"|(\d{1,2}[-/.]){1,2}(?P<last>\d{4})( .*)?"
)
_SHORT_DATE = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{1,2}")
_NO_YEAR = (
    "the split 'dti/time': {!r} in the column of years is not a year of four digits. Write years "
    "such as 2014, or dates such as 2014-05-01."
)


def cold(columns: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """Put 80 % of the distinct values into train, 10 % into valid, 10 % into test.

    Args:
        columns: One column, canonical.
        seed: Decides which.
    """
    return assign_random(columns, seed)


def cold_both(columns: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """Keep molecules and sequences apart: a pair is in a split only if both of it are.

    Args:
        columns: Two columns, canonical.
        seed: Decides which.

    Returns:
        The part of each pair; "" where its two halves are in different ones.
    """
    shares = [_shares(values, [seed, place]) for place, values in enumerate(columns.values())]
    return [splits[0] if len(set(splits)) == 1 else "" for splits in zip(*shares, strict=True)]


def _shares(values: Sequence[str], seed: list[int]) -> list[str]:
    distinct = list(dict.fromkeys(values))
    order = np.random.default_rng(seed).permutation(len(distinct))
    num_test = max(1, round(BOTH_SHARE * len(distinct)))
    split_of = dict.fromkeys(distinct, "train")
    split_of |= {distinct[i]: "test" for i in order[:num_test]}
    split_of |= {distinct[i]: "valid" for i in order[num_test : 2 * num_test]}
    return [split_of[value] for value in values]


def by_time(columns: Mapping[str, Sequence[Any]], seed: int) -> list[str]:
    """Put the newest years into test, those before them into valid; whole years stay together.

    Args:
        columns: `year` among them.
        seed: Not used.

    Dates such as 2014-05-01, 05/2014 or 1.5.2014 count by their year.

    Returns:
        The part of each row; "" where no year can be read.

    Raises:
        DataError: when there are fewer than three years, or a number that is no year.
    """
    cells = columns["year"]
    years = [_year(value) for value in cells]
    known = [year for year in years if year is not None]
    ordered = sorted(set(known), reverse=True)
    if len(ordered) < 3:
        others = [c for c, y in zip(cells, years, strict=True) if y is None and not is_missing(c)]
        such = f" (no year: {counted(len(others), 'cell')} such as {others[0]!r})" if others else ""
        raise DataError(
            f"the split 'dti/time' needs three years or more, found "
            f"{', '.join(map(str, ordered)) or 'none'}{such}. Write years such as 2014 or dates "
            "such as 2014-05-01, or name another column: --column year=NAME."
        )
    split_of: dict[int, str] = {}
    least = math.ceil(TIME_SHARE * len(known))
    for split, later in (("test", 2), ("valid", 1)):
        count = 0
        # a year at least stays for each split that follows
        while count < least and len(ordered) > later:
            year = ordered.pop(0)
            split_of[year] = split
            count += known.count(year)
    return ["" if year is None else split_of.get(year, "train") for year in years]


def _year(value: Any) -> int | None:
    """Return the year of a cell; None where it holds none.

    Raises:
        DataError: for a number that may be a year of two digits, or a date of a spreadsheet.
    """
    if is_missing(value):
        return None
    if isinstance(value, datetime.date):
        return value.year
    text = clean_cell(str(value))
    match = _DATE.fullmatch(text)
    if match:
        return int(match["first"] or match["last"])
    try:
        number = float(text)
    except ValueError:
        if _SHORT_DATE.fullmatch(text):
            raise DataError(_NO_YEAR.format(text)) from None
        return None
    if not number.is_integer():
        return None
    if not FIRST_YEAR <= number <= LAST_YEAR:
        raise DataError(_NO_YEAR.format(text))
    return int(number)
