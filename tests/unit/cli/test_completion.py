"""Tasks, runs and tags are completed; each field of a domain has an option."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from taglm_core.cli import completion
from taglm_core.cli.main import build_app, core_app
from taglm_core.store.tagstore import StoredTag, TagStore


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Stand in a folder with a table, a run file, a run and another folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("Quick.yaml", "lab.csv", "notes.txt", "runs/QED/run.yaml", "other/x.bin"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    return tmp_path


def test_tasks_stand_before_run_files_and_tables(place):
    """What begins so; other files are not proposed."""
    assert completion.complete_task("Q") == ["QED", "Quick.yaml"]
    assert completion.complete_task("lab") == ["lab.csv"]
    assert completion.complete_task("notes") == []
    assert "chem/QED" in completion.complete_task("chem/")


def test_runs_are_found_from_nothing_and_inside_folders(place):
    """The folder `runs` is looked into first."""
    assert completion.complete_run("")[0] == "runs/QED"
    assert completion.complete_run("runs/Q") == ["runs/QED"]
    assert completion.complete_run("ru") == ["runs/QED", "runs/"]
    assert completion.complete_run("oth") == ["other/"]


def test_tags_have_names_and_fingerprints(monkeypatch):
    """As `taglm tags show` takes them."""
    entries = [StoredTag("chem/SMILES", "key", "1a2b3c4d5e", Path())]
    monkeypatch.setattr(TagStore, "entries", lambda store: entries)
    assert completion.complete_tag("SM") == ["SMILES"]
    assert completion.complete_tag("chem") == ["chem/SMILES", "chem/SMILES@1a2b3c4d"]


def test_the_shell_gets_them(place, monkeypatch):
    """Through the program, as the script of bash asks for them."""
    words = {"COMP_WORDS": "taglm predict runs/Q", "COMP_CWORD": "2"}
    words["_TAGLM_COMPLETE"] = "complete_bash"
    done = CliRunner().invoke(core_app(), [], prog_name="taglm", env=words)
    assert done.output.split() == ["runs/QED"]


@pytest.mark.parametrize("command", ["run", "init", "predict", "evaluate"])
def test_fields_of_domains_are_options(command, monkeypatch):
    """Those of the LM's own tokenizer work without being listed."""
    monkeypatch.setattr(sys, "argv", ["taglm", command])
    done = CliRunner().invoke(build_app(), [command, "--help"], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    for said in ("--smiles COLUMN", "--sequence COLUMN", "short for --column smiles=COLUMN"):
        assert said in " ".join(done.output.split())
    assert "--de COLUMN" not in done.output


def test_an_option_of_a_field_is_a_column(tmp_path, monkeypatch):
    """With others beside it."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{'C' * n},{n},{n % 2}\n" for n in range(1, 9))
    (tmp_path / "lab.csv").write_text(f"Structure,LogS,w\n{rows}")
    monkeypatch.setattr(sys, "argv", ["taglm", "init"])
    words = ["init", "lab.csv", "--target", "LogS", "--smiles", "Structure"]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    assert "smiles: Structure" in (tmp_path / "lab.yaml").read_text()
    wrong = CliRunner().invoke(build_app(), [*words[:-1], "Other", "-o", "x.yaml"])
    assert "no column 'Other'" in str(wrong.exception)
