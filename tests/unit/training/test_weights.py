"""Sample weights: a row of weight 2 counts as two rows, one of weight 0 as none."""

import numpy as np
import pytest
import torch

from taglm_core.data.table import Table
from taglm_core.data.weights import read_weights, scaled_weights, weight_facts
from taglm_core.errors import DataError, RowError
from taglm_core.model.closed_form import solve_censored, solve_ridge
from taglm_core.training.ridge_fit import TargetRows, solve_rows

COUNTS = torch.tensor([2, 1, 3, 1, 0, 1, 2, 1, 1, 2])
TWICE = torch.repeat_interleave(torch.arange(10), COUNTS)


def rows(outputs=2):
    """Return states and targets of ten rows."""
    make = torch.Generator().manual_seed(0)
    return torch.randn(10, 3, generator=make), torch.randn(10, outputs, generator=make)


@pytest.mark.parametrize("delta", [None, 0.5])
def test_a_weighted_ridge_is_that_of_repeated_rows(delta):
    """With gaps in one target, too."""
    states, targets = rows()
    targets[3, 1] = torch.nan
    weighted = solve_ridge(states, targets, (1e-2,), delta, COUNTS.float())[0]
    repeated = solve_ridge(states[TWICE], targets[TWICE], (1e-2,), delta)[0]
    for found, expected in zip(weighted[1:], repeated[1:], strict=True):
        torch.testing.assert_close(found, expected)


def test_a_weighted_censored_solution_is_that_of_repeated_rows():
    """Limits weigh as values do."""
    states, targets = rows()
    sides = torch.zeros(10, 2)
    sides[::3] = -1.0
    weighted = solve_censored(states, targets, sides, (1e-2,), COUNTS.float())[0]
    repeated = solve_censored(states[TWICE], targets[TWICE], sides[TWICE], (1e-2,))[0]
    for found, expected in zip(weighted[1:], repeated[1:], strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_heads_are_compared_with_weights():
    """The ridge of a kernel head too is that of repeated rows."""
    x, y = (each.double() for each in rows())
    roots, one_group = COUNTS.double().sqrt().unsqueeze(1), (np.array([0, 1]),)
    mean = torch.zeros(2)
    weighted = solve_rows(x, x, TargetRows(y, y, mean, one_group, None, roots))
    repeated = solve_rows(x[TWICE], x, TargetRows(y[TWICE], y, mean, one_group, None))
    torch.testing.assert_close(weighted.weights, repeated.weights)
    assert weighted.alphas == repeated.alphas


def table(*cells):
    """Return a table with a column of weights."""
    return Table({"Weight": list(cells)}, list(range(1, len(cells) + 1)), "lab.csv")


def test_weights_are_read_for_the_rows_that_are_used():
    """Those of other rows may be anything."""
    weights = read_weights(table("1", "x", 2.5, "0"), "weight", [0, 2, 3])
    assert weights.tolist() == [1.0, 2.5, 0.0]
    facts = weight_facts("Weight", weights)
    assert (facts["least"], facts["largest"], facts["rows_of_weight_0"]) == (0.0, 2.5, 1)
    assert scaled_weights(weights, "lab.csv").mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("-1", "'-1' is below 0"),
        ("", "the cell is empty"),
        ("nan", "missing|empty|NaN"),
        ("inf", "infinite"),
        ("much", "is not a number"),
    ],
)
def test_what_is_no_weight_is_refused_with_its_row(cell, reason):
    """Whatever happens to other invalid rows: nobody means a weight that is missing."""
    with pytest.raises(RowError, match=rf"row 2: column 'Weight': .*({reason})"):
        read_weights(table("1", cell, "3"), "Weight", [0, 1, 2])
    with pytest.raises(DataError, match="no column 'w8' of sample weights.*--weights COLUMN"):
        read_weights(table("1"), "w8", [0])
    with pytest.raises(DataError, match="weight 0"):
        scaled_weights(np.zeros(3), "lab.csv")
