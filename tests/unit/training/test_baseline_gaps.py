"""Baselines of tasks with gaps: each is given targets of the same rows, and never meets a gap."""

import numpy as np
import pytest

import taglm_core as taglm
from taglm_core.specs import Regression, SplitData, TaskData
from taglm_core.training.baselines import fit_baselines, groups_of_targets

SEEN = []


def own_mean(data):
    """Predict the mean of each target, and remember what was given."""
    truth = {split: np.asarray(held.truth) for split, held in data.splits.items()}
    SEEN.append({split: values.copy() for split, values in truth.items()})
    for field, function in data.features.items():
        function(list(data.splits["train"].fields[field]))
    mean = truth["train"].mean(axis=0)
    return taglm.BaselineResult({s: np.tile(mean, (len(v), 1)) for s, v in truth.items()})


class OneBaseline:
    """A plugin with one baseline."""

    @staticmethod
    @taglm.hookimpl
    def register_baselines():
        """Register the mean."""
        return [taglm.Baseline(name="own", function=f"{__name__}:own_mean")]


def registry():
    """Return a registry with that plugin alone."""
    from taglm_core.plugins import load_registry

    return load_registry(only=(), extra=[("one", OneBaseline)])


def data(target, **truth):
    """Build a task of rows 0, 1, ... with a feature function that counts its calls."""
    splits = {
        name: SplitData(fields={"x": [f"{name}{i}" for i in range(len(values))]}, truth=values)
        for name, values in truth.items()
    }
    calls = []

    def features(rows):
        calls.extend(rows)
        return np.zeros((len(rows), 2), dtype=np.float32)

    made = TaskData(task="T", target=target, splits=splits, features={"x": features}, seed=0)
    return made, calls


def mae(truth, prediction):
    """Score each target on its own rows."""
    known = np.isfinite(np.asarray(truth, float)) & (np.asarray(truth) != -1)
    return {"mae": float(np.abs(truth - prediction)[known].mean())}


def test_numbers_with_gaps():
    """Each group of targets is a task of its own; features of a row are computed once."""
    SEEN.clear()
    nan = np.nan
    train = np.array([[1.0, nan, 1.0], [3.0, 10.0, 3.0], [nan, 20.0, nan]])
    test = np.array([[2.0, nan, 2.0], [nan, 16.0, nan]])
    made, calls = data(Regression(names=("p", "q", "r")), train=train, test=test)
    found = fit_baselines(["all"], registry(), made, mae)
    assert [seen["train"].tolist() for seen in SEEN] == [
        [[1.0, 1.0], [3.0, 3.0]],
        [[10.0], [20.0]],
    ]
    assert [seen["test"].tolist() for seen in SEEN] == [[[2.0, 2.0]], [[16.0]]]
    assert found.scores["test"]["own"]["mae"] == pytest.approx(1 / 3)
    assert sorted(calls) == ["train0", "train1", "train2"]


def test_labels_with_gaps():
    """A label that a row lacks is neither 0 nor 1."""
    SEEN.clear()
    target = taglm.Classification(names=("p", "q"), multi_label=True)
    made, _ = data(target, train=np.array([[1, -1], [0, 1], [1, 0]]), test=np.array([[-1, 1]]))
    assert [group.columns.tolist() for group in groups_of_targets(made)] == [[0], [1]]
    fit_baselines(["all"], registry(), made, mae)
    assert [seen["train"].tolist() for seen in SEEN] == [[[1], [0], [1]], [[1], [0]]]
    assert [sorted(seen) for seen in SEEN] == [["train"], ["test", "train"]]


def test_a_task_without_gaps_stays_as_it_is():
    """Nothing is copied, and all targets are fitted together."""
    SEEN.clear()
    made, _ = data(Regression(names=("p", "q")), train=np.ones((3, 2)), test=np.ones((2, 2)))
    (group,) = groups_of_targets(made)
    assert group.data is made
    fit_baselines(["all"], registry(), made, mae)
    assert [seen["train"].shape for seen in SEEN] == [(3, 2)]
