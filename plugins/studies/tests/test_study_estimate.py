"""The time of a study is estimated before it runs."""

import pytest

from taglm_studies.study import estimate


def record(step_seconds):
    """Return what a run of two steps says of itself, most of it spent beside the steps."""
    stage = {"rows": 640, "steps": 2, "seconds": 90.0, "prefix_seconds": 5.0}
    return {"stages": [{**stage, "step_seconds": step_seconds}]}


class Run:
    """A run that has ended."""

    def __init__(self, step_seconds):
        self.metrics = {"tasks": {"T": record(step_seconds)}}


@pytest.mark.parametrize("step_seconds", [0.5, None])
def test_what_a_run_takes_beside_its_steps_is_not_multiplied(monkeypatch, step_seconds):
    """Choosing heads took 80 seconds once; it does not take them at each step."""
    import taglm

    def run(task, data, out, progress, **settings):
        assert settings["stages.task.max_steps"] == 2
        out.mkdir()
        (out / "run.yaml").write_text("stages: {task: {epochs: 10, batch_size: 64}}")
        return Run(step_seconds)

    monkeypatch.setattr(taglm, "run", run)
    request = {"task": "T", "data": None, "settings": {}}
    found = estimate._probed(request)
    steps = 100  # ten epochs of 640 rows in batches of 64
    assert found == pytest.approx((steps - 2) * (step_seconds or 0.0), abs=1.0)
