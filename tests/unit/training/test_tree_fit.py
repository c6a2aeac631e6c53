"""Boosted trees as tensors, and their share in what a kernel head gives."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_info, threadpool_limits

from taglm_core.errors import CheckpointError
from taglm_core.model.kernel_head import KernelHead
from taglm_core.model.trees import Trees
from taglm_core.training import tree_fit
from taglm_core.training.kernel_fit import Fitted, fit_kernel
from taglm_core.training.ridge_fit import Errors, TargetRows
from taglm_core.training.tree_fit import grow_trees, mixed, share_of

NUM_FIT = 200


def made(num_outputs=1, seed=0, weighted=False, folds=True):
    """Return features of 200 + 60 rows, and targets that jump with two of them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(NUM_FIT + 60, 5)).astype(np.float32)
    jumps = np.sign(features[:, :1]) + 2.0 * (features[:, 1:2] > 0.5)
    targets = torch.from_numpy(jumps @ rng.normal(size=(1, num_outputs)))
    targets -= targets[:NUM_FIT].mean(dim=0)
    rows = TargetRows(
        targets[:NUM_FIT],
        targets[NUM_FIT:],
        torch.zeros(num_outputs),
        tuple(np.array([i]) for i in range(num_outputs)),
        torch.arange(NUM_FIT) % 5 if folds else None,
        torch.linspace(0.5, 2, NUM_FIT).double().unsqueeze(1) if weighted else None,
    )
    features = torch.from_numpy(features)
    return (features[:NUM_FIT], features[NUM_FIT:]), rows


@pytest.mark.parametrize("weighted", [False, True])
def test_trees_are_those_of_scikit_learn(weighted):
    """Any number of them, on rows whose features begin at a column, on numbers at a threshold."""
    features, rows = made(weighted=weighted)
    fit = grow_trees(features, 3, rows, seed=4, count=30)
    model = HistGradientBoostingRegressor(max_iter=30, random_state=4, **tree_fit._SETTINGS)
    counted = rows.roots[:, 0].numpy() ** 2 if weighted else None
    model.fit(features[0].numpy(), rows.train[:, 0].numpy(), counted)
    thresholds = fit.trees.threshold[fit.trees.child[:, 0] != torch.arange(len(fit.trees.child))]
    near = torch.stack([thresholds, torch.nextafter(thresholds, torch.tensor(torch.inf))], dim=1)
    tried = torch.cat([*features, near.reshape(-1, 1).expand(-1, 5)])
    read = torch.cat([torch.full((len(tried), 3), torch.nan), tried], dim=1)
    wanted = model.predict(tried.numpy())
    np.testing.assert_allclose(fit.trees(read)[:, 0].detach().numpy(), wanted, atol=1e-6)
    np.testing.assert_allclose(
        fit.errors.valid[:, 0].numpy(), rows.valid[:, 0].numpy() - model.predict(features[1]),
        atol=1e-6,
    )  # fmt: skip
    again = Trees.of_state({k: v.clone() for k, v in fit.trees.state_dict().items()}, 8, 1)
    assert torch.equal(again(read), fit.trees(read))
    assert len(fit.trees(read[:0])) == 0


@pytest.mark.parametrize("change", ["cycle", "range", "root", "column"])
def test_trees_in_which_a_row_might_never_end_are_refused(change):
    """A damaged file is an error, not an endless loop."""
    features, rows = made()
    state = grow_trees(features, 0, rows, seed=0, count=5).trees.state_dict()
    state = {name: value.clone() for name, value in state.items()}
    if change == "root":
        state["root"][1] = len(state["feature"])
    elif change == "column":
        state["feature"][0] = 5
    else:
        state["child"][1, 0] = {"cycle": 0, "range": 10**6}[change]
    with pytest.raises(CheckpointError, match="trees of the head are damaged"):
        Trees.of_state(state, 5, 1)


def test_as_many_trees_are_kept_as_cost_least(monkeypatch):
    """The errors are those of the trees that are kept, on rows that these were not grown on."""
    features, rows = made()
    noisy = TargetRows(
        rows.train + torch.from_numpy(np.random.default_rng(7).normal(size=(NUM_FIT, 1))),
        rows.valid, rows.mean, rows.groups, rows.folds,
    )  # fmt: skip
    monkeypatch.setattr(tree_fit, "COUNTS", (3, 15, 300))
    fit = grow_trees(features, 0, noisy, seed=0)
    costs = {count: _cost(features, noisy, count) for count in tree_fit.COUNTS}
    assert fit.count == min(costs, key=costs.get) == 15
    assert len(fit.trees.root) == 15
    missed = noisy.valid - fit.trees(features[1])
    torch.testing.assert_close(fit.errors.valid, missed, atol=1e-6, rtol=0)
    own = noisy.folds == 2
    model = HistGradientBoostingRegressor(max_iter=15, random_state=0, **tree_fit._SETTINGS)
    model.fit(features[0][~own].numpy(), noisy.train[~own, 0].numpy())
    left_out = noisy.train[own, 0].numpy() - model.predict(features[0][own].numpy())
    np.testing.assert_allclose(fit.errors.left_out[own, 0].numpy(), left_out, atol=1e-6)


