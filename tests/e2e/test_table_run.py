"""`taglm run lab.csv`: a table alone is a run, from the command line and from Python."""

import json

import pandas
import pytest
import yaml

FAST = [
    "--set=stages.domain.size=60",
    "--set=stages.domain.max_steps=3",
    "--set=stages.domain.tag_length=3",
    "--set=stages.task.max_steps=4",
    "--set=stages.task.tag_length=3",
    "--split=random",
    "--baselines=mean",
]


@pytest.fixture
def fast(toy_backbone):
    """Return options of a run of seconds."""
    return [f"--backbone={toy_backbone}", *FAST]


@pytest.fixture
def lab(tmp_path, molecules_csv, monkeypatch):
    """Write forty molecules under the names of a laboratory, and stand beside them."""
    monkeypatch.chdir(tmp_path)
    rows = [line.split(",") for line in molecules_csv.read_text().splitlines()[1:]]
    lines = [f"L-{i:03d},{smiles},{value}," for i, (smiles, value) in enumerate(rows)]
    (tmp_path / "lab.csv").write_text("\n".join(["ID,Structure,LogS (mol/L),Note", *lines]) + "\n")
    return tmp_path


def test_the_first_command(taglm, lab, fast):
    """It says what it takes the columns for, and the run file that it writes repeats the run."""
    done = taglm("run", "lab.csv", "--target", "LogS (mol/L)", "--save-config", "task.yaml", *fast)
    assert done.code == 0, done.err
    assert "input: column 'Structure' holds <SMILES> (all values can be read)" in done.err
    assert "(regression, unit mol/L)" in done.err
    assert "not used: ID, Note" in done.err
    assert "wrote task.yaml" in done.err
    metrics = json.loads((lab / "runs" / "LogS" / "metrics.json").read_text())
    assert list(metrics["tasks"]) == ["LogS"]
    written = yaml.safe_load((lab / "task.yaml").read_text())
    assert written["task"]["target"]["columns"] == ["LogS (mol/L)"]
    again = taglm("run", "task.yaml")
    assert again.code == 0, again.err
    assert "holds the finished run of these settings" in again.err


def test_init_writes_what_run_would_do(taglm, lab, fast):
    """Nothing is trained; an existing other file is kept."""
    done = taglm("init", "lab.csv", "--target", "LogS")
    assert done.code == 0, done.err
    assert "taglm run lab.yaml" in done.out
    assert not (lab / "runs").exists()
    text = (lab / "lab.yaml").read_text()
    assert "# target: column 'LogS (mol/L)' holds numbers" in text
    assert taglm("run", "lab.yaml", "--dry-run", *fast).code == 0
    (lab / "lab.yaml").write_text("task: QED\n")
    kept = taglm("init", "lab.csv", "--target", "LogS")
    assert kept.code == 1
    assert "exists and was not changed" in kept.err
    wrong = taglm("init", "QED", "--target", "LogS")
    assert "give a table" in wrong.err


def test_an_unknown_task_with_data_names_the_command(taglm, lab):
    """With the column if the name is one."""
    done = taglm("run", "LogS", "--data", "lab.csv")
    assert done.code == 1
    assert "no task is called 'LogS'" in done.err
    assert 'taglm run lab.csv --target "LogS (mol/L)"' in done.err
    other = taglm("run", "Solubility", "--data", "lab.csv")
    assert "taglm run lab.csv --target COLUMN" in other.err
    assert "Its columns: ID, Structure, LogS (mol/L), Note." in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "lab.csv"], 'which column is to be predicted?.*--target "LogS'),
        (["run", "lab.csv", "--target", "Note"], "the column 'Note' has no values"),
        (["run", "lab.csv", "--data", "lab.csv"], "give the rows once"),
        (["run", "lab.csv", "lab.csv"], "a run reads one table"),
        (["run", "QED", "--target", "LogS"], "--target names a column of a table"),
        (["run", "none.csv", "--target", "LogS"], "none.csv: no such file"),
        (["run", "lab.csv", "--target", "LogS", "--column", "smiles=Drug"], "no column 'Drug'"),
    ],
)
def test_what_is_not_clear_is_one_message(taglm, lab, words, message):
    """Nothing is guessed and nothing is written."""
    import re

    done = taglm(*words)
    assert done.code == 1
    assert re.search(message, done.err, re.S), done.err
    assert not (lab / "runs").exists()


def test_python_takes_the_same_way(lab, toy_backbone):
    """A path and a DataFrame."""
    import taglm

    quick = {
        "backbone": str(toy_backbone),
        "progress": False,
        "baselines": "mean",
        "data__split__method": "random",
        "stages": {
            "domain": {"size": 60, "max_steps": 3, "tag_length": 3},
            "task": {"max_steps": 4, "tag_length": 3},
        },
    }
    by_path = taglm.run("lab.csv", target="LogS (mol/L)", out="runs/path", **quick)
    frame = pandas.read_csv("lab.csv")
    by_frame = taglm.run(frame, target="LogS (mol/L)", out="runs/frame", **quick)
    splits = [run.metrics["tasks"]["LogS"]["splits"]["test"] for run in (by_path, by_frame)]
    assert splits[0] == splits[1]
    assert by_frame.predictor.predict(["CCO"]) is not None
    columns = {name: list(frame[name]) for name in ("Structure", "LogS (mol/L)")}
    assert taglm.train(columns, target="LogS (mol/L)", **quick).predict(["CCO"]) is not None
    with pytest.raises(ValueError, match="which column is to be predicted"):
        taglm.run(frame)
    with pytest.raises(LookupError, match=r"taglm\.run\(data, target='LogS \(mol/L\)'\)"):
        taglm.run("LogS", frame)
