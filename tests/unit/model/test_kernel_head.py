"""The kernel head: similarities to training rows, and ridges judged without refitting."""

import numpy as np
import pytest
import torch

from taglm_core.model.kernel_head import KernelHead
from taglm_core.training import kernel_fit
from taglm_core.training.kernel_fit import fit_kernel
from taglm_core.training.ridge_fit import (
    RIDGE_ALPHAS,
    Errors,
    TargetRows,
    directions_of,
    penalties,
    solve_rows,
)


@pytest.fixture(autouse=True)
def without_trees(monkeypatch):
    """What is tested here are the kernels."""
    monkeypatch.setattr(kernel_fit, "grow_trees", lambda *args: None)


def made(seed=0, points=7, width=5, blocks=(3, 2)):
    """Return a head with random numbers, and rows."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(40, width, generator=generator) * torch.tensor([1.0, 10, 0.1, 3, 0])
    head = KernelHead(width, 2, points, 2).eval()
    head.reads[1, 3:] = False
    head.scale_by(rows, blocks)
    head.points.copy_(head.scaled(rows[:points]))
    with torch.no_grad():
        head.weight.copy_(torch.randn(2, 2, points, generator=generator))
        head.gamma.copy_(torch.tensor([0.7, 0.4]))
    return head, rows


def test_outputs_are_weighted_similarities():
    """The mean of two kernels, one of which reads three columns; points in half precision."""
    head, rows = made()
    scaled = head.scaled(rows).double().numpy()
    points = head.points.double().numpy()
    squares = (scaled[:, None] - points[None]) ** 2
    first, second = head.weight.detach().double().numpy()
    wanted = np.exp(-0.7 * squares.sum(axis=2)) @ first.T
    wanted = (wanted + np.exp(-0.4 * squares[:, :, :3].sum(axis=2)) @ second.T) / 2
    np.testing.assert_allclose(head(rows).detach().numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_each_block_counts_the_same_and_constant_columns_do_not():
    """The mean square of a block is 1, whatever its width and units."""
    head, rows = made()
    scaled = head.scaled(rows)
    for block in (slice(0, 3), slice(3, 5)):
        assert float(scaled[:, block].square().sum(dim=1).mean()) == pytest.approx(1.0, rel=1e-4)
    far = rows.clone()
    far[:, 4] = 1e9
    torch.testing.assert_close(head(far), head(rows))


def test_a_saved_head_is_the_same():
    """Its sizes are those of its numbers."""
    head, rows = made()
    state = {name: value.clone() for name, value in head.state_dict().items()}
    torch.testing.assert_close(KernelHead.of_state(state)(rows), head(rows), rtol=0, atol=0)


def test_a_head_that_was_saved_with_a_single_regression_is_read():
    """It says neither how many regressions it holds nor which columns they read."""
    head, rows = made()
    state = {name: value.clone() for name, value in head.state_dict().items() if name != "reads"}
    state["weight"], state["gamma"] = state["weight"][0], state["gamma"][0]
    similar = torch.exp(-0.7 * head.distances(head.scaled(rows), 0))
    wanted = (similar @ state["weight"].double().T).float()
    torch.testing.assert_close(KernelHead.of_state(state)(rows), wanted)


@pytest.mark.parametrize("shape", [(60, 12), (20, 90)])
def test_rows_left_out_are_judged_as_if_refitted(shape):
    """The closed form of the errors equals five fits without a fold each."""
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(size=shape))
    y = torch.from_numpy(rng.normal(size=(shape[0], 2)))
    folds = torch.from_numpy(rng.permutation(shape[0]) % 5)
    for alpha, (weights, left_out) in zip(
        RIDGE_ALPHAS, penalties(directions_of(x), y, folds, RIDGE_ALPHAS), strict=True
    ):
        eye = alpha * torch.eye(shape[1], dtype=x.dtype)
        whole = torch.linalg.solve(x.T @ x + eye, x.T @ y)
        torch.testing.assert_close(weights, whole, rtol=1e-6, atol=1e-8)
        for fold in range(5):
            kept, own = x[folds != fold], x[folds == fold]
            part = torch.linalg.solve(kept.T @ kept + eye, kept.T @ y[folds != fold])
            wanted = y[folds == fold] - own @ part
            torch.testing.assert_close(left_out[folds == fold], wanted, rtol=1e-6, atol=1e-8)


def test_targets_that_rows_lack_are_left_out():
    """Each group of targets is solved on the rows that have it."""
    rng = np.random.default_rng(2)
    x = torch.from_numpy(rng.normal(size=(50, 4)))
    y = x @ torch.from_numpy(rng.normal(size=(4, 2)))
    y[::2, 1] = torch.nan
    groups = (np.array([0]), np.array([1]))
    found = solve_rows(x, x, TargetRows(y, y, torch.zeros(2), groups, None))
    assert found.errors.cross_validated is None
    assert found.errors.on_valid < 1e-3
    torch.testing.assert_close(x @ found.weights[:, 1], (x @ found.weights)[:, 1])
    assert bool(torch.isfinite(found.weights).all())


def _rows(y, num_fit=40):
    folds = torch.arange(num_fit) % 5
    return TargetRows(y[:num_fit], y[num_fit:], torch.zeros(1), (np.array([0]),), folds)


def _split(inputs, num_fit=40):
    return inputs[:num_fit], inputs[num_fit:]


def _recipe(fit):
    kernels = [{"width": each.width, "alphas": list(each.alphas)} for each in fit.solutions]
    return {"kernels": kernels, "rounds": [list(each) for each in fit.rounds]}


def test_a_head_with_features_is_the_mean_of_three(monkeypatch):
    """States, features and both; its errors are those of its own predictions."""
    monkeypatch.setattr(kernel_fit, "MOST_ROUNDS", 0)
    inputs = torch.from_numpy(np.random.default_rng(3).normal(size=(60, 6))).float()
    y = torch.sin(inputs[:, :1].double()) + inputs[:, 4:5].double()
    fit = fit_kernel(_split(inputs), (4, 2), _rows(y), seed=0)
    assert fit.head.reads.int().tolist() == [[1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1], [1] * 6]
    errors = Errors.mean_of([each.errors for each in fit.solutions])
    missed = y[40:] - fit.head(inputs[40:]).detach().double()
    torch.testing.assert_close(errors.valid, missed, atol=2e-2, rtol=0)
    assert errors.on_valid < max(each.errors.on_valid for each in fit.solutions)
    assert errors.cross_validated == pytest.approx(float(errors.left_out.square().mean()))
    assert fit.errors.cost == pytest.approx((errors.on_valid + errors.cross_validated) / 2)
    again = fit_kernel(_split(inputs), (4, 2), _rows(y), 0, _recipe(fit))
    torch.testing.assert_close(again.head(inputs), fit.head(inputs))


def test_slopes_are_mean_squared_derivatives():
    """Of the outputs of one kernel, by each of its columns, at the points."""
    head, _ = made()
    points = head.points.double().clone().requires_grad_(True)
    similar = torch.exp(
        -head.gamma[1].double()
        * (points[:, None, :3] - head.points[:, :3].double()).square().sum(-1)
    )
    outputs = similar @ head.weight[1].detach().double().T
    total = torch.zeros(3, dtype=torch.float64)
    for column in outputs.T:
        (slope,) = torch.autograd.grad(column.sum(), points, retain_graph=True)
        total += slope[:, :3].square().mean(dim=0)
    torch.testing.assert_close(head.slopes(1), total.sqrt())


def test_features_are_weighed_by_what_they_do(monkeypatch):
    """One of eight decides and counts far more than the others; together they count as before."""
    inputs = torch.from_numpy(np.random.default_rng(8).normal(size=(160, 12))).float()
    rows = _rows(torch.sin(2 * inputs[:, 5:6].double()), 120)
    found = {}
    for rounds in (0, 2):
        monkeypatch.setattr(kernel_fit, "MOST_ROUNDS", rounds)
        found[rounds] = fit_kernel(_split(inputs, 120), (4, 8), rows, 0)
    assert [len(fit.rounds) for fit in found.values()] == [0, 2]
    before, after = (fit.head.factor for fit in found.values())
    assert torch.equal(before[:4], after[:4])
    others = torch.tensor([4, 6, 7, 8, 9, 10, 11])
    assert after[5] > 5 * after[others].max()
    assert found[2].errors.cost < 0.5 * found[0].errors.cost
    sizes = [fit.scaled[0][:, 4:].square().sum(dim=1).mean() for fit in found.values()]
    torch.testing.assert_close(sizes[0], sizes[1])
    again = fit_kernel(_split(inputs, 120), (4, 8), rows, 0, _recipe(found[2]))
    assert again.rounds == found[2].rounds
    torch.testing.assert_close(again.head.factor, after)


def test_features_that_tell_nothing_are_not_weighed():
    """A round has to lower the cost."""
    generator = np.random.default_rng(9)
    inputs = torch.from_numpy(generator.normal(size=(60, 6))).float()
    noise = torch.from_numpy(generator.normal(size=(60, 1)))
    fit = fit_kernel(_split(inputs), (4, 2), _rows(noise), 0)
    plain = kernel_fit.KernelFit.of(_split(inputs), (4, 2), 1, 0, 40)
    assert fit.rounds == []
    assert torch.equal(fit.head.factor, plain.head.factor)
    flat = fit_kernel(_split(inputs), (4, 2), _rows(torch.zeros(60, 1).double()), 0)
    assert flat.rounds == []


def test_a_kernel_is_not_fitted_twice(monkeypatch):
    """Neither that of the states in a head with features, nor the features' when states change."""
    monkeypatch.setattr(kernel_fit, "MOST_ROUNDS", 0)
    inputs = torch.from_numpy(np.random.default_rng(4).normal(size=(60, 6))).float()
    rows, kernels, fitted = _rows(inputs[:, :1].double()), kernel_fit.Fitted(), []
    fit_width, squared_distances = kernel_fit.fit_width, kernel_fit.squared_distances
    columns = []

    def seen(rows, points):
        columns.append(rows.shape[1])
        return squared_distances(rows, points)

    def counted(*given):
        fitted.append(columns[-1])
        return fit_width(*given)

    monkeypatch.setattr(kernel_fit, "squared_distances", seen)
    monkeypatch.setattr(kernel_fit, "fit_width", counted)

    def fit(values, blocks, rows, kernels=kernels, recipe=None):
        fitted.clear()
        values = values[:, : sum(blocks)]
        found = fit_kernel(_split(values), blocks, rows, 0, recipe, kernels)
        return found.head, list(fitted)

    assert fit(inputs, (4,), rows)[1] == [4] * 3
    head, widths = fit(inputs, (4, 2), rows)
    assert widths == [2] * 3 + [6] * 3
    alone, widths = fit(inputs, (4, 2), rows, None)
    assert widths == [4] * 3 + [2] * 3 + [6] * 3
    assert torch.equal(head.weight, alone.weight)
    assert torch.equal(head.gamma, alone.gamma)
    moved = torch.cat([inputs[:, :4] + torch.randn(60, 4), inputs[:, 4:]], dim=1)
    assert fit(moved, (4, 2), rows)[1] == [4] * 3 + [6] * 3
    assert len(fit(inputs, (4, 2), _rows(inputs[:, 1:2].double()))[1]) == 9
    recipe = {"kernels": [{"width": 1.0, "alphas": [0.1]}] * 3}
    assert fit(inputs, (4, 2), rows, recipe=recipe)[1] == [4, 2, 6]


