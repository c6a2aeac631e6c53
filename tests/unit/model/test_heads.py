"""The closed form of the linear head, at once and while rows come in."""

import pytest
import torch

from taglm_core.data.masks import same_rows
from taglm_core.model.closed_form import (
    SufficientStatistics,
    huber_weights,
    impute,
    mean_above,
    solve_censored,
    solve_ridge,
)
from taglm_core.model.heads import MLPHead


def rows(count, seed=0, shift=0.0):
    """Return states and two targets that are linear in them, with noise."""
    make = torch.Generator().manual_seed(seed)
    states = torch.randn(count, 6, generator=make) * torch.arange(1, 7) + 3
    weights = torch.arange(12.0).reshape(2, 6) / 10 + shift
    return states, states @ weights.T + 1 + 0.1 * torch.randn(count, 2, generator=make)


def test_the_closed_form_minimises_the_penalised_loss():
    """No small step from the solution lowers mean squared error plus penalty."""
    states, targets = rows(200)
    alpha, weights, offsets = solve_ridge(states, targets, alphas=(0.1,))[0]
    variance = (states - states.mean(dim=0)).square().mean()

    def cost(w, b):
        error = (states @ w.T + b - targets).square().sum(dim=1).mean()
        return float(error + alpha * variance * w.square().sum())

    best = cost(weights, offsets)
    make = torch.Generator().manual_seed(1)
    for _ in range(20):
        step = 0.01 * torch.randn(2, 6, generator=make)
        assert cost(weights + step, offsets) > best
        assert cost(weights, offsets + step[:, 0]) > best


def test_rows_that_come_in_batches_give_the_same_head():
    """Without fading the order and the cuts do not matter."""
    states, targets = rows(200)
    statistics = SufficientStatistics(6, 2)
    for begin in range(0, 200, 40):
        statistics.add(states[begin : begin + 40], targets[begin : begin + 40])
    whole = solve_ridge(states, targets, alphas=(1e-2,))[0]
    torch.testing.assert_close(statistics.solve(1e-2), whole[1:])


def test_a_window_forgets_what_no_longer_holds():
    """After many times the window the head is that of the later rows."""
    statistics = SufficientStatistics(6, 2)
    statistics.add(*rows(400, shift=5.0), window=50)
    for seed in range(20):
        statistics.add(*rows(50, seed=seed), window=50)
    weights, _ = statistics.solve(1e-6)
    torch.testing.assert_close(weights, torch.arange(12.0).reshape(2, 6) / 10, atol=0.02, rtol=0)
    statistics.reset()
    assert not statistics.states.any()
    assert not statistics.cross.any()


def test_far_outliers_hardly_move_the_robust_head():
    """One row of twenty far off bends the squared solution and not Huber's."""
    states, targets = rows(400)
    wild = targets.clone()
    wild[::20] += 60.0
    truth = torch.arange(12.0).reshape(2, 6) / 10

    def error(delta):
        _, weights, offsets = solve_ridge(states, wild, alphas=(1e-6,), delta=delta)[0]
        return float((states @ weights.T + offsets - (states @ truth.T + 1)).abs().mean())

    assert error(None) > 2.5
    assert error(0.3) < 0.3


def test_huber_weights_leave_small_errors_alone():
    """Up to the threshold a row weighs 1, above it the threshold over its error."""
    errors = torch.tensor([[0.1, -0.3], [0.5, 0.5], [-4.0, 0.0]])
    torch.testing.assert_close(huber_weights(errors, 0.5), torch.tensor([1.0, 1.0, 0.25]))


