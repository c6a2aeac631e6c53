"""Loggers of other projects hear of each step; a missing one is named before anything is read."""

import importlib.util
import sys
import types

import pytest

import taglm
from taglm_core.errors import ConfigError
from taglm_core.testing import tiny_backbone
from taglm_studies import loggers

STAGES = {"task": {"max_steps": 2, "tag_length": 2, "num_evaluations": 1, "batch_size": 8}}
SCORES = {"Count/train_loss", "Count/learning_rate", "Count/valid_rmse"}


@pytest.fixture(autouse=True)
def _own_store(tmp_path, monkeypatch):
    """Train in each test: a tag in the store is not trained again."""
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Return a small run: the number of letters a in a text, on a tiny backbone."""
    folder = tmp_path_factory.mktemp("logged")
    backbone = tiny_backbone("llama")
    backbone.model.save_pretrained(folder / "tiny")
    backbone.tokenizer.save_pretrained(folder / "tiny")
    words = ["".join("ab"[(i >> k) & 1] for k in range(6)) for i in range(48)]
    rows = "\n".join(f"{word},{word.count('a')}" for word in words)
    (folder / "words.csv").write_text(f"word,count\n{rows}\n")
    return {
        "task": {
            "name": "Count",
            "template": "The word is {word}. It has <Count>",
            "target": {"kind": "regression", "columns": ["count"]},
        },
        "data": {"file": str(folder / "words.csv"), "split": {"method": "random"}, "check": False},
        "backbone": str(folder / "tiny"),
        "precision": "fp32",
        "baselines": ["mean"],
        "stages": STAGES,
    }


def test_tensorboard_shows_steps_scores_and_results(settings, tmp_path):
    """The event file holds a point for each step, each score, and the best baseline beside it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = taglm.run(settings, out=tmp_path / "run", progress=False, log_to="tensorboard")
    events = EventAccumulator(str(tmp_path / "run" / "logs" / "tensorboard")).Reload()
    scalars = {
        tag: [(point.step, point.value) for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    assert SCORES <= set(scalars)
    assert [step for step, _ in scalars["Count/train_loss"]] == [1, 2]
    assert [step for step, _ in scalars["Count/valid_rmse"]] == [0, 2]
    test = run.metrics["tasks"]["Count"]["splits"]["test"]
    assert scalars["Count-results/test_rmse"] == [(0, pytest.approx(test["metrics"]["rmse"]))]
    (best,) = {value for _, value in scalars["Count/valid_rmse_of_best_baseline"]}
    valid = run.metrics["tasks"]["Count"]["splits"]["valid"]
    assert best == pytest.approx(valid["baselines"]["mean"]["rmse"])
    assert "stages.task.max_steps" in str(events.Tensors("settings/text_summary"))
    # where it is shown changes no result: the same settings are the finished run
    before = (tmp_path / "run" / "metrics.json").stat().st_mtime_ns
    taglm.run(settings, out=tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_named_with_its_extra(settings, tmp_path, monkeypatch, name):
    """The message says what to install, and nothing is written."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "taglm_core.specs.packages.find_spec", lambda n: None if n == name else found(n)
    )
    with pytest.raises(ConfigError, match=rf"pip install 'taglm-plugin-studies\[{name}\]'"):
        taglm.run(settings, out=tmp_path / "run", progress=False, log_to=[name])
    assert not (tmp_path / "run").exists()


class Recorder:
    """Stands for the client of a package that is not installed: remembers each call."""

    def __init__(self, calls):
        self.calls = calls
        self.id, self.summary = "run-1", {}

    def __getattr__(self, name):
        def call(*arguments, **named):
            self.calls.append((name, arguments, named))
            info = types.SimpleNamespace(run_id="run-1")
            return types.SimpleNamespace(experiment_id="0", info=info)

        return call


@pytest.fixture
def calls(monkeypatch):
    """Put recorders in the place of mlflow and wandb; return what they hear."""
    heard = []
    client = types.SimpleNamespace(MlflowClient=lambda uri: heard.append(uri) or Recorder(heard))
    begun = lambda **named: heard.append(("init", (), named)) or Recorder(heard)  # noqa: E731
    monkeypatch.setitem(sys.modules, "mlflow", client)
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=begun))
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    return heard


def test_mlflow_keeps_its_run_in_the_folder(calls, tmp_path):
    """A run that goes on is the same one; its end says whether it has results."""
    first = loggers.MLflow(tmp_path, {"seed": 1})
    assert calls[0] == f"sqlite:///{tmp_path / 'logs' / 'mlflow.db'}"
    assert ("log_param", ("run-1", "seed", "1"), {}) in calls
    first.log("Count", 3, {"train_loss": 0.5})
    assert calls[-1] == ("log_metric", ("run-1", "Count/train_loss", 0.5), {"step": 3})
    first.close(None)
    assert calls[-1][1] == ("run-1", "KILLED")
    calls.clear()
    second = loggers.MLflow(tmp_path, {"seed": 1})
    assert "create_run" not in [call[0] for call in calls]
    second.close({"Count-results/test_rmse": 0.25})
    assert calls[-2][1] == ("run-1", "Count-results/test_rmse", 0.25)
    assert calls[-1][1] == ("run-1", "FINISHED")


def test_wandb_stays_offline_unless_it_is_told_otherwise(calls, tmp_path, monkeypatch):
    """The mode is offline, and a run that goes on has the same id."""
    first = loggers.WandB(tmp_path, {"seed": 1})
    asked = calls[0][2]
    assert (asked["mode"], asked["id"], asked["config"]) == ("offline", None, {"seed": 1})
    first.log("Count", 3, {"train_loss": 0.5})
    assert calls[-1][1] == ({"Count/train_loss": 0.5, "Count/step": 3},)
    first.close({"Count-results/test_rmse": 0.25})
    assert first._run.summary == {"Count-results/test_rmse": 0.25}
    monkeypatch.setenv("WANDB_MODE", "online")
    loggers.WandB(tmp_path, {})
    assert (calls[-1][2]["mode"], calls[-1][2]["id"]) == ("online", "run-1")


def test_a_logger_that_fails_does_not_stop_the_run(settings, tmp_path, monkeypatch, caplog):
    """It is named once and left out; the run ends with its results."""

    def broken(self, stage, step, values):
        raise OSError("disk full")

    monkeypatch.setattr(loggers.TensorBoard, "log", broken)
    run = taglm.run(settings, out=tmp_path / "run", progress=False, log_to="tensorboard")
    assert run.metrics["tasks"]["Count"]["splits"]["test"]["metrics"]
    said = [r.getMessage() for r in caplog.records if "--log-to tensorboard" in r.getMessage()]
    assert len(said) == 1
    assert "disk full" in said[0]
