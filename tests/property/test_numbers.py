"""Cells as numbers and classes: a value or a reason, and never a guess."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taglm_core.data.columns import LARGEST, parse_classes, parse_numbers
from taglm_core.errors import DataError

FINITE = st.floats(-LARGEST, LARGEST, allow_nan=False)
BLANKS = st.text(st.sampled_from(" \t\ufeff\u200b\xa0"), max_size=3)
CELLS = st.one_of(
    st.text(max_size=12),
    st.text(st.sampled_from("0123456789.,-+eE_ '\u2212naNAinfx%"), max_size=10),
    st.floats(),
    st.integers(),
    st.none(),
    st.booleans(),
)


def parsed(cells):
    """Read cells as numbers, errors beside them."""
    return parse_numbers(cells, list(range(1, len(cells) + 1)), "a.csv", "Y", on_error="skip")


@given(numbers=st.lists(FINITE), before=BLANKS, after=BLANKS)
def test_a_written_number_comes_back(numbers, before, after):
    """To the last bit, with blanks around it or a typographic minus before it."""
    plain = [repr(number) for number in numbers]
    for cells in (
        plain,
        [before + cell + after for cell in plain],
        [cell.replace("-", "\u2212") for cell in plain],
        numbers,
    ):
        values, errors = parsed(cells)
        assert values.tolist() == numbers
        assert errors == [None] * len(numbers)


@given(cells=st.lists(CELLS, max_size=10))
def test_a_cell_has_a_number_or_a_reason(cells):
    """Finite and in the range of float32, or NaN with a reason that names the column."""
    values, errors = parsed(cells)
    assert values.dtype == np.float64
    for value, error in zip(values, errors, strict=True):
        if error is None:
            assert math.isfinite(value)
            assert abs(value) <= LARGEST
        else:
            assert math.isnan(value)
            assert error.startswith("column 'Y': ")


@given(cells=st.lists(CELLS, max_size=10))
def test_a_cell_is_read_alike_alone(cells):
    """What stands in other rows decides nothing."""
    values, errors = parsed(cells)
    for cell, value, error in zip(cells, values, errors, strict=True):
        alone, reasons = parsed([cell])
        assert reasons == [error]
        assert np.array_equal(alone, [value], equal_nan=True)


@given(groups=st.lists(st.integers(0, 999), min_size=2, max_size=4), mark=st.sampled_from(",'_ "))
def test_separators_of_thousands_are_not_guessed(groups, mark):
    """1,234 is one number in one country and another in the next."""
    cell = mark.join([str(groups[0]), *(f"{group:03d}" for group in groups[1:])])
    _, (error,) = parsed([cell])
    assert error is not None
    assert "is not a number" in error


@given(cells=st.lists(st.one_of(st.text(max_size=6), st.integers(0, 3)), max_size=8))
def test_class_names_are_read_once_and_for_all(cells):
    """A name or a reason a row; reading the names again changes nothing."""
    rows = list(range(1, len(cells) + 1))
    try:
        names, errors = parse_classes(cells, rows, "a.csv", "Y", on_error="skip")
    except DataError:  # two spellings of which nobody can say whether they are one class
        return
    assert [name is None for name in names] == [error is not None for error in errors]
    known = [name for name in names if name is not None]
    again, _ = parse_classes(known, list(range(1, len(known) + 1)), "a.csv", "Y")
    assert again == known
