"""A path that is no predictor is told what it is, and which run may have been meant."""

from pathlib import Path

import pytest

from taglm_core.errors import CheckpointError
from taglm_core.store.artifact import find_artifact, read_artifact


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("LogS", "LogS: no such run or predictor. Did you mean 'runs/LogS'?"),
        ("runs/LogX", "runs/LogX: no such run or predictor. Did you mean 'LogS'?"),
        ("lab.csv", "is a file, not a predictor. Name the folder of a run, such as runs/QED; a"),
        (
            "study",
            "study holds a predictor for each of 1 runs. Name one, such as study/members/tag",
        ),
        ("runs", "runs holds 1 run. Name one: runs/LogS."),
        ("empty", "empty is neither a run nor a predictor. Name the folder of a run"),
        ("begun", "begun holds no predictor. A run writes it at its end"),
    ],
)
def test_what_is_no_predictor_is_named(tmp_path, monkeypatch, path, said):
    """People leave `runs/` out, and write the table first."""
    monkeypatch.chdir(tmp_path)
    file = Path("runs/LogS/predictor/tags.safetensors")
    file.parent.mkdir(parents=True)
    file.touch()
    Path("empty").mkdir()
    Path("begun").mkdir()
    Path("begun/run.yaml").touch()
    Path("study/members/tag/run/predictor").mkdir(parents=True)
    Path("lab.csv").write_text("smiles\nCCO\n")
    with pytest.raises(CheckpointError) as caught:
        find_artifact(Path(path))
    assert said in str(caught.value)
    assert find_artifact(Path("runs/LogS")) == file.parent


def test_another_task_than_the_one_that_is_held_is_refused():
    """`--task` of a run with one task would be left out without a word."""
    folder = Path(__file__).parents[2] / "data" / "artifacts" / "v2" / "classes"
    name = read_artifact(folder).task.spec.name
    assert read_artifact(folder, name).task.spec.name == name
    with pytest.raises(CheckpointError, match=f"no task 'nope'. It holds the task {name}"):
        read_artifact(folder, "nope")
