"""The values of a column decide whether it holds numbers or classes."""

import pytest

from taglm_core.data.table import Table
from taglm_core.data.targetkind import target_kind
from taglm_core.errors import DataError


def kind(cells, wanted=None):
    """Return the kind of a column with these cells."""
    rows = list(range(1, len(cells) + 1))
    return target_kind(Table({"y": list(cells)}, rows, "lab.csv"), "y", wanted)


@pytest.mark.parametrize(
    "cells", [["1.5", "2", "-3e-2", ""], ["7", "n/a", "8", "9", "10", "11"], [1, 2.5, None, 4]]
)
def test_numbers_are_a_regression(cells):
    """Missing cells do not count."""
    found = kind(cells)
    assert found.kind == "regression"
    assert "numbers from" in found.said
    assert "censored" not in found.said


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["0", "1", "1", "0"], ("0", "1")),
        (["Active", "Inactive", "active"], ("Inactive", "Active")),
        (["yes", "no", ""], ("no", "yes")),
        ([True, False, True], ("False", "True")),
    ],
)
def test_two_labels_are_classes_the_negative_one_first(cells, classes):
    """Yes is the second class, which AUROC ranks; the frequent spelling names it."""
    found = kind(cells)
    assert found.kind == "classification"
    assert tuple(map(str.lower, found.classes)) == tuple(map(str.lower, classes))
    assert found.is_label


def test_words_that_recur_are_classes():
    """Their names come from the train split."""
    found = kind(["red", "blue", "green"] * 4)
    assert (found.kind, found.classes) == ("classification", None)
    assert "3 classes: red (4)" in found.said


@pytest.mark.parametrize("cells", [["a", "b", "c", "d"], ["1", "x", "y", "z", "u"], ["", None]])
def test_what_is_no_target_is_an_error(cells):
    """Free text, mixtures and empty columns."""
    with pytest.raises(DataError, match=r"cannot be a target|has no values"):
        kind(cells)


def test_censored_cells_are_counted():
    """Each cell is a limit of its own; exact values stay exact."""
    found = kind(["-1", "<-5", "-2", "< -5", "<=-6", "-7", "<-4", ">3"])
    assert found.kind == "regression"
    assert "numbers from -7 to 3" in found.said
    assert "4 of them below a limit (left-censored)" in found.said
    assert "1 of them above a limit (right-censored)" in found.said


def test_few_whole_numbers_are_said_and_can_be_classes():
    """Grades may be either."""
    found = kind(["1", "2", "3", "3"])
    assert found.kind == "regression"
    assert "task.target.kind: classification" in found.said
    assert kind(["1", "2", "3", "3"], "classification").kind == "classification"
    assert kind(["0", "1", "1"], "regression").kind == "regression"


def test_spellings_of_one_label_are_counted_together():
    """A chemist compares the counts with those of the spreadsheet."""
    found = kind(["Active"] * 3 + ["active "] * 2 + ["Inactive"] * 4 + ["INACTIVE"])
    assert found.said == "Inactive (5) and Active (5)"


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["-2,74", "1,5", "0,3", "7,12", "9,1"], "'-2,74' is not a number; write -2.74."),
        (["27,400.0", "1,500.5", "9,000.0"], "write it without separators of thousands"),
        (["-2.7 mol/L", "1 mol/L", "3.5 mol/L"], "write numbers alone, all in one unit"),
        (["27%", "30 %", "51%"], "write numbers alone, all in one unit"),
        (["<5 µM", "5 nM", "7 nM"], "write numbers alone, all in one unit"),
        (["active"] * 3, "all of its 3 values are 'active'."),
    ],
)
def test_what_keeps_a_column_from_being_a_target_is_said(cells, said):
    """Decimal commas and units come with every export of a spreadsheet."""
    with pytest.raises(DataError, match="cannot be a target") as caught:
        kind(cells)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["5", "5.0", 5], "one number only, 5"),
        ([1e9, 1e9 + 0.5], "numbers from 1000000000 to 1000000000.5"),
        ([-4.5, 0.47], "numbers from -4.5 to 0.47"),
    ],
)
def test_the_range_tells_its_ends_apart(cells, said):
    """From 1e+09 to 1e+09 says nothing, and one number is no set of classes."""
    assert kind(cells).said == said
