"""A run whose files or backbone have changed is never returned as it was; run.yaml repeats it."""

import json
import os
import shutil

import pytest
import yaml


@pytest.fixture
def finished(taglm, run_file, tmp_path, monkeypatch):
    """Run once and return the folder."""
    monkeypatch.chdir(tmp_path)
    done = taglm("run", run_file, "--out", "run")
    assert done.code == 0, done.err
    return tmp_path / "run"


def nudge(file):
    """Change one number of a safetensors file; size and time stay."""
    before = file.stat()
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(bytes(data))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_nothing_changed_returns_the_results(finished, taglm, run_file):
    """The same settings, files and weights are the same run."""
    again = taglm("run", run_file, "--out", "run")
    assert again.code == 0, again.err
    assert "holds the finished run" in again.err


def test_weights_that_changed_are_refused(finished, taglm, run_file, toy_backbone):
    """One bit of one weight is another model, whatever the time of the file says."""
    nudge(toy_backbone / "model.safetensors")
    again = taglm("run", run_file, "--out", "run")
    assert again.code == 1
    assert "the backbone has changed since" in again.err
    assert "--out" in again.err


def test_data_that_changed_are_refused_and_train_anew_elsewhere(
    finished, taglm, run_file, molecules_csv
):
    """Another row, another run; a new folder takes nothing of the old tags."""
    old = json.loads((finished / "metrics.json").read_text())
    lines = molecules_csv.read_text().splitlines()
    molecules_csv.write_text("\n".join([*lines[:-1], "CCCCN,9.5"]) + "\n")
    again = taglm("run", run_file, "--out", "run")
    assert again.code == 1
    assert "molecules.csv has changed since" in again.err
    new = taglm("run", run_file, "--out", "other")
    assert new.code == 0, new.err
    found = json.loads((finished.parent / "other" / "metrics.json").read_text())
    assert found["tasks"]["Sol"]["splits"] != old["tasks"]["Sol"]["splits"]
    assert not found["tasks"]["Sol"]["stages"][-1].get("from_store")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("more.csv", ["--set", "data.test_file=more.csv"]),
        ("corpus.csv", ["--domain-data", "SMILES=corpus.csv"]),
        ("split.csv", ["--set", "data.split={method: null, file: split.csv}"]),
    ],
)
def test_a_second_file_that_changed_is_refused(
    name, options, taglm, run_file, tmp_path, monkeypatch
):
    """Test rows, corpora and split files count as the data do."""
    monkeypatch.chdir(tmp_path)
    rows = ["train"] * 30 + ["valid"] * 5 + ["test"] * 5
    texts = {
        "more.csv": "Drug,Y\nCCCCl,0.5\nCCCBr,0.5\n",
        "corpus.csv": "smiles\n" + "\n".join("C" * n for n in range(1, 40)) + "\n",
        "split.csv": "row,split\n" + "\n".join(f"{i + 1},{p}" for i, p in enumerate(rows)) + "\n",
    }
    file = tmp_path / name
    file.write_text(texts[name])
    done = taglm("run", run_file, "--out", "run", *options)
    assert done.code == 0, done.err
    assert taglm("run", run_file, "--out", "run", *options).code == 0
    changed = {
        "more.csv": texts[name].replace("0.5", "0.6", 1),
        "corpus.csv": texts[name] + "N\n",
        "split.csv": texts[name].replace("1,train", "1,test", 1),
    }
    file.write_text(changed[name])
    again = taglm("run", run_file, "--out", "run", *options)
    assert again.code == 1
    assert f"{name} has changed since" in again.err
    file.unlink()
    gone = taglm("run", run_file, "--out", "run", *options)
    assert gone.code == 1
    assert f"{name} is gone since" in gone.err


def test_a_file_that_a_loader_reads_by_itself_counts(taglm, run_file, tmp_path, monkeypatch):
    """A data set finds its own file, as plugins read local copies of public sets."""
    from taglm_core.training.plan import load_task_rows

    monkeypatch.chdir(tmp_path)
    (tmp_path / "hidden.csv").write_text("a\n1\n")

    def reading(*arguments, **options):
        from taglm_core.data.readers import read_table

        read_table("hidden.csv")
        return load_task_rows(*arguments, **options)

    monkeypatch.setattr("taglm_core.training.plan.load_task_rows", reading)
    assert taglm("run", run_file, "--out", "run").code == 0
    assert taglm("run", run_file, "--out", "run").code == 0
    (tmp_path / "hidden.csv").write_text("a\n2\n")
    again = taglm("run", run_file, "--out", "run")
    assert again.code == 1
    assert "hidden.csv has changed since" in again.err


def test_a_run_on_changed_data_is_not_resumed(finished, taglm, run_file, molecules_csv):
    """Checkpoints belong to the data too."""
    (finished / "metrics.json").unlink()
    molecules_csv.write_text(molecules_csv.read_text().replace("CCO,0.3", "CCO,0.4"))
    again = taglm("run", run_file, "--out", "run")
    assert again.code == 1
    assert "molecules.csv has changed since" in again.err


def test_the_run_file_that_a_run_wrote_repeats_it(finished, taglm, tmp_path):
    """`taglm run run/run.yaml` needs no other file, from any folder, and gives the same numbers."""
    same = taglm("run", "run/run.yaml", "--out", "run")
    assert same.code == 0, same.err
    assert "holds the finished run" in same.err
    again = taglm("run", "run/run.yaml", "--out", "again")
    assert again.code == 0, again.err
    first, second = (
        json.loads((tmp_path / name / "metrics.json").read_text())["tasks"]["Sol"]["splits"]
        for name in ("run", "again")
    )
    assert first == second


def test_a_run_file_written_by_a_run_names_paths_from_its_own_folder(
    finished, taglm, tmp_path, monkeypatch
):
    """From another working folder it reads the same files."""
    held = yaml.safe_load((finished / "run.yaml").read_text())
    assert "files" not in held
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "molecules.csv", tmp_path / "run" / "molecules.csv")
    held["data"]["file"] = "molecules.csv"
    (finished / "copy.yaml").write_text(yaml.safe_dump(held))
    monkeypatch.chdir(elsewhere)
    done = taglm("run", "../run/copy.yaml", "--out", "there")
    assert done.code == 0, done.err
    assert yaml.safe_load((elsewhere / "there" / "run.yaml").read_text())["data"]["file"] == (
        "../../run/molecules.csv"
    )


def test_a_run_of_several_tasks_repeats_too(taglm, run_file, tmp_path, monkeypatch):
    """Each task's own data are in run.yaml."""
    monkeypatch.chdir(tmp_path)
    held = yaml.safe_load(run_file.read_text())
    task = held.pop("task")
    held["tasks"] = [
        {"task": task},
        {"task": {**task, "name": "Sol2", "template": task["template"].replace("<Sol>", "<Sol2>")}},
    ]
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(held))
    assert taglm("run", "two.yaml", "--out", "two").code == 0
    same = taglm("run", "two/run.yaml", "--out", "two")
    assert same.code == 0, same.err
    assert "holds the finished run" in same.err
