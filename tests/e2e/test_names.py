"""Names that collide are refused; a measured column is not passed over for a computed target."""

import csv
import json

import pytest

from taglm_core.errors import ConfigError
from taglm_core.inference.columns import check_names
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Classification, Regression, Task


@pytest.fixture(scope="module")
def registry():
    """Return everything that is installed."""
    return load_registry()


def task(registry, name, target, template="<SMILES>{smiles} at {dose}: <F>"):
    """Return a declared task on molecules."""
    spec = Task(name=name, function_tag="F", template=template, target=target)
    return resolve_task(spec, "local", registry)


@pytest.mark.parametrize(
    ("name", "target", "wanted"),
    [
        ("smiles", Regression(names="Y"), "fill the column 'smiles', but the field 'smiles'"),
        ("SMILES", Regression(names="Y"), "fill the column 'SMILES', but the field 'smiles'"),
        ("dose", Regression(names="Y"), "the field 'dose'"),
        ("smiles", Classification(names="Y", classes=("a", "b")), "the field 'smiles'"),
        ("Row", Regression(names="Y"), "the name 'Row' is taken"),
        ("error", Regression(names="Y"), "the name 'error' is taken"),
        ("measured", Regression(names="Y"), "the name 'measured' is taken"),
    ],
)
def test_a_task_named_like_a_column_is_refused(name, target, wanted, registry):
    """Its predictions would replace the molecules in predictions/test.csv."""
    with pytest.raises(ConfigError, match=wanted):
        check_names(task(registry, name, target))


def test_every_registered_task_has_names_of_its_own(registry):
    """What plugins ship must not be refused."""
    for item in registry.tasks:
        check_names(resolve_task(item.spec, item.source.name, registry))


def test_a_run_is_refused_before_anything_is_trained(taglm, run_file, tmp_path, monkeypatch):
    """The run file of a task that is named as its field."""
    monkeypatch.chdir(tmp_path)
    run_file.write_text(
        run_file.read_text().replace("name: Sol", "name: smiles\n  function_tag: Sol")
    )
    done = taglm("run", run_file)
    assert done.code == 1
    assert "the field 'smiles' has that name" in done.err
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def fast(toy_backbone):
    """Return options of a short run."""
    words = ["stages.domain.size=60", "stages.domain.max_steps=2", "stages.task.max_steps=2"]
    return ["--backbone", toy_backbone, *(w for word in words for w in ("--set", word))]


@pytest.mark.parametrize("column", ["Log P", "log_p (exp.)", "LOGP [1]"])
def test_a_measured_column_of_another_spelling_stops_too(column, taglm, fast, molecules_csv):
    """The message names the column in the option that is to be added."""
    text = molecules_csv.read_text().replace("Drug,Y", f"smiles,{column}")
    molecules_csv.write_text(text)
    words = ["run", "LogP", "--data", molecules_csv, "--split", "random", "--dry-run", *fast]
    done = taglm(*words)
    assert done.code == 1
    assert f"has the column '{column}'" in done.err
    option = f'--column "logp={column}"'
    assert option in done.err
    again = taglm(*words, "--set", "data.labels=measured", "--column", f"logp={column}")
    assert again.code == 0, again.err


@pytest.mark.parametrize("column", ["LogP", "logp", " LOGP "])
def test_a_measured_column_of_a_computed_task_stops_with_two_ways(
    column, taglm, fast, molecules_csv, tmp_path, monkeypatch
):
    """Both commands of the message work, and give the labels that they say."""
    monkeypatch.chdir(tmp_path)
    text = molecules_csv.read_text().replace("Drug,Y", f"smiles,{column}")
    molecules_csv.write_text(text)
    words = ["run", "LogP", "--data", molecules_csv, "--split", "random", *fast]
    done = taglm(*words)
    assert done.code == 1
    assert f"has the column '{column}', but the labels of task LogP are computed" in done.err
    assert "--set data.labels=measured" in done.err
    assert "--set data.labels=computed" in done.err
    measured = {row["smiles"]: float(row[column]) for row in csv.DictReader(molecules_csv.open())}
    for way in ("measured", "computed"):
        done = taglm(*words, "--set", f"data.labels={way}", "--out", way)
        assert done.code == 0, done.err
        rows = list(csv.DictReader((tmp_path / way / "predictions" / "test.csv").open()))
        same = [
            float(row[f"logp.{way}"]) == measured[row["smiles"]]
            for row in rows
            if row["smiles"] in measured
        ]
        assert same
        assert all(same) is (way == "measured")
    scored = taglm("evaluate", "computed", "--input", molecules_csv)
    assert scored.code == 1
    assert "To use the measured column, add --labels measured" in scored.err
    found = {}
    for way in ("measured", "computed"):
        done = taglm("evaluate", "computed", "--input", molecules_csv, "--labels", way, "--json")
        assert done.code == 0, done.err
        found[way] = json.loads(done.out)["tasks"]["LogP"]["splits"]["input"]["metrics"]["mae"]
    assert found["measured"] != found["computed"]


def test_a_file_without_the_column_is_computed_as_before(
    taglm, fast, molecules_csv, tmp_path, monkeypatch
):
    """Other columns do not matter."""
    monkeypatch.chdir(tmp_path)
    done = taglm(
        "run",
        "QED",
        "--data",
        molecules_csv,
        "--column",
        "smiles=Drug",
        "--dry-run",
        "--split",
        "random",
        *fast,
    )
    assert done.code == 0, done.err
    wrong = taglm("run", "QED", "--data", molecules_csv, "--set", "data.labels=guessed", *fast)
    assert wrong.code == 1
    assert "labels must be one of auto, computed, measured" in wrong.err
