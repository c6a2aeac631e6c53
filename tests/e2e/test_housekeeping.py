"""`taglm runs` and `taglm tags`: what lies on the disk is listed, and removed where one asks."""

import json

import pytest
import torch
from artifacts import tag_artifact
from filelock import FileLock

from taglm_core.store.tagstore import TagStore
from taglm_core.testing.tiny import tiny_backbone


@pytest.fixture
def runs(taglm, run_file, tmp_path, monkeypatch):
    """Write two runs of different domain tags, and stand beside them."""
    monkeypatch.chdir(tmp_path)
    for name, steps in (("first", 2), ("second", 3)):
        words = ["--set", f"stages.domain.max_steps={steps}", "--baselines", "mean"]
        done = taglm("run", run_file, "--out", f"runs/{name}", *words)
        assert done.code == 0, done.err
    return tmp_path / "runs"


def test_runs_and_tags_are_listed_and_removed(taglm, runs):
    """A removed run or tag is gone as a whole; predictors do not need the store."""
    (runs / "begun").mkdir()
    (runs / "begun" / "run.yaml").write_text("task: {name: Sol}\n")
    records = {r["run"]: r for r in json.loads(taglm("runs", "list", "--json").out)}
    assert set(records) == {"runs/first", "runs/second", "runs/begun"}
    assert records["runs/begun"]["state"] == "unfinished"
    assert records["runs/first"]["metric"] == "rmse"
    metrics = json.loads((runs / "first" / "metrics.json").read_text())
    test = metrics["tasks"]["Sol"]["splits"]["test"]["metrics"]["rmse"]
    assert records["runs/first"]["test"] == test
    shown = taglm("runs", "show", "runs/first")
    assert shown.code == 0, shown.err
    assert "max_steps: 2" in shown.out
    assert "rmse" in shown.out
    removed = taglm("runs", "rm", "runs/first", "runs/begun")
    assert removed.code == 0, removed.err
    assert sorted(path.name for path in runs.iterdir()) == ["second"]
    _check_tags(taglm)
    predicted = taglm("predict", "runs/second", "CCO")
    assert predicted.code == 0, predicted.err


def _check_tags(taglm):
    """Of two tags of a name it is said which is shown; the older one is pruned."""
    tags = json.loads(taglm("tags", "list", "--json").out)
    smiles = [tag["fingerprint"] for tag in tags if tag["tag"] == "chem/SMILES"]
    packaged = [tag["fingerprint"] for tag in tags if tag["from"] != "store"]
    smiles = [fingerprint for fingerprint in smiles if fingerprint not in packaged]
    assert len(smiles) == 2
    assert len(packaged) == 2  # of molecules and of proteins, for nano
    both = taglm("tags", "show", "SMILES", "--json")
    assert len(json.loads(both.out)) == 3
    assert "3 tags 'SMILES' are shown; to show one, name it: chem/SMILES@" in both.err
    one = taglm("tags", "show", f"SMILES@{smiles[0][:6]}", "--json")
    assert [tag["fingerprint"] for tag in json.loads(one.out)] == smiles[:1]
    unclear = taglm("tags", "rm", "SMILES")
    assert unclear.code == 1
    assert f"chem/SMILES@{smiles[0][:8]}" in unclear.err
    planned = taglm("tags", "prune", "--dry-run")
    assert planned.out.startswith("Would remove chem/SMILES@")
    assert len(json.loads(taglm("tags", "list", "--json").out)) == len(tags)
    pruned = taglm("tags", "prune")
    assert pruned.out.replace("Removed", "Would remove") == planned.out
    left = json.loads(taglm("tags", "list", "--json").out)
    assert {tag["fingerprint"] for tag in left} >= set(packaged)
    left = [tag for tag in left if tag["from"] == "store"]
    own = {tag["tag"] for tag in tags if tag["from"] == "store"}
    assert [tag["tag"] for tag in left] == sorted(own)
    (last,) = [tag["fingerprint"] for tag in left if tag["tag"] == "chem/SMILES"]
    assert last in smiles
    assert taglm("tags", "rm", f"chem/SMILES@{last[:8]}").code == 0
    assert "Nothing to remove" in taglm("tags", "prune").out
    shown = taglm("tags", "show", "SMILES", "--json")
    assert [tag["fingerprint"] in packaged for tag in json.loads(shown.out)] == [True]
    kept = taglm("tags", "rm", "SMILES")
    assert kept.code == 1
    assert "belongs to taglm-backbone-nano 1.0.0 and is not removed" in kept.err