def test_more_rows_than_points_are_a_regression_on_similarities(monkeypatch):
    """With one width and penalty the weights minimize the squared errors plus `w' K w`."""
    monkeypatch.setattr(kernel_fit, "FEW_POINTS", 12)
    inputs = torch.from_numpy(np.random.default_rng(5).normal(size=(60, 3))).float()
    rows = _rows(torch.sin(inputs[:, :1].double()))
    recipe = {"kernels": [{"width": 1.0, "alphas": [0.1]}]}
    fit = fit_kernel(_split(inputs), (3,), rows, 0, recipe)
    head, gamma = fit.head, float(fit.head.gamma)
    own, similar = (
        torch.exp(-gamma * head.distances(each, 0)) for each in (head.points, head.scaled(inputs))
    )
    x = similar[:40]
    wanted = torch.linalg.solve(x.T @ x + 0.1 * own, x.T @ rows.train)
    torch.testing.assert_close(similar @ wanted, head(inputs).double(), rtol=1e-3, atol=1e-3)
    missed = rows.valid - head(inputs[40:]).double()
    torch.testing.assert_close(fit.errors.valid, missed, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_more_points_of_known_widths_need_no_eigenvectors(monkeypatch, weighted):
    """With all rows as points the head is that of the eigenvectors; targets may be missing."""
    monkeypatch.setattr(kernel_fit, "_CHUNK", 7)
    inputs = torch.from_numpy(np.random.default_rng(6).normal(size=(60, 5))).float()
    y = torch.stack([torch.sin(inputs[:, 0]), inputs[:, 4].square()], dim=1).double()
    y[1::3, 1] = torch.nan
    groups = (np.array([0]), np.array([1]))
    roots = torch.linspace(0.5, 2, 40).double().unsqueeze(1) if weighted else None
    rows = TargetRows(y[:40], y[40:], torch.zeros(2), groups, None, roots)
    recipe = {"kernels": [{"width": 1.0, "alphas": [0.1, 0.3]}] * 3, "rounds": [[0.2, 0.2]]}
    few = fit_kernel(_split(inputs), (3, 2), rows, 0, recipe)
    given = (few.head, _split(inputs), rows, 0, recipe)
    more = kernel_fit.fit_more_points(*given, (1.0,))
    torch.testing.assert_close(more.head(inputs), few.head(inputs), rtol=0, atol=1e-2)
    assert [each.alphas for each in more.solutions] == [(0.1, 0.3)] * 3
    assert more.rounds == few.rounds == [(0.2, 0.2)]
    pairs = zip(few.solutions, more.solutions, strict=True)
    for one, other in pairs:  # points are rounded to fp16
        torch.testing.assert_close(
            one.errors.valid, other.errors.valid, rtol=0, atol=1e-2, equal_nan=True
        )
    tried = kernel_fit.fit_more_points(*given)
    pairs = zip(tried.solutions, more.solutions, strict=True)
    assert all(one.errors.on_valid <= other.errors.on_valid for one, other in pairs)


def test_a_recipe_of_more_points_is_fitted_with_them(monkeypatch):
    """On other rows, with the penalties that it names."""
    monkeypatch.setattr(kernel_fit, "FEW_POINTS", 10)
    monkeypatch.setattr(kernel_fit, "MOST_POINTS", 30)
    inputs = torch.from_numpy(np.random.default_rng(7).normal(size=(60, 3))).float()
    rows = _rows(inputs[:, :1].double())
    recipe = {"kernels": [{"width": 1.0, "alphas": [0.1]}]}
    for points, wanted in ((None, 10), (30, 30)):
        given = recipe if points is None else {**recipe, "points": points}
        fit = fit_kernel(_split(inputs), (3,), rows, 0, given)
        assert len(fit.head.points) == wanted
        assert fit.solutions[0].alphas == (0.1,)
