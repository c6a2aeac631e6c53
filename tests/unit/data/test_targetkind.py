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
