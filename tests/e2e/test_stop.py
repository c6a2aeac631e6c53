"""Ctrl-C: the step is ended and kept; the program says where; the same command goes on."""

import json
import os
import signal

import pytest

from taglm_core.training import fit as fitting
from taglm_core.training.interrupts import StopAfterStep

QUICK = [
    f"--set=stages.{stage}.{setting}"
    for stage in ("domain", "task")
    for setting in ("max_steps=6", "batch_size=4")
]


def stop_at(monkeypatch, stage, number):
    """Let somebody press Ctrl-C while a step of a stage is taken."""
    take_step, fit, stages = fitting._take_step, fitting.fit, []

    def named(*arguments):
        stages.append(arguments[-1])
        return fit(*arguments)

    def press(*arguments):
        if len(stages) == stage and arguments[4] == number:
            os.kill(os.getpid(), signal.SIGINT)
        take_step(*arguments)

    monkeypatch.setattr("taglm_core.training.stage_fit.fit", named)
    monkeypatch.setattr(fitting, "_take_step", press)
    return stages


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stopped_run_goes_on_where_it_was(stage, taglm, run_file, tmp_path, monkeypatch):
    """Both stages; the numbers in the end are those of a run that nobody stopped."""
    out, plain = tmp_path / "out", tmp_path / "plain"
    with monkeypatch.context() as context:
        stop_at(context, stage, 2)
        stopped = taglm("run", run_file, *QUICK, "--out", out)
    assert stopped.code == 130
    assert stopped.err.endswith("Stopped at step 3 of 6. Run the same command to continue.\n")
    assert "Traceback" not in stopped.err
    assert not (out / "metrics.json").exists()
    (state,) = out.glob("checkpoints/*/state.json")
    assert json.loads(state.read_text())["step"] == 3
    assert not [name for name in out.rglob("*") if ".tmp" in name.name]
    done = taglm("run", run_file, *QUICK, "--out", out)
    assert done.code == 0, done.err
    assert "continuing at step 3" in done.err
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "another-home"))
    assert taglm("run", run_file, *QUICK, "--out", plain).code == 0
    ours, theirs = (
        json.loads((folder / "metrics.json").read_text())["tasks"]["Sol"]["splits"]
        for folder in (out, plain)
    )
    assert ours == theirs


def test_ctrl_c_outside_of_a_stage_says_how_to_go_on(taglm, run_file, tmp_path, monkeypatch):
    """As while the baselines are fitted."""

    def press(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("taglm_core.training.run.early_baselines", press)
    stopped = taglm("run", run_file, *QUICK, "--out", tmp_path / "out")
    assert stopped.code == 130
    assert stopped.err.endswith("Stopped. Run the same command to continue.\n")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_while_reports_are_written(taglm, run_file, tmp_path, monkeypatch):
    """The same command scores again and writes them."""

    def press(*arguments):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as context:
        context.setattr("taglm_studies.report.details.finish", press)
        stopped = taglm("run", run_file, *QUICK, "--out", out)
    assert stopped.code == 130
    assert stopped.err.endswith("Stopped. Run the same command to continue.\n")
    done = taglm("run", run_file, *QUICK, "--out", out)
    assert done.code == 0, done.err
    assert "holds the finished run" not in done.err
    assert (out / "report.html").is_file()


def test_a_second_ctrl_c_stops_at_once():
    """And the handler of before is back."""
    before = signal.getsignal(signal.SIGINT)
    with StopAfterStep() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.is_asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