def test_a_target_cut_off_at_a_floor_keeps_its_slope():
    """Two thirds of the rows lie below; least squares halves the slope, Tobit does not."""
    states = torch.randn(4000, 6, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(4000, 1, generator=torch.Generator().manual_seed(1))
    slope = torch.tensor([[1.0, -0.5, 0.0, 0.8, 0.0, 0.3]])
    free = states @ slope.T + 0.5 * noise - 0.6
    censored_below = torch.zeros(1)
    seen = free.clamp_min(0.0)
    assert 0.6 < float((seen == 0).float().mean()) < 0.7
    _, plain, _ = solve_ridge(states, seen, alphas=(1e-6,))[0]
    _, weights, offsets, sigma = solve_censored(states, seen, -(seen == 0).float(), alphas=(1e-6,))[
        0
    ]
    assert float((plain / slope)[0, 0]) < 0.6
    torch.testing.assert_close(weights, slope, atol=0.08, rtol=0)
    torch.testing.assert_close(sigma, torch.tensor([0.5]), atol=0.05, rtol=0)
    outputs = states @ weights.T + offsets
    found = mean_above(outputs, censored_below, sigma)
    assert float(found.min()) >= 0.0
    better = (found - seen).square().mean() / (states @ plain.T - seen).square().mean()
    assert float(better) < 0.5


def test_the_imputed_target_has_the_gradient_of_the_likelihood():
    """Half the gradient of the squared error over the variance is the likelihood's."""
    outputs = torch.tensor([[-30.0], [-1.0], [0.2], [3.0]]).double().requires_grad_(True)
    censored_below, sigma = torch.tensor([0.5]).double(), torch.tensor([0.7]).double()
    below = censored_below.expand(4, 1)
    negative = -torch.special.log_ndtr((censored_below - outputs) / sigma).sum()
    (expected,) = torch.autograd.grad(negative, outputs)
    is_below = torch.full((4, 1), -1.0)
    filled, variance = impute(outputs.detach(), below, is_below, sigma)
    torch.testing.assert_close((outputs.detach() - filled) / sigma**2, expected)
    assert (filled < censored_below).all()
    assert (variance >= 0).all()
    exact, _ = impute(outputs.detach(), below, torch.zeros(4, 1), sigma)
    torch.testing.assert_close(exact, below)
    above, same = impute(-outputs.detach(), -below, -is_below, sigma)  # a mirror image
    torch.testing.assert_close(above, -filled)
    torch.testing.assert_close(same, variance)


def test_each_row_has_its_own_limit_and_side():
    """Limits all over the range, some above, some below: the line is found as from exact values."""
    make = torch.Generator().manual_seed(0)
    states = torch.randn(2000, 3, generator=make)
    slope = torch.tensor([[1.0, -0.5, 0.3]])
    free = states @ slope.T + 0.3 * torch.randn(2000, 1, generator=make)
    limits = torch.randn(2000, 1, generator=make)
    sides = torch.where(torch.rand(2000, 1, generator=make) < 0.5, (free - limits).sign(), 0.0)
    seen = torch.where(sides == 0, free, limits)
    _, plain, _ = solve_ridge(states, seen, alphas=(1e-6,))[0]
    _, weights, offsets, sigma = solve_censored(states, seen, sides, alphas=(1e-6,))[0]
    assert float((plain - slope).abs().max()) > 0.3
    torch.testing.assert_close(weights, slope, atol=0.05, rtol=0)
    torch.testing.assert_close(offsets, torch.zeros(1), atol=0.05, rtol=0)
    torch.testing.assert_close(sigma, torch.tensor([0.3]), atol=0.03, rtol=0)


def test_censored_targets_may_be_missing_in_rows_of_their_own():
    """Each of several targets is solved on the rows that have it."""
    make = torch.Generator().manual_seed(0)
    states, noise = torch.randn(400, 3, generator=make), torch.randn(400, 2, generator=make)
    targets = states @ torch.tensor([[1.0, 0.0, 0.5], [0.0, -1.0, 0.0]]).T + 0.1 * noise
    sides = torch.zeros(400, 2)
    sides[:50] = 1.0
    targets[:50] -= 0.5
    gaps = targets.clone()
    gaps[200:, 1] = torch.nan
    both = solve_censored(states, gaps, sides, alphas=(1e-3,))[0]
    for k, rows in ((0, 400), (1, 200)):
        alone = solve_censored(
            states[:rows], targets[:rows, k : k + 1], sides[:rows, k : k + 1], alphas=(1e-3,)
        )[0]
        for found, expected in zip(both[1:], alone[1:], strict=True):
            torch.testing.assert_close(found[k], expected[0])


@pytest.mark.parametrize("options", [{"units": 0}, {"layers": 0}, {"dropout": 1.0}])
def test_options_of_the_mlp_out_of_range(options):
    """They are refused where they are given."""
    with pytest.raises(ValueError, match="must be at least 1"):
        MLPHead(6, 1, **options)


def test_the_mlp_takes_the_measure_of_its_columns():
    """A column that is far off or that never changes is no obstacle."""
    states, _ = rows(50)
    states = torch.cat([1e4 + 1e3 * states, torch.ones(50, 1)], dim=1)
    head = MLPHead(7, 2, units=5, layers=3)
    head.adapt_to(states)
    head.eval()
    inner = (states - head.mean) / head.scale
    torch.testing.assert_close(inner.mean(dim=0), torch.zeros(7), atol=1e-4, rtol=0)
    torch.testing.assert_close(head(states)[:1], head(states[:1]))
    assert head(states).shape == (50, 2)
    assert sum(p.numel() for p in head.parameters()) == 8 * 5 + 2 * 6 * 5 + 6 * 2


def test_targets_with_gaps_are_solved_on_their_own_rows():
    """Each target's head is the one of a task that has this target and these rows alone."""
    states, targets = rows(120)
    targets[::3, 0] = float("nan")
    targets[1::4, 1] = float("nan")
    for alpha, weights, offsets in solve_ridge(states, targets, alphas=(1e-2, 1.0)):
        for target in range(2):
            has = ~targets[:, target].isnan()
            own = targets[has, target : target + 1]
            _, alone, constant = solve_ridge(states[has], own, alphas=(alpha,))[0]
            torch.testing.assert_close(weights[target], alone[0])
            torch.testing.assert_close(offsets[target], constant[0])


def test_the_robust_head_leaves_gaps_out():
    """Rows without a target neither bend its head nor change what others weigh."""
    states, targets = rows(120)
    targets[::20] += 60.0
    gaps = targets[:, :1].clone()
    gaps[::3] = float("nan")
    has = ~gaps[:, 0].isnan()
    (found,) = solve_ridge(states, gaps, alphas=(1e-3,), delta=0.3)
    (alone,) = solve_ridge(states[has], gaps[has], alphas=(1e-3,), delta=0.3)
    torch.testing.assert_close(found[1:], alone[1:])
    errors = torch.tensor([[float("nan"), -3.0], [0.1, float("nan")]])
    torch.testing.assert_close(huber_weights(errors, 0.3), torch.tensor([0.1, 1.0]))


def test_sums_of_targets_with_gaps_come_in_batches():
    """Rows that come in splits give the solution of all rows; a target without rows gives 0."""
    states, targets = rows(200)
    targets = torch.cat([targets, torch.full((200, 1), float("nan"))], dim=1)
    targets[::3, 0] = float("nan")
    groups = same_rows(~targets.isnan().numpy())
    assert len(groups) == 3
    statistics = SufficientStatistics(6, 3, groups)
    for begin in range(0, 200, 40):
        statistics.add(states[begin : begin + 40], targets[begin : begin + 40])
    weights, offsets = statistics.solve(1e-2)
    _, whole, whole_offsets = solve_ridge(states, targets[:, :2], alphas=(1e-2,))[0]
    torch.testing.assert_close(weights[:2], whole)
    torch.testing.assert_close(offsets[:2], whole_offsets)
    assert not weights[2].any()
    assert not offsets[2].any()