def _cost(features, rows, count):
    """Return the mean of both costs by fits of scikit-learn alone."""
    x, y = features[0].numpy(), rows.train[:, 0].numpy()
    new = lambda: HistGradientBoostingRegressor(  # noqa: E731
        max_iter=count, random_state=0, **tree_fit._SETTINGS
    )
    valid = rows.valid[:, 0].numpy() - new().fit(x, y).predict(features[1].numpy())
    left_out = []
    for fold in range(5):
        own = rows.folds.numpy() == fold
        left_out.append(y[own] - new().fit(x[~own], y[~own]).predict(x[own]))
    return (np.mean(valid**2) + np.mean(np.concatenate(left_out) ** 2)) / 2


def test_each_output_has_its_own_trees_on_the_rows_that_know_it():
    """Two classes share theirs, since one column is the other with the other sign."""
    features, rows = made(num_outputs=3)
    rows.train[::3, 1] = torch.nan
    fit = grow_trees(features, 0, rows, seed=1, count=20)
    assert fit.trees.weight.shape == (60, 3)
    known = ~rows.train[:, 1].isnan()
    model = HistGradientBoostingRegressor(max_iter=20, random_state=1, **tree_fit._SETTINGS)
    model.fit(features[0][known].numpy(), rows.train[known, 1].numpy())
    wanted = model.predict(features[1].numpy())
    np.testing.assert_allclose(fit.trees(features[1])[:, 1].detach().numpy(), wanted, atol=1e-6)
    classes = TargetRows(
        torch.cat([rows.train[:, :1], -rows.train[:, :1]], dim=1),
        torch.cat([rows.valid[:, :1], -rows.valid[:, :1]], dim=1),
        torch.zeros(2), (np.array([0, 1]),), None,
    )  # fmt: skip
    fit = grow_trees(features, 0, classes, seed=1, count=20)
    assert fit.trees.weight.shape == (20, 2)
    one, other = fit.trees(features[1]).T
    assert torch.equal(one, -other)


def test_trees_are_not_grown_of_few_rows_or_many_outputs(monkeypatch):
    """Each output needs its rows, and its own trees."""
    features, rows = made(num_outputs=2)
    rows.train[40:, 1] = torch.nan
    assert grow_trees(features, 0, rows, seed=0) is None
    features, rows = made(num_outputs=2)
    monkeypatch.setattr(tree_fit, "MOST_OUTPUTS", 1)
    assert grow_trees(features, 0, rows, seed=0) is None


def test_trees_that_do_not_help_are_given_up_after_a_fold(monkeypatch):
    """Judged by the validation split and the rows of that fold, beside all that they may join."""
    features, rows = made()
    seen = []
    without = tree_fit._without_fold
    monkeypatch.setattr(tree_fit, "_without_fold", lambda *a: seen.append(a[2]) or without(*a))
    exact = (Errors(torch.zeros_like(rows.valid), torch.zeros_like(rows.train)), 0.99)
    poor = Errors(rows.valid, rows.train)
    assert grow_trees(features, 0, rows, 0, beside=(exact,)) is None
    assert seen == [0]
    assert grow_trees(features, 0, rows, 0, beside=(exact, (poor, 0.0))) is None
    assert seen == [0, 0]
    seen.clear()
    # worse than nothing on the validation split, but not on the fold
    apart = Errors(torch.zeros_like(rows.valid), 3 * rows.train)
    for beside in ((exact, (poor, 0.9)), ((apart, 0.99),), ()):
        fit = grow_trees(features, 0, rows, 0, beside=beside)
        assert not fit.errors.left_out.isnan().any()
        assert seen == [0, 1, 2, 3, 4]
        seen.clear()


