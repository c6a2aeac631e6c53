"""Domain tags that a predictor lacks are put beside its own, from the store or a folder."""

import pytest
import small_runs
import torch
from artifacts import tag_artifact

from taglm_core.data.table import Table
from taglm_core.errors import CheckpointError, ConfigError, UnknownNameError
from taglm_core.inference.additional import add_tags
from taglm_core.specs.prompt import Prompt
from taglm_core.store.artifact import save_artifact
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone


@pytest.fixture
def predictor(toy_registry, toy_backbone, tmp_path):
    """Train a task whose rows name their domain tag in a column."""
    words = ["".join("abc"[(i >> k) % 3] for k in range(5)) for i in range(60)]
    rows = [f"Letters,{word},{word.count('a')}" for word in words]
    (tmp_path / "rows.csv").write_text("kind,letters,share\n" + "\n".join(rows) + "\n")
    template = "The string is <{kind}>{letters}. Its value is <T>"
    table = tmp_path / "rows.csv"
    made = small_runs.run(tmp_path, toy_registry, toy_backbone, table, small_runs.SHARE, template)
    return made.predictor


def test_a_tag_of_a_folder_and_its_symbols_are_used(predictor, toy_registry, tmp_path):
    """Rows of the other domain are predicted, each with the tag that its column names."""
    rows = Table({"kind": ["Digits", "Letters"], "letters": ["0110", "abc"]}, [1, 2], "rows")
    before = predictor.predict_table(rows)
    assert "Digits" in before.errors[0]
    assert before.errors[1] is None
    backbone = predictor.task_model.model.backbone
    artifact = tag_artifact(backbone, toy__Digits=torch.ones(2, backbone.hidden_size))
    save_artifact(tmp_path / "digits", artifact, "readme")
    store = TagStore(tmp_path / "empty")
    with pytest.raises(UnknownNameError, match="holds no trained tag <toy/Digits> for"):
        add_tags(predictor, ["Digits"], toy_registry, store)
    add_tags(predictor, [f"Digits={tmp_path / 'digits'}"], toy_registry, store)
    after = predictor.predict_table(rows)
    assert after.errors == [None, None]
    assert after.columns["T"][1] == pytest.approx(before.columns["T"][1], rel=1e-5)


def test_tags_that_do_not_fit_are_refused(predictor, toy_registry, tmp_path, monkeypatch):
    """A tag of another backbone, a folder without the tag, and a task whose columns name none."""
    backbone = predictor.task_model.model.backbone
    other = tiny_backbone("gpt2")
    made = tag_artifact(other, toy__Digits=torch.ones(2, other.hidden_size))
    save_artifact(tmp_path / "other", made, "readme")
    with pytest.raises(CheckpointError):
        add_tags(predictor, [f"Digits={tmp_path / 'other'}"], toy_registry, TagStore())
    made = tag_artifact(backbone, toy__Letters=torch.ones(2, backbone.hidden_size))
    save_artifact(tmp_path / "letters", made, "readme")
    with pytest.raises(UnknownNameError, match="Digits"):
        add_tags(predictor, [f"Digits={tmp_path / 'letters'}"], toy_registry, TagStore())
    monkeypatch.setattr(Prompt, "tag_columns", ())
    with pytest.raises(ConfigError, match="--tag Digits: in the template of T no column names"):
        add_tags(predictor, ["Digits"], toy_registry, TagStore())
