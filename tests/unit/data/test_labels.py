"""Cells of a multi-label target: 0, 1 and nothing else, whatever pair of words a file uses."""

import numpy as np
import pytest

from taglm_core.data.labels import parse_labels
from taglm_core.data.masks import is_known, same_rows, without_missing
from taglm_core.errors import DataError


@pytest.mark.parametrize(
    "cells",
    [
        ["0", "1", None],
        ["False", "true", None],
        ["n", "Y", None],
        ["inactive", "Active", None],
        ["-", "+", None],
        [0.0, 1.0, float("nan")],
        [False, True, "NA"],
        ["negative", "Positive", None],
    ],
)
def test_a_pair_of_words_for_no_and_yes(cells):
    """Each file has its own; a cell without one is a missing label."""
    labels, errors = parse_labels(cells, "tox.csv", "t1", None)
    assert labels.tolist() == [0, 1, -1]
    assert errors == [None, None, None]


def test_a_third_code_is_an_error_with_values_and_counts():
    """2 and -1 often stand for "not measured"; they are neither classes nor missing."""
    labels, errors = parse_labels(["0", "2", "1", "-1", "0"], "tox.csv", "t1", None)
    assert [error is None for error in errors] == [True, False, True, False, True]
    assert "column 't1': '2' is not a label (0 or 1)" in errors[1]
    assert "'0' in 2 rows" in errors[1]
    assert "'-1' in 1 row" in errors[1]
    assert "Leave a cell empty where the label is not known" in errors[1]
    assert labels[[0, 2, 4]].tolist() == [0, 1, 0]


def test_two_pairs_in_one_column_are_an_error():
    """True may be 1 or a mistake of joining two tables."""
    with pytest.raises(DataError, match=r"tox.csv, column 't1': the labels mix 0/1 and false/true"):
        parse_labels(["1", "True", "0"], "tox.csv", "t1", None)


def test_words_that_do_not_say_which_means_yes_are_an_error():
    """The last one by the alphabet would be a guess."""
    with pytest.raises(DataError, match=r"which label means yes\? The column holds 'A' in 2 rows"):
        parse_labels(["A", "B", "A"], "tox.csv", "t1", None)


def test_named_classes_decide_the_order():
    """The first one is no; names are taken in any case unless they differ in nothing else."""
    assert parse_labels(["B", "a", "-"], "f", "c", ("B", "A"))[0].tolist() == [0, 1, -1]
    assert parse_labels(["na", "-"], "f", "c", ("-", "na"))[0].tolist() == [1, 0]
    assert parse_labels(["no", "Yes"], "f", "c", ("0", "1"))[0].tolist() == [0, 1]
    assert parse_labels(["r", "R"], "f", "c", ("R", "r"))[0].tolist() == [1, 0]
    assert "is not a label (B or A)" in parse_labels(["0"], "f", "c", ("B", "A"))[1][0]


def test_a_column_without_any_label():
    """It is all missing; whether that is an error is decided where the splits are known."""
    labels, errors = parse_labels([None, None], "f", "c", None)
    assert labels.tolist() == [-1, -1]
    assert errors == [None, None]


def test_masks():
    """NaN and -1 are what is missing; targets of the same rows are one group."""
    numbers = np.array([[1.0, np.nan, 2.0], [np.nan, 1.0, np.nan]])
    assert is_known(numbers).tolist() == [[True, False, True], [False, True, False]]
    assert is_known(np.array([[0, -1]])).tolist() == [[True, False]]
    assert [group.tolist() for group in same_rows(is_known(numbers))] == [[0, 2], [1]]
    assert without_missing(np.array([1, -1])) == [1, None]
    assert without_missing(np.array([0.5, np.nan])) == [0.5, None]
