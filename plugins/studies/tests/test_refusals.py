"""Studies that are refused before anything runs."""

import pytest

from taglm_core.errors import CheckpointError, ConfigError, DataError
from taglm_studies.report.page import render_page
from taglm_studies.study.folder import StudyFolder
from taglm_studies.study.rows import Rows
from taglm_studies.study.sweep import parse_choices


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tag_length"], "tag_length: write KEY=VALUE,VALUE"),
        (["tag_length="], "write KEY=VALUE,VALUE"),
        (["seed=1,2", "seed=3"], "seed=3: seed is given twice"),
        (["tag_length=1", "stages.task.tag_length=2"], "stages.task.tag_length is given twice"),
        (["seed=1,1"], "seed=1,1: a value is given twice"),
        ([], "give what varies, such as tag_length=1,5,10"),
    ],
)
def test_choices_that_cannot_be_read(words, message):
    """Each says how to write it."""
    with pytest.raises(ConfigError, match=message):
        parse_choices(words)


def test_a_folder_belongs_to_one_study(tmp_path):
    """The same request continues, another one is refused with what differs."""
    study = StudyFolder(tmp_path / "study")
    study.open({"kind": "sweep", "seeds": [0]})
    with pytest.raises(CheckpointError, match="is in use by another process"):
        StudyFolder(tmp_path / "study").open({"kind": "sweep", "seeds": [0]})
    (study.path / "members" / "a").mkdir(parents=True)
    (study.path / "members" / "a" / "run.yaml").write_text("")
    study.close()
    with pytest.raises(CheckpointError, match=r"another study:\n  seeds: \[0\] there, \[1\] now"):
        StudyFolder(tmp_path / "study").open({"kind": "sweep", "seeds": [1]})
    again = StudyFolder(tmp_path / "study")
    again.open({"kind": "sweep", "seeds": [0]})
    again.close()


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    """A study never writes among them."""
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(CheckpointError, match="is not empty and holds no study"):
        StudyFolder(tmp_path).open({"kind": "sweep"})


def test_a_report_takes_no_name_of_a_table(tmp_path):
    """`taglm report runs/QED --out lab.csv` would put a page in the place of the data."""
    file = tmp_path / "lab.csv"
    file.write_text("smiles\nCCO\n")
    with pytest.raises(ConfigError, match=r"lab\.csv: the name of a report must end in \.html"):
        render_page(file, title="a run")
    assert file.read_text() == "smiles\nCCO\n"


def test_rows_of_a_run_that_failed(tmp_path):
    """The other members of a study say whose rows they lack."""
    with pytest.raises(DataError, match="run: the run failed, and others need its rows"):
        Rows.read(tmp_path / "run" / "rows.json")
