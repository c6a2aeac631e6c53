"""A run trains a tag that acts in the layers; its artifact, store, ensemble and card know of it."""

import json

import attrs
import numpy as np
import pytest
import torch
from small_runs import PLAIN, SHARE, SMALL, run, write_table
from typer.testing import CliRunner

from taglm_core.cli.main import core_app
from taglm_core.data.readers import read_table
from taglm_core.errors import BackboneError, ConfigError
from taglm_core.inference.outline import outline_of
from taglm_core.inference.together import agreeing
from taglm_core.store.artifact import load_artifact
from taglm_core.store.fingerprint import lean
from taglm_core.testing import tiny_backbone
from taglm_core.training.config import TaskStageConfig
from taglm_core.training.function_tag import with_form

SIZE = 4 * 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48))


@pytest.fixture
def table(tmp_path):
    """Write a table of strings and their targets."""
    return write_table(tmp_path)


@pytest.fixture(scope="module")
def tiny():
    """Return the outline of a backbone whose layers have linear maps."""
    return outline_of(tiny_backbone())


def test_a_predictor_keeps_what_acts_in_the_layers(tmp_path, toy_registry, toy_backbone, table):
    """Training moves it; the artifact of an ensemble gives every member's predictions again."""
    how = {"tag": "adapter", "ensemble": 2, "head": "linear"}
    how |= {"max_steps": 4, "precision": "fp32"}
    made = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, **how)
    then = read_table(made.folder / "predictions" / "test.csv").columns
    now = made.predictor.predict({"letters": then["letters"]}, "numpy")
    (name,) = made.predictor.names
    np.testing.assert_allclose(now, np.array(then[name], float), atol=2e-5)
    artifact = load_artifact(made.folder / "predictor")
    record = artifact.config.tags["local/T"]
    inner, other = artifact.inner_of("local/T"), artifact.of_member(0, "inner")
    assert record.form == "adapter"
    assert record.lineage.trained["<local/T> adapter"] == SIZE
    assert sum(value.numel() for value in inner.values()) == SIZE
    moved = [place for place in inner if not place.endswith(".down")]
    assert all(float(inner[place].abs().max()) > 0 for place in moved)
    assert set(other) == set(inner)
    assert any(not torch.equal(other[place], inner[place]) for place in inner)
    assert made.predictor.tags["local/T"]["form"] == "adapter"
    assert "Function tag: adapter" in (made.folder / "predictor" / "README.md").read_text()
    without = {**artifact.inner, f"local/T:{moved[0]}": torch.zeros_like(inner[moved[0]])}
    assert len(agreeing({"a": artifact, "b": attrs.evolve(artifact, inner=without)})) == 2


def test_the_store_and_a_new_head_take_it(tmp_path, toy_registry, toy_backbone, table):
    """A second run predicts the same without training; a head on the frozen tag reads it."""
    first, second = (
        run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, tag="adapter", head="linear")
        for _ in range(2)
    )
    rows = {"letters": ["abc", "aabbcc"]}
    assert second.metrics["tasks"]["T"]["stages"][-1]["from_store"] is True
    one, other = (made.predictor.predict(rows, "numpy") for made in (first, second))
    np.testing.assert_allclose(one, other, atol=1e-6)
    how = {"function_tag_from": str(first.folder), "head": "linear"}
    third = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, **how)
    used, held = (load_artifact(each.folder / "predictor") for each in (third, first))
    assert used.config.tags["local/T"].form == "adapter"
    assert all(torch.equal(used.inner[name], value) for name, value in held.inner.items())
    np.testing.assert_allclose(third.predictor.predict(rows, "numpy"), one, atol=1e-3)


def test_the_program_shows_it(tmp_path, toy_backbone, table, monkeypatch):
    """The table before a run, the tag store and the backbone say what is trained and what works."""
    monkeypatch.setattr("taglm_core.model.backbone_facts._SECONDS", 0.0)
    (tmp_path / "run.yaml").write_text(
        json.dumps(
            {
                "task": {"name": "T", "template": "{letters}: <T>", "target": SHARE},
                "data": {"file": str(table), "split": {"method": "random"}},
                "backbone": str(toy_backbone),
                "baselines": ["none"],
                "stages": {"task": {**SMALL, "tag": "adapter"}},
            }
        )
    )

    def said(*words):
        result = CliRunner().invoke(core_app(), words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    shown = said("run", str(tmp_path / "run.yaml"), "--dry-run")
    assert "<local/T> adapter" in shown
    said("run", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "out"))
    assert "form: adapter" in said("tags", "show", "T")
    facts = json.loads(said("backbone", "show", str(toy_backbone), "--json"))
    works = {each["name"]: each["works"] for each in facts["abilities"]}
    assert works["adapters"]


def test_the_input_tag_leaves_fingerprints_as_they_were():
    """What was trained before the setting existed is found again."""
    assert "tag" not in lean(TaskStageConfig(tag="input"))
    assert lean(TaskStageConfig(tag="adapter"))["tag"] == "adapter"


@pytest.mark.parametrize(
    ("settings", "is_numeric", "form"),
    [
        ({}, True, "adapter"),
        ({"head": "linear"}, True, "adapter"),
        ({"tag": "input"}, True, "input"),
        ({}, False, "input"),
        ({"head": "mlp"}, True, "input"),
        ({"enrich": True}, True, "input"),
        ({"head_init": "mean_embedding"}, True, "input"),
        ({"function_tag_from": "runs/x"}, True, "input"),
    ],
)
def test_auto_adapts_where_a_head_is_fitted_in_closed_form(settings, is_numeric, form, tiny):
    """Elsewhere the tag is the paper's."""
    assert with_form(TaskStageConfig(**settings), is_numeric, tiny).tag == form


def test_auto_is_the_input_tag_where_the_layers_have_no_linear_maps(tiny):
    """What was not asked for by name does not fail."""
    without = attrs.evolve(tiny, maps={}, refusal="no linear maps")
    assert with_form(TaskStageConfig(), True, without).tag == "input"


def test_a_run_by_default_adapts_and_finds_its_tag_again(
    tmp_path, toy_registry, toy_backbone, table
):
    """The stage that says adapter by name has the same tag in the store."""
    how = {"head": "linear", "max_steps": 3}
    first = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, **how)
    again = run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, **how, tag="adapter")
    assert first.predictor.tags["local/T"]["form"] == "adapter"
    rows = {"letters": ["abc", "aabbcc"]}
    np.testing.assert_array_equal(
        first.predictor.predict(rows, "numpy"), again.predictor.predict(rows, "numpy")
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tag": "prefix"}, "auto, input, adapter"),
        ({"tag": "adapter", "function_tag_from": "runs/x"}, "keeps its own form"),
    ],
)
def test_what_cannot_be_is_refused(settings, said, tmp_path, toy_registry, toy_backbone, table):
    """Before anything is trained, in one line."""
    with pytest.raises(ConfigError, match=said):
        run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, **settings)


def test_a_backbone_without_such_layers_is_refused_before_training(
    tmp_path, toy_registry, toy_backbone, table, monkeypatch
):
    """The message names the setting; nothing is written but the folder."""
    monkeypatch.setattr("taglm_core.model.layer_hooks.LayerHooks.linear_maps", lambda _: {})
    with pytest.raises(BackboneError, match="no linear maps.*tag=input"):
        run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN, tag="adapter")
