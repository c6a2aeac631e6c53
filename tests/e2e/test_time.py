"""`--time`: steps are planned from measured speed; the evaluation always happens."""

import json

import pytest

from taglm_core.errors import ConfigError
from taglm_core.progress import Silent
from taglm_core.specs.fields import seconds_of
from taglm_core.training.budget import Speed, TimeBudget
from taglm_core.training.recipe import recipe_of

MANY = ["--set=stages.task.max_steps=100000", "--set=stages.task.epochs=9000"]


def test_a_run_keeps_to_its_time(taglm, run_file, tmp_path):
    """Many more steps are asked for than fit; what was planned is said and kept."""
    out = tmp_path / "out"
    words = (
        "run",
        run_file,
        "--time",
        "4s",
        "--refit",
        "--baselines",
        "mean",
        *MANY,
        "--out",
        out,
    )
    done = taglm(*words)
    assert done.code == 0, done.err
    metrics = json.loads((out / "metrics.json").read_text())
    task = metrics["tasks"]["Sol"]
    plan = json.loads((out / "time_plan.json").read_text())
    planned = plan["<Sol>" if "<Sol>" in plan else "<local/Sol>"]
    assert 1 <= planned["steps"] < planned["of"]
    assert f"takes {planned['steps']:,} of {planned['of']:,} steps" in done.err
    assert task["splits"]["test"]["metrics"]["rmse"] > 0
    stage = task["stages"][-1]
    assert stage["planned_steps"] == planned["steps"]
    assert metrics["time"]["seconds"] == 2  # half of it is for the refit
    config = json.loads((out / "predictor" / "config.json").read_text())
    kept = config["tags"]["local/Sol"]["lineage"]
    assert kept["steps"] == recipe_of(stage).steps(kept["planned_steps"])


def test_a_plan_is_made_once(tmp_path):
    """A run that goes on takes the steps that were planned, whatever is measured then."""
    budget = TimeBudget(seconds=100.0, file=tmp_path / "time_plan.json")
    speed = Speed(step=0.5, evaluation=1.0)

    def steps(wanted, found, share=1.0, kept=lambda speed: 20.0):
        return budget.steps("stage", wanted, 9, found, Silent(), share=share, kept=kept)

    # 100 s, less 25 for what follows and 10 for evaluations
    planned = steps(1000, speed)
    assert planned in ((129, 9), (130, 9))
    assert steps(1000, None) == planned
    for wanted, measured, expected in (
        (40, speed, (40, 9)),
        (1000, Speed(step=1000.0, evaluation=1.0), (1, 9)),
        (1000, Speed(step=0.5, evaluation=9.0), (76, 3)),  # 4 in 75 s, with that before the start
    ):
        budget.file.unlink()
        found = steps(wanted, measured)
        assert found[1] == expected[1]
        assert found[0] == pytest.approx(expected[0], abs=2)


def test_heads_with_features_have_time_of_their_own(tmp_path, monkeypatch):
    """As many as take half of a stage; one that would end too late is not begun, nor later on."""
    clock = [0.0]
    monkeypatch.setattr("taglm_core.training.budget.time.monotonic", lambda: clock[0])
    file, speed, fits = tmp_path / "time_plan.json", Speed(step=1.0, evaluation=1.0), (20.0, 30.0)
    budget = TimeBudget(seconds=100.0, file=file, began=0.0)
    planned = budget.steps(
        "stage", 999, 9, speed, Silent(), share=1.0, kept=lambda speed: 5.0, head_fits=fits
    )
    # 100 s, less 5 for writing, 5 for scoring, 20 for the first of the fits and 10 for evaluations
    assert planned == (60, 9)
    assert budget.plan["stage"]["head_fits"] == 20
    clock[0] = 70.0
    assert budget.allows("stage", "descriptors", 20.0)
    assert not budget.allows("stage", "features", 21.0)
    again = TimeBudget(seconds=100.0, file=file, began=0.0)
    assert not again.allows("stage", "features", 21.0)
    assert again.allows("another", "descriptors", 999.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("2 m", 120), (None, None)]
)
def test_durations(text, seconds):
    """A number and a unit."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["10", "0m", "-1m", "m", "10 min", ""])
def test_what_is_no_duration_is_refused(text):
    """With examples."""
    with pytest.raises(ConfigError, match="such as 90s, 10m or 1.5h"):
        seconds_of(text)
