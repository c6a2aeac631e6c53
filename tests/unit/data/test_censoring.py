"""Cells such as `<-5` are limits of their own rows."""

import numpy as np
import pytest

from taglm_core.data.censoring import (
    censored_facts,
    censored_remark,
    exact_of,
    has_sides,
    joined_targets,
    parse_censored,
    sides_of,
    values_of,
    with_sides,
)
from taglm_core.data.columns import parse_numbers
from taglm_core.errors import RowError

VALUES, SIDES = np.array([[1.0], [2.0], [3.0]]), np.array([[0], [-1], [1]])


def parse(*cells):
    """Read cells, bad ones becoming NaN."""
    return parse_censored(cells, range(1, len(cells) + 1), "lab.csv", "y", on_error="skip")


def test_each_cell_has_a_side_of_its_own():
    """Every sign that people write, with and without blanks; a number is exact."""
    numbers, sides, errors = parse("-7", "<-5", "<= -5", "\u2264-4", ">10", ">=1e3", "\u2265 2", 3)
    assert numbers.tolist() == [-7, -5, -5, -4, 10, 1000, 2, 3]
    assert sides.tolist() == [0, -1, -1, -1, 1, 1, 1, 0]
    assert errors == [None] * 8


@pytest.mark.parametrize("cell", ["<", "<x", ">NA", "", "5<", "<inf"])
def test_what_is_no_limit_is_a_bad_cell(cell):
    """The cell is named."""
    numbers, sides, (error,) = parse(cell)
    assert np.isnan(numbers[0])
    assert sides[0] == 0
    assert error.startswith("column 'y': ")
    with pytest.raises(RowError, match="no usable number in 1 of 1 row"):
        parse_censored([cell], [1], "lab.csv", "y")


def test_a_limit_is_no_number_elsewhere():
    """The message says where one is read."""
    with pytest.raises(RowError, match="in the column of a target of numbers only"):
        parse_numbers(["<5"], [1], "lab.csv", "dose")


def test_values_sides_and_exact_values():
    """Targets without sides keep their shape."""
    targets = with_sides(VALUES, SIDES)
    assert has_sides(targets)
    assert values_of(targets).tolist() == VALUES.tolist()
    assert sides_of(targets).tolist() == SIDES.tolist()
    assert exact_of(targets)[:, 0].tolist() == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)
    plain = with_sides(VALUES, SIDES * 0)
    assert not has_sides(plain)
    assert exact_of(plain) is plain


def test_a_table_without_limits_joins_one_with():
    """As a test file of its own may have none."""
    targets = with_sides(VALUES, SIDES)
    for pair in ((targets, VALUES), (VALUES, targets), (targets, targets)):
        joined = joined_targets(*pair)
        assert values_of(joined).tolist() == [*VALUES.tolist(), *VALUES.tolist()]
    assert sides_of(joined_targets(VALUES, targets)).tolist() == [[0]] * 3 + SIDES.tolist()
    assert not has_sides(joined_targets(VALUES, VALUES))


def test_metrics_and_remarks_count_limits():
    """A prediction beyond the limit agrees with it."""
    targets = with_sides(VALUES, SIDES)
    facts = censored_facts(("y",), targets, np.array([[9.0], [1.5], [2.0]]))
    assert facts == {"censored": {"y": {"below": 1, "above": 1, "predicted_beyond": 1}}}
    assert censored_facts(("y",), VALUES, VALUES) == {}
    assert "y 1 below a limit and 1 above a limit" in censored_remark(("y",), targets)
    assert censored_remark(("y",), VALUES) is None
