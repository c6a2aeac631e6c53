"""A stage says before it begins what it will take."""

import pytest
from small_runs import PLAIN, SHARE, Lines, run, write_table

from taglm_core.model.backbone_facts import Speed
from taglm_core.model.prefix_cache import bytes_per_token
from taglm_core.testing import tiny_backbone
from taglm_core.training import estimate
from taglm_core.training.estimate import Estimate, pace_of, working_bytes


def lines_of(found):
    """Return the estimates among some lines."""
    return [line for line in found if line.startswith("stage ") and ": about " in line]


def test_the_pace_is_measured_once():
    """The second call gives the object of the first."""
    backbone = tiny_backbone()
    pace = pace_of(backbone)
    assert pace.forward > pace.backward > 0
    assert pace_of(backbone) is pace


def test_layers_that_are_run_again_keep_their_inputs():
    """Those of a divided backbone, or with checkpointing=on; not behind cached segments."""
    backbone = tiny_backbone(num_hidden_layers=4)
    plain = working_bytes(backbone, 10)
    backbone.checkpoints.is_divided = True
    assert working_bytes(backbone, 10) == plain // 4 + 10 * 4 * 32 * 4
    assert working_bytes(backbone, 10, is_cached=True) == plain
    backbone.checkpoints.set("off")
    assert working_bytes(backbone, 10) == plain
    backbone.checkpoints.is_divided = False
    backbone.checkpoints.set("on")
    assert working_bytes(backbone, 10) < plain


@pytest.mark.parametrize(
    ("seconds", "is_said", "has_advice"),
    [(1, False, False), (60, True, False), (3600, True, True)],
)
def test_long_stages_say_how_to_shorten_them(seconds, is_said, has_advice):
    """Short ones are of interest to nobody."""
    lines = Lines()
    made = Estimate(stage="stage 1", parts=(("9 steps", seconds),), memory=5 * 10**6, cache=10**9)
    made.say(lines, "--time 10m")
    (line,) = lines.said if is_said else lines.details
    assert "9 steps" in line
    assert "memory about 5 MB, cache 1 GB" in line
    assert line.endswith(". Shorter: --time 10m") == has_advice


def test_a_run_estimates_each_stage(tmp_path, toy_registry, toy_backbone, monkeypatch):
    """On a backbone that computes a token in a second, every token is counted."""
    monkeypatch.setattr(estimate, "pace_of", lambda backbone: Speed(forward=1.0, backward=0.5))
    lines = Lines()
    task = (write_table(tmp_path), SHARE, PLAIN, lines)
    made = run(tmp_path, toy_registry, toy_backbone, *task, max_steps=2)
    first, second = lines_of(lines.said)
    assert first.startswith("stage 1 <")
    assert "1 step " in first
    assert second.startswith("stage 2 <")
    for part in ("cached segments", "2 steps", "evaluations", "scoring"):
        assert part in second
    assert "Shorter: --preset quick, --time 10m" in second
    assert made.metrics["tasks"]["T"]["splits"]["test"]["metrics"]


def test_the_tokens_of_a_task_are_those_of_its_rows(
    tmp_path, toy_registry, toy_backbone, monkeypatch
):
    """Segments and suffixes together are the rows."""
    monkeypatch.setattr(estimate, "pace_of", lambda backbone: Speed(forward=1.0, backward=1.0))
    found = []
    real = estimate.Estimate

    def keep(**facts):
        found.append(real(**facts))
        return found[-1]

    monkeypatch.setattr(estimate, "Estimate", keep)
    table = write_table(tmp_path)
    settings = {"batch_size": 1000, "max_steps": 1, "cache": "1gb"}
    run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, **settings)
    with_cache = dict(found[-1].parts)
    elsewhere = tmp_path / "elsewhere"  # another store, so that it is trained again
    elsewhere.mkdir()
    settings["cache"] = "off"
    run(elsewhere, toy_registry, toy_backbone, table, SHARE, PLAIN, **settings)
    without = dict(found[-1].parts)
    assert "cached segments" not in without
    assert not found[-1].cache
    # an evaluation reads train and valid: whole rows, or what is not cached of them
    evaluations = 3
    saved = (without["evaluations"] - with_cache["evaluations"]) / evaluations
    assert saved == pytest.approx(with_cache["cached segments"], rel=0.2)
    backbone = tiny_backbone()
    assert found[1].cache == with_cache["cached segments"] * bytes_per_token(backbone, 4)


def test_fits_of_a_head_in_passes_are_counted(tmp_path, toy_registry, toy_backbone, monkeypatch):
    """Those to the states before the first step and in each evaluation, and with features."""
    for module in ("feature_choice", "head_cost"):
        monkeypatch.setattr(f"taglm_core.training.{module}.fit_seconds", lambda *facts: 100.0)
    lines, table = Lines(), write_table(tmp_path)
    settings = {"head": "mlp", "fit_epochs": 2, "num_evaluations": 3, "max_steps": 3}
    run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, lines, **settings)
    (line,) = [line for line in lines_of(lines.said) if line.startswith("stage 2")]
    assert "fits of the head 7 min, heads with features 5 min)" in line
