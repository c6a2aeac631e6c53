"""Rates that are not finite, and paths of results where a file is in the way."""

from types import SimpleNamespace

import pytest

from taglm_core.data.atomic import check_writable
from taglm_core.errors import CheckpointError, ConfigError, DataError
from taglm_core.store.artifact import check_backbone
from taglm_core.store.runfolder import RunFolder
from taglm_core.training.config import TaskStageConfig
from taglm_core.training.settings import nested, parse_overrides, run_config


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("key", ["lr", "tag_lr", "head_lr", "epochs"])
def test_rates_are_finite(key, value):
    """An infinite rate would train a tag of NaN."""
    with pytest.raises(ConfigError, match=f"{key} must be"):
        TaskStageConfig(**{key: value})


def test_a_file_in_the_place_of_a_folder(tmp_path):
    """To make the folder would fail, so it is not advised."""
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file, not a folder"):
        check_writable(tmp_path / "file" / "out.csv")


@pytest.mark.parametrize(("name", "wanted"), [("nano", "--backbone FOLDER"), ("x", "leave --b")])
def test_a_backbone_of_the_same_name_with_other_weights(name, wanted):
    """Leaving an option out that was not given helps nobody."""
    fingerprint = SimpleNamespace(difference=lambda other: "other weights")
    artifact = SimpleNamespace(fingerprint=fingerprint, folder="a", backbone="nano")
    with pytest.raises(CheckpointError, match=wanted):
        check_backbone(artifact, SimpleNamespace(content=None), name)


def test_a_file_where_a_run_folder_is_wanted(tmp_path):
    """`--out table.csv` names what is there."""
    (tmp_path / "table.csv").touch()
    with pytest.raises(CheckpointError, match="is a file; a run needs a folder"):
        RunFolder(tmp_path / "table.csv").open({"seed": 0})


def test_a_setting_has_one_value():
    """Of a key of --set that is repeated, the last; two ways of writing a key are a mistake."""
    assert parse_overrides(["seed=1", "seed=2"]) == {"seed": 2}
    with pytest.raises(ConfigError, match="--set data.size=2: 'size' is set twice"):
        parse_overrides(["data={size: 1}", "data.size=2"])
    with pytest.raises(ConfigError, match="'epochs' is set twice"):
        nested({"stages.task.epochs": 1, "stages__task__epochs": 2})


@pytest.mark.parametrize(
    ("key", "word"),
    [("seed", "a whole number"), ("refit", "true or false"), ("backbone", "text")],
)
def test_a_key_with_nothing_behind_it_is_named(key, word):
    """`refit:` is not refit: false, `backbone:` not one that is called None."""
    with pytest.raises(ConfigError, match=f"x: '{key}' is empty; it must be {word}, or left out"):
        run_config("x", {"task": "QED", key: None})
    run_config("x", {"task": "QED", "time": None})  # None is a value of it


@pytest.mark.parametrize("seeds", [",", ["", ""], [" "]])
def test_blank_seeds_are_no_seeds(seeds):
    """One run would be made instead of several."""
    with pytest.raises(ConfigError, match="seeds: write different whole numbers, such as 0,1,2"):
        run_config("x", {"task": "QED", "seeds": seeds})
