"""Odd rows in the closed form: equal, few and not finite."""

import pytest
import torch

from taglm_core.errors import DataError
from taglm_core.model.closed_form import SufficientStatistics, solve_censored, solve_ridge


@pytest.mark.parametrize("rows", [1, 2, 3, 50])
@pytest.mark.parametrize("spread", [0.0, 1e-12, 1e-6])
def test_equal_states_give_the_mean(rows, spread):
    """Rows that are the same molecule over and over leave nothing to solve but the mean."""
    torch.manual_seed(0)
    states = torch.full((rows, 40), 3.7) + spread * torch.randn(rows, 40)
    targets = torch.randn(rows, 2)
    for _, weights, offsets in solve_ridge(states, targets):
        predicted = states @ weights.T + offsets
        assert torch.isfinite(predicted).all()
        assert predicted.mean(dim=0) == pytest.approx(targets.mean(dim=0), abs=0.1)


@pytest.mark.parametrize(
    ("where", "value"),
    [("states", float("nan")), ("states", float("inf")), ("targets", float("inf"))],
)
def test_what_is_not_finite_is_a_data_error(value, where):
    """The library's own message would name a matrix that nobody knows."""
    states, targets = torch.randn(8, 4), torch.randn(8, 1)
    (states if where == "states" else targets)[3, 0] = value
    with pytest.raises(DataError, match="NaN or infinite"):
        solve_ridge(states, targets)
    with pytest.raises(DataError, match="NaN or infinite"):
        solve_censored(states, targets, torch.zeros(8, 1))


def test_zero_states_are_solved():
    """A column, or all of them, may be constant at 0."""
    statistics = SufficientStatistics(5, 1)
    statistics.add(torch.zeros(4, 5), torch.ones(4, 1))
    weights, offsets = statistics.solve(1e-4)
    assert torch.equal(weights, torch.zeros(1, 5))
    assert float(offsets) == 1.0
