"""Baselines are chosen by name, fitted one by one, checked, timed and charged to their plugin."""

import types

import attrs
import numpy as np
import pytest

import taglm_core as taglm
from taglm_core.errors import ConfigError, UnknownNameError
from taglm_core.plugins import load_registry
from taglm_core.training.baselines import choose_baselines, fit_baselines
from taglm_core.training.budget import TimeBudget
from taglm_core.training.settings import run_config


def constant(data):
    """Predict the mean of train, and count how often the features are asked for."""
    middle = data.splits["train"].truth.mean(axis=0)
    return taglm.BaselineResult({s: 0 * h.truth + middle for s, h in data.splits.items()})


CLOCK = [0.0]


def slow(data):
    """Take ten seconds of a clock of our own."""
    CLOCK[0] += 10
    return constant(data)


def by_features(data):
    """Predict the first feature."""
    made = {s: data.features["x"](h.fields["x"]) for s, h in data.splits.items()}
    return taglm.BaselineResult(made, {"train_rows": 2})


def raises(data):
    """Fail."""
    raise RuntimeError("no library")


def of_unknown_split(data):
    """Predict a split that is none."""
    return taglm.BaselineResult({"tset": np.zeros((2, 1))})


def of_wrong_shape(data):
    """Forget the axis of the targets."""
    return taglm.BaselineResult({"test": np.zeros(2)})


def not_finite(data):
    """Predict nothing."""
    return taglm.BaselineResult({"test": np.full((2, 1), np.nan)})


def not_numbers(data):
    """Predict words."""
    return taglm.BaselineResult({"test": ["a", "b"]})


def not_a_result(data):
    """Return a mapping."""
    return {"test": np.zeros((2, 1))}


def nothing(data):
    """Find nothing to fit."""
    return


def plugin(*baselines):
    """Return a plugin that registers baselines, each named as its function."""
    made = [taglm.Baseline(**b) if isinstance(b, dict) else named(b) for b in baselines]

    def register_baselines():
        return made

    return types.SimpleNamespace(register_baselines=taglm.hookimpl(register_baselines))


def named(function, **changes):
    """Return a baseline with the name of its function."""
    name = function.__name__
    return taglm.Baseline(**{"name": name, "function": f"{__name__}:{name}"} | changes)


def data(target=None, features=True):
    """Return a task of two rows a split."""
    rows = taglm.SplitData(fields={"x": ["1", "3"]}, truth=np.array([[1.0], [3.0]]))
    numbers = {"x": lambda rows: np.array([[float(row)] for row in rows])}
    return taglm.TaskData(
        task="toy",
        target=target or taglm.Regression(names=("y",)),
        splits={"train": rows, "test": rows},
        features=numbers if features else {},
        seed=0,
    )


def score(truth, prediction):
    """Return the mean absolute error."""
    return {"mae": float(np.abs(truth - prediction).mean())}


def registry_of(*baselines):
    """Return a registry with one plugin, "own"."""
    return load_registry(only=(), extra=[("own", plugin(*baselines))])


def test_scores_seconds_and_limits():
    """Scores go by split, what was bounded stands beside the seconds of the fit."""
    found = fit_baselines(("all",), registry_of(constant, by_features), data(), score)
    assert found.scores["test"] == {"constant": {"mae": 1.0}, "by_features": {"mae": 0.0}}
    assert found.scores["train"] == found.scores["test"]
    assert found.facts["by_features"]["train_rows"] == 2
    assert found.facts["constant"]["fit_seconds"] >= 0


def test_seconds_of_features_are_counted_apart():
    """The first baseline that reads the features would otherwise seem slow."""
    import time

    slow = data()
    features = {"x": lambda rows: time.sleep(0.2) or np.zeros((len(rows), 1))}
    slow = taglm.TaskData(
        task="toy", target=slow.target, splits=slow.splits, features=features, seed=0
    )
    found = fit_baselines(("all",), registry_of(by_features), slow, score)
    assert found.facts["by_features"]["fit_seconds"] < 0.1
    assert found.feature_seconds > 0.39


def test_baselines_that_begin_too_late_are_named(monkeypatch, caplog):
    """A run of 90 seconds would otherwise spend them on trees; one baseline is always there."""
    monkeypatch.setattr("taglm_core.training.baselines.time.monotonic", lambda: CLOCK[0])
    registry = registry_of(slow, by_features)
    for until, names in ((5.0, ["slow"]), (20.0, ["slow", "by_features"])):
        CLOCK[0] = 0.0
        caplog.clear()
        found = fit_baselines(("default",), registry, data(), score, until=until)
        assert list(found.scores["test"]) == names
        said = [r.message for r in caplog.records if "--time) skips" in r.message]
        assert len(said) == 2 - len(names)
        assert all("the baselines by_features," in message for message in said)


def test_the_time_of_baselines_is_shared_by_tasks(tmp_path, monkeypatch):
    """The first task may not take what the second one needs; late reading leaves nothing."""
    clock = [0.0]
    monkeypatch.setattr("taglm_core.training.budget.time.monotonic", lambda: clock[0])
    budget = TimeBudget(seconds=100, file=tmp_path / "plan.json", began=0.0, num_tasks=2)
    clock[0] = 10.0
    assert budget.until_baselines() == pytest.approx(20)
    clock[0] = 15.0
    assert budget.until_baselines() == pytest.approx(30)
    clock[0] = 60.0
    assert budget.until_baselines() == 60


