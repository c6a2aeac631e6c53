"""The closed form of the linear head, at once and while rows come in."""

import torch

from taglm_core.model.heads import Moments, huber_weights, solve_ridge


def rows(count, seed=0, shift=0.0):
    """Return states and two targets that are linear in them, with noise."""
    make = torch.Generator().manual_seed(seed)
    states = torch.randn(count, 6, generator=make) * torch.arange(1, 7) + 3
    weights = torch.arange(12.0).reshape(2, 6) / 10 + shift
    return states, states @ weights.T + 1 + 0.1 * torch.randn(count, 2, generator=make)


def test_the_closed_form_minimises_the_penalised_loss():
    """No small step from the solution lowers mean squared error plus penalty."""
    states, targets = rows(200)
    strength, weights, offsets = solve_ridge(states, targets, strengths=(0.1,))[0]
    variance = (states - states.mean(dim=0)).square().mean()

    def cost(w, b):
        error = (states @ w.T + b - targets).square().sum(dim=1).mean()
        return float(error + strength * variance * w.square().sum())

    best = cost(weights, offsets)
    make = torch.Generator().manual_seed(1)
    for _ in range(20):
        step = 0.01 * torch.randn(2, 6, generator=make)
        assert cost(weights + step, offsets) > best
        assert cost(weights, offsets + step[:, 0]) > best


def test_rows_that_come_in_batches_give_the_same_head():
    """Without fading the order and the cuts do not matter."""
    states, targets = rows(200)
    moments = Moments(6, 2)
    for begin in range(0, 200, 40):
        moments.add(states[begin : begin + 40], targets[begin : begin + 40])
    whole = solve_ridge(states, targets, strengths=(1e-2,))[0]
    torch.testing.assert_close(moments.solve(1e-2), whole[1:])


def test_a_window_forgets_what_no_longer_holds():
    """After many times the window the head is that of the later rows."""
    moments = Moments(6, 2)
    moments.add(*rows(400, shift=5.0), window=50)
    for seed in range(20):
        moments.add(*rows(50, seed=seed), window=50)
    weights, _ = moments.solve(1e-6)
    torch.testing.assert_close(weights, torch.arange(12.0).reshape(2, 6) / 10, atol=0.02, rtol=0)
    moments.reset()
    assert not moments.states.any()
    assert not moments.cross.any()


def test_far_outliers_hardly_move_the_robust_head():
    """One row of twenty far off bends the squared solution and not Huber's."""
    states, targets = rows(400)
    wild = targets.clone()
    wild[::20] += 60.0
    truth = torch.arange(12.0).reshape(2, 6) / 10

    def error(delta):
        _, weights, offsets = solve_ridge(states, wild, strengths=(1e-6,), delta=delta)[0]
        return float((states @ weights.T + offsets - (states @ truth.T + 1)).abs().mean())

    assert error(None) > 2.5
    assert error(0.3) < 0.3


def test_huber_weights_leave_small_errors_alone():
    """Up to the threshold a row weighs 1, above it the threshold over its error."""
    errors = torch.tensor([[0.1, -0.3], [0.5, 0.5], [-4.0, 0.0]])
    torch.testing.assert_close(huber_weights(errors, 0.5), torch.tensor([1.0, 1.0, 0.25]))