def test_the_share_under_a_trained_tag_is_decided_by_the_validation_split():
    """Its states know the training rows, so that trees would look poor beside them there."""
    (train, valid), rows = made()
    rows.train.add_(1.5 * train[:, 2:3].double())
    rows.valid.add_(1.5 * valid[:, 2:3].double())
    states = 0.1 * torch.randn(NUM_FIT + 60, 4, generator=torch.Generator().manual_seed(0))
    states[:NUM_FIT, 0] += 3 * rows.train[:, 0].float()
    inputs = (torch.cat([states[:NUM_FIT], train], 1), torch.cat([states[NUM_FIT:], valid], 1))
    shares = {}
    for is_trained in (False, True):
        fit = fit_kernel(inputs, (4, 5), rows, 0, None, None, is_trained)
        shares[is_trained] = fit.share
    on_valid = share_of(Errors(fit.trees.errors.valid, None), _kernels(fit))
    assert shares[True] == on_valid
    assert shares[False] < on_valid
    fitted = Fitted()
    good = torch.cat([rows.train, rows.valid]).float() * torch.ones(1, 4)
    known = (torch.cat([good[:NUM_FIT], train], 1), torch.cat([good[NUM_FIT:], valid], 1))
    first = fit_kernel(known, (4, 5), rows, 0, None, fitted)
    assert fit_kernel(inputs, (4, 5), rows, 0, None, fitted, True).share == first.share < on_valid


def _kernels(fit):
    """Return the errors on the validation split of a head without its trees."""
    return Errors(Errors.mean_of([each.errors for each in fit.solutions]).valid, None)


def test_the_share_costs_least():
    """Of all shares in steps of 0.05, up to the greatest that is allowed; none for a small gain."""
    rng = np.random.default_rng(5)
    draw = lambda rows: torch.from_numpy(rng.normal(size=(rows, 2)))  # noqa: E731
    for scale in (0.5, 1.0, 2.0):
        trees = Errors(scale * draw(50), scale * draw(80))
        others = Errors(draw(50), draw(80))
        trees.valid[3, 1] = others.valid[3, 1] = torch.nan
        found = share_of(trees, others)
        costs = {each / 20: mixed(trees, others, each / 20).cost for each in range(21)}
        assert found == min(costs, key=costs.get)
        assert 0.1 < found < 0.9
    assert share_of(Errors(0.01 * draw(50), None), Errors(draw(50), None)) == 0.9
    assert share_of(others, others) == 0.0
    assert share_of(Errors(10 * draw(50), None), Errors(draw(50), None)) == 0.0
    slight = Errors(others.valid - 0.004 * others.valid, None)
    assert share_of(slight, Errors(others.valid, None)) == 0.0


@pytest.mark.parametrize("folds", [True, False])
def test_a_kernel_head_takes_trees_where_labels_jump(folds):
    """Its errors are its own; the recipe makes the same head again, and a saved one is equal."""
    (train, valid), rows = made(folds=folds)
    states = torch.randn(NUM_FIT + 60, 4, generator=torch.Generator().manual_seed(0))
    inputs = (torch.cat([states[:NUM_FIT], train], 1), torch.cat([states[NUM_FIT:], valid], 1))
    fit = fit_kernel(inputs, (4, 5), rows, seed=0)
    assert fit.share >= 0.5
    kernels = Errors.mean_of([each.errors for each in fit.solutions])
    assert fit.errors.cost < 0.7 * kernels.cost
    assert fit.features_alone.cost < 1.2 * fit.errors.cost
    missed = rows.valid - fit.head(inputs[1]).detach().double()
    torch.testing.assert_close(fit.errors.valid, missed, atol=2e-2, rtol=0)
    recipe = {
        "kernels": [{"width": s.width, "alphas": list(s.alphas)} for s in fit.solutions],
        "rounds": [list(each) for each in fit.rounds],
        "trees": {"count": fit.trees.count, "share": fit.share},
    }
    again = fit_kernel(inputs, (4, 5), rows, 0, recipe)
    torch.testing.assert_close(again.head(inputs[1]), fit.head(inputs[1]))
    without = fit_kernel(inputs, (4, 5), rows, 0, {**recipe, "trees": {}})
    assert without.head.trees is None
    state = {name: value.clone() for name, value in fit.head.state_dict().items()}
    torch.testing.assert_close(KernelHead.of_state(state)(inputs[1]), fit.head(inputs[1]))


def test_trees_are_grown_by_one_thread(monkeypatch):
    """Sums in another order might choose other splits."""
    features, rows = made()
    seen = []
    fit = HistGradientBoostingRegressor.fit

    def counted(model, *given):
        pools = threadpool_info()
        seen.append({each["num_threads"] for each in pools if each["user_api"] == "openmp"})
        return fit(model, *given)

    monkeypatch.setattr(HistGradientBoostingRegressor, "fit", counted)
    with threadpool_limits(2):
        grow_trees(features, 0, rows, seed=0, count=10)
    assert seen == [{1}]