def test_names_choose():
    """default, all, none, short and full names; a name twice counts once."""
    rare = named(raises, in_default=False)
    registry = registry_of(constant, by_features, attrs.asdict(rare, recurse=False))
    assert [b.short for b in choose_baselines(("default",), registry)] == [
        "constant",
        "by_features",
    ]
    assert len(choose_baselines(("all",), registry)) == 3
    registry = registry_of(constant, by_features)
    assert [b.short for b in choose_baselines(("all",), registry)] == ["constant", "by_features"]
    assert choose_baselines(("none",), registry) == []
    chosen = choose_baselines(("own/constant", "own/constant"), registry)
    assert [b.short for b in chosen] == ["constant"]
    found = fit_baselines(("constant",), registry, data(), score)
    assert list(found.scores["test"]) == ["constant"]


def test_an_unknown_name_offers_the_nearest_and_the_distribution():
    """A misspelt name is no empty result."""
    with pytest.raises(UnknownNameError, match="unknown baseline 'constent'. Did you mean"):
        choose_baselines(("constent",), registry_of(constant))
    with pytest.raises(UnknownNameError, match="pip install taglm-plugin-studies"):
        choose_baselines(("ridge",), registry_of(constant))
    with pytest.raises(ConfigError, match="'none' cannot be combined"):
        choose_baselines(("none", "constant"), registry_of(constant))
    with pytest.raises(ConfigError, match="'default' cannot be combined"):
        choose_baselines(("default", "constant"), registry_of(constant))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raises, "RuntimeError: no library"),
        (of_unknown_split, "predicts the split 'tset', which the task lacks"),
        (of_wrong_shape, r"test: the prediction has the shape (2,), expected (2, 1)"),
        (not_finite, "2 predictions are not finite"),
        (not_numbers, "is not an array of numbers"),
        (not_a_result, "expected a BaselineResult or None"),
    ],
)
def test_a_failing_baseline_is_charged_to_its_plugin(function, reason):
    """The others of the run are there all the same."""
    registry = registry_of(function, constant)
    found = fit_baselines(("all",), registry, data(), score)
    assert list(found.scores["test"]) == ["constant"]
    (failure,) = registry.failures
    assert failure.source.name == "own"
    assert reason in failure.reason


def test_what_does_not_apply_is_said_when_it_was_asked_for(caplog):
    """With "all" nobody expects it."""
    classes = named(constant, kinds="classification")
    features = named(by_features, needs_features=True)
    registry = load_registry(only=(), extra=[("own", plugin())])
    for item in (classes, features, named(nothing)):
        extra = types.SimpleNamespace(register_baselines=_hook([item]))
        registry = load_registry(only=(), extra=[("own", extra)])
        assert fit_baselines(("all",), registry, data(features=False), score).scores == {}
        assert not caplog.text
        assert fit_baselines((item.name,), registry, data(features=False), score).scores == {}
        assert f"baseline '{item.name}' does not apply" in caplog.text
        caplog.clear()


def _hook(items):
    def register_baselines():
        return items

    return taglm.hookimpl(register_baselines)


def test_two_plugins_with_one_name_are_both_written():
    """Neither takes the other's place."""
    extra = [("own", plugin(constant)), ("other", plugin(constant))]
    registry = load_registry(only=(), extra=extra)
    found = fit_baselines(("all",), registry, data(), score)
    assert set(found.scores["test"]) == {"own/constant", "other/constant"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("none", ("none",)),
        ("mean, ridge", ("mean", "ridge")),
        (["mean", "ridge"], ("mean", "ridge")),
        (None, ("none",)),
    ],
)
def test_the_setting_takes_words_and_lists(given, expected):
    """`--baselines mean,ridge` and a list in a run file mean the same."""
    config = run_config("test", {"task": "QED", "baselines": given})
    assert config.baselines == expected


def test_words_of_the_option_are_no_names():
    """A baseline called "none" could never be asked for."""
    for name in ("all", "none"):
        with pytest.raises(ConfigError, match=f"the name '{name}' is taken"):
            taglm.Baseline(name=name, function="m:f")
    with pytest.raises(ConfigError, match="kinds must be among"):
        taglm.Baseline(name="x", function="m:f", kinds="text")


def test_importing_a_baseline_is_no_split_of_its_fit(tmp_path, monkeypatch):
    """The first baseline would otherwise take seconds for the libraries of all."""
    (tmp_path / "slow_to_import.py").write_text(
        "import time, taglm_core\ntime.sleep(0.3)\n\n\n"
        "def mean(data):\n"
        "    middle = data.splits['train'].truth.mean(axis=0)\n"
        "    return taglm_core.BaselineResult(\n"
        "        {s: 0 * h.truth + middle for s, h in data.splits.items()}\n"
        "    )\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    slow = {"name": "slow", "function": "slow_to_import:mean"}
    found = fit_baselines(("all",), registry_of(slow), data(), score)
    assert found.facts["slow"]["fit_seconds"] < 0.2