def test_what_is_no_run_or_in_use_is_kept(taglm, tmp_path, monkeypatch):
    """Only run folders are removed, and none that a run writes to."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    done = taglm("runs", "rm", "photos")
    assert done.code == 1
    assert "photos is not a run folder (run.yaml is missing). Nothing is removed." in done.err
    run = tmp_path / "runs" / "busy"
    run.mkdir(parents=True)
    (run / "run.yaml").write_text("task: {name: Sol}\n")
    (tmp_path / "link").symlink_to(run)
    assert "a link to a folder" in taglm("runs", "rm", "link").err
    with FileLock(str(run / ".lock")):
        done = taglm("runs", "rm", "runs/busy")
    assert done.code == 1
    assert "is in use by another process. Stop it first." in done.err
    assert (run / "run.yaml").is_file()
    assert (tmp_path / "photos").is_dir()
    assert "holds no runs yet" in taglm("runs", "list", "photos").out


def _cut(folder):
    (folder / "tags.safetensors").write_bytes(b"half of it")


def _lacking(folder):
    (folder / "tags.safetensors").unlink()


def _empty(folder):
    (folder / "config.json").write_text("")


def _other(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("toy/Other", "toy/Moved"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "is damaged (Error while deserializing"),
        (_lacking, "is damaged (tags.safetensors is missing). Copy it again"),
        (_empty, "config.json is damaged (Expecting value"),
        (_other, "holds no tag <toy/Other>; it holds toy/Moved."),
    ],
)
def test_a_damaged_tag_hides_no_other(taglm, damage, said):
    """The others are listed, one line names the damaged one, and it can be removed."""
    store, backbone = TagStore(), tiny_backbone("llama")
    for name in ("toy/Word", "toy/Other"):
        made = tag_artifact(backbone, **{name.replace("/", "__"): torch.ones(2, 8)})
        folder = store.save("key", name, "1a2b3c4d", made, "")
    damage(folder)
    remedy = "`taglm tags rm toy/Other@1a2b3c4d` removes it"
    listed = taglm("tags", "list", "--json")
    assert listed.code == 1
    own = [tag["tag"] for tag in json.loads(listed.out) if tag["from"] == "store"]
    assert own == ["toy/Word"]
    (line,) = listed.err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert remedy in line
    assert "toy/Word" in taglm("tags", "list").out
    backbones = taglm("backbone", "list", "--json")
    assert backbones.code == 1
    assert remedy in backbones.err
    assert {"name": backbone.name, "tags": 1}.items() <= json.loads(backbones.out)[-1].items()
    assert remedy in taglm("tags", "show", "Other").err
    removed = taglm("tags", "rm", "Other")
    assert removed.out == "Removed toy/Other@1a2b3c4d (damaged).\n"
    assert taglm("tags", "list").code == 0


@pytest.mark.parametrize("text", ["", "[]", '{"tasks": []}', '{"tasks": {"Sol": 3}}'])
def test_damaged_results_hide_no_other_run(taglm, tmp_path, text):
    """The run stands in the list as damaged, one line names its file."""
    for name, results in (("bad", text), ("good", '{"tasks": {"Sol": {}}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.yaml").write_text("task: {name: Sol}\n")
        (tmp_path / name / "metrics.json").write_text(results)
    done = taglm("runs", "list", tmp_path, "--json")
    assert done.code == 1
    states = {record["run"]: record["state"] for record in json.loads(done.out)}
    assert states == {f"{tmp_path}/bad": "damaged", f"{tmp_path}/good": "finished"}
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: {tmp_path}/bad/metrics.json is damaged")
