"""What has moved or is not installed: the message names the option or the package."""

import json
import shutil

import pytest


@pytest.fixture
def finished(taglm, run_file, tmp_path):
    """Return the folder of a finished run."""
    done = taglm("run", run_file, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    return tmp_path / "run"


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_backbone_that_moved_is_named_again(
    command, finished, taglm, toy_backbone, molecules_csv, tmp_path
):
    """The message names --backbone, and --backbone works."""
    moved = tmp_path / "moved"
    shutil.move(toy_backbone, moved)
    words = [command, finished, "--input", molecules_csv, "--output", tmp_path / "out.csv"]
    done = taglm(*words)
    assert done.code == 1
    assert f"was trained on the backbone '{toy_backbone}'" in done.err
    assert "--backbone FOLDER" in done.err
    again = taglm(*words, "--backbone", moved)
    assert again.code == 0, again.err


def test_another_backbone_of_the_same_shape_is_not_the_same(
    finished, taglm, molecules_csv, tmp_path, toy_backbone
):
    """A model that was trained further is named when it is used for the old predictor."""
    from safetensors.torch import load_file, save_file

    file = toy_backbone / "model.safetensors"
    held = load_file(file)
    key = next(k for k in held if "layers.1.mlp.down_proj" in k)
    held[key] = held[key] * 1.001
    save_file(held, file, metadata={"format": "pt"})
    done = taglm("predict", finished, "-i", molecules_csv, "-o", tmp_path / "out.csv")
    assert done.code == 0, done.err
    assert "is not the same file as the one that" in done.err


def test_a_plugin_that_is_gone_is_named_by_its_distribution(
    finished, taglm, molecules_csv, tmp_path, monkeypatch
):
    """config.json remembers who wrote it."""
    monkeypatch.setenv("TAGLM_PLUGINS", "studies")
    done = taglm("predict", finished, "-i", molecules_csv, "-o", tmp_path / "out.csv")
    assert done.code == 1
    held = json.loads((finished / "predictor" / "config.json").read_text())["plugins"]["chem"]
    assert f"needs the plugin 'chem' of {held}" in done.err
    assert "pip install taglm-plugin-chem" in done.err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("command", ["run", "predict", "evaluate"])
def test_a_device_that_is_not_there(command, finished, taglm, run_file, molecules_csv, tmp_path):
    """The advice is an option that the command has, and it works."""
    words = {
        "run": ["run", run_file, "--out", tmp_path / "other"],
        "predict": ["predict", finished, "-i", molecules_csv, "-o", tmp_path / "out.csv"],
        "evaluate": ["evaluate", finished, "-i", molecules_csv],
    }[command]
    done = taglm(*words, "--device", "cuda:99")
    assert done.code == 1
    assert "device 'cuda:99' cannot be used" in done.err
    assert "Use --device cpu" in done.err
    again = taglm(*words, "--device", "cpu")
    assert again.code == 0, again.err
