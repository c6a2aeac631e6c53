"""Words of the command line that were ignored, or that Python takes for something else."""

from pathlib import Path

import pytest

from taglm_core.cli.evaluate import evaluate
from taglm_core.cli.main import check_names
from taglm_core.cli.predict import predict
from taglm_core.cli.run import run
from taglm_core.cli.sample import sample
from taglm_core.cli.screen import parse_pairs
from taglm_core.errors import CheckpointError, ConfigError, DataError
from taglm_core.store.runlist import list_runs
from taglm_studies.report.command import report


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "", "CCO"], "the first word behind `taglm predict` is empty"),
        (["--debug", "run", ""], "the first word behind `taglm run` is empty"),
        (["predict", "runs/QED", "-i", ""], "^-i is empty. Name a file or folder"),
        (["run", "QED", "--out="], "^--out is empty"),
    ],
)
def test_an_empty_name_is_not_the_working_folder(words, said):
    """It comes from a variable of the shell that is not set."""
    with pytest.raises(ConfigError, match=said):
        check_names(words)


def test_empty_values_and_texts_are_words():
    """They are predicted or identified, which says that they are empty."""
    check_names(["predict", "runs/QED", ""])
    check_names(["identify", ""])
    check_names([])


def test_a_name_has_one_value():
    """The last one would count, and nobody would know."""
    assert parse_pairs(["a=1", "b=2", "a=1"], "--column") == {"a": "1", "b": "2"}
    with pytest.raises(ConfigError, match="--column a=2: 'a' was given as 1 before. Give it once"):
        parse_pairs(["a=1", "a=2"], "--column")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"limit": 3}, "--limit"),
        ({"column": ["smiles=x"]}, "--column"),
        ({"labels": "measured"}, "--labels"),
        ({"on_error": "skip"}, "--on-error"),
        ({"output_file": Path("x.csv")}, "--output"),
        ({"temperature": 0.5}, "--temperature"),
    ],
)
def test_options_of_a_table_need_one(options, name):
    """Results of a run that are shown would look like those of the table."""
    with pytest.raises(ConfigError, match=f"^{name} is for scoring a table. Name the table"):
        evaluate(Path("runs/QED"), **options)


def test_what_is_no_run_has_no_results(tmp_path, monkeypatch):
    """A mistyped run is not one that has to be finished."""
    monkeypatch.chdir(tmp_path)
    Path("lab.csv").touch()
    Path("runs/LogS").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="LogS: no such run.* Did you mean 'runs/LogS'"):
        evaluate(Path("LogS"))
    with pytest.raises(CheckpointError, match=r"lab\.csv is a file. Name the folder of a run"):
        evaluate(Path("lab.csv"))


def test_options_that_exclude_each_other(tmp_path):
    """One of them would have no effect."""
    with pytest.raises(ConfigError, match="give --seed 1 or --seeds 1,2, not both"):
        run(["QED"], seed=1, seeds="1,2")
    with pytest.raises(ConfigError, match="--no-tag draws without the tag of --from runs/QED"):
        sample("SMILES", no_tag=True, from_run=Path("runs/QED"))


def test_an_unknown_format_of_standard_output(tmp_path):
    """It would be csv."""
    with pytest.raises(DataError, match="standard output: .* format 'foo'"):
        predict(tmp_path, ["CCO"], format="foo")


def test_a_folder_of_runs_is_there(tmp_path, monkeypatch):
    """A mistyped one does not hold no runs yet."""
    monkeypatch.chdir(tmp_path)
    assert list_runs(Path("runs")) == ([], [])
    Path("lab.csv").touch()
    for name, said in (("rnus", "rnus: no such folder"), ("lab.csv", r"lab\.csv: is a file")):
        with pytest.raises(CheckpointError, match=said):
            list_runs(Path(name))


def test_a_run_is_reported_once():
    """It would be compared with itself."""
    with pytest.raises(ConfigError, match="runs/a is given twice"):
        report([Path("runs/a"), Path("runs/b"), Path("runs/a/")])
