"""A table alone stands for a run: its settings, what is said, and the run file."""

from pathlib import Path

import pytest
import yaml

from taglm_core.data.columns import target_name
from taglm_core.data.table import Table
from taglm_core.errors import ConfigError, DataError
from taglm_core.plugins import load_registry
from taglm_core.training.runfile import run_file_text, write_run_file
from taglm_core.training.settings import read_run_file, run_config
from taglm_core.training.tabletask import table_task

MOLECULES = ["CCO", "c1ccccc1", "CC(=O)O", "CCN(CC)CC", "OC(=O)c1ccccc1", "CCCl"]
NUMBERS = ["-1.5", "-2", "<-5", "0.5", "-3", "-4"]


@pytest.fixture(scope="module")
def registry():
    """Return the registry of the installed plugins."""
    return load_registry()


def table(**columns):
    """Return a table of six rows."""
    return Table(columns=columns, rows=list(range(1, 7)), source="lab.csv")


LAB = table(
    **{
        "Cpd-ID": [f"LAB-{i}" for i in range(6)],
        "Structure": MOLECULES,
        "LogS (mol/L)": NUMBERS,
        "Active?": ["yes", "no"] * 3,
        "Toxic": ["1", "0"] * 3,
        "pKa": list("123456"),
    }
)


def test_a_lab_file_becomes_a_run(registry):
    """Everything that was decided is in the settings and in the remarks."""
    made = table_task(LAB, registry, ["LogS (mol/L)"])
    task, data = made.settings["task"], made.settings["data"]
    assert task["name"] == "LogS"
    assert task["template"] == "The SMILES is <SMILES>{smiles}. The LogS is <LogS>"
    assert task["target"] == {"kind": "regression", "columns": ["LogS (mol/L)"], "unit": "mol/L"}
    assert "censored_below" not in task
    assert data == {"columns": {"smiles": "Structure"}, "on_error": "skip"}
    said = "\n".join(made.remarks)
    assert "column 'Structure' holds <SMILES> (all values can be read)" in said
    assert "1 of them below a limit (left-censored) (regression, unit mol/L)" in said
    assert "split: chem/scaffold (Molecules" in said
    assert "not used: Cpd-ID, Active?, Toxic, pKa" in said
    run_config("lab.csv", made.settings, registry=registry)


@pytest.mark.parametrize(
    ("other", "unit"), [("logD (mol/L)", "mol/L"), ("half life (h)", None), ("pKa", None)]
)
def test_a_unit_is_that_of_all_targets(registry, other, unit):
    """A table headed "mol/L, h" says of no target in which unit its errors are."""
    several = table(**{"smiles": MOLECULES, "LogS (mol/L)": NUMBERS, other: NUMBERS})
    target = table_task(several, registry, ["LogS (mol/L)", other]).settings["task"]["target"]
    assert target.get("unit") == unit


def test_the_index_that_pandas_writes_is_no_target(registry):
    """A column without a name holds the numbers of the rows; it is said by its place."""
    index = table(**{"": list("012345"), "smiles": MOLECULES, "y": NUMBERS})
    assert "not used: column 1" in table_task(index, registry, ["y"]).remarks
    with pytest.raises(DataError, match="which column is to be predicted") as caught:
        table_task(index, registry)
    assert str(caught.value).count("--target") == 1


def test_cells_between_spaces_are_named(registry):
    """The whole line would be one column."""
    spaced = table(**{"smiles y": [f"{s} 1" for s in MOLECULES]})
    with pytest.raises(DataError, match="separated by spaces; use commas or tabs"):
        table_task(spaced, registry, ["y"])


@pytest.mark.parametrize("name", ["LogS", "logs (MOL/L)", "LogS (mol/L)"])
def test_the_unit_of_a_target_may_be_left_out(registry, name):
    """As people say it."""
    made = table_task(LAB, registry, [name])
    assert made.settings["task"]["target"]["columns"] == ["LogS (mol/L)"]


def test_two_columns_that_differ_in_their_unit_are_an_error(registry):
    """No silent choice."""
    columns = {"smi": MOLECULES, "S (g/L)": NUMBERS, "S (mol/L)": NUMBERS}
    with pytest.raises(DataError, match=r"'S' may be one of S \(g/L\), S \(mol/L\)"):
        table_task(table(**columns), registry, ["S"])


def test_an_unknown_target_offers_the_nearest(registry):
    """With the columns there are."""
    with pytest.raises(DataError, match=r"no column 'pKb' for --target. Did you mean 'pKa'"):
        table_task(LAB, registry, ["pKb"])


def test_without_a_target_the_columns_are_offered(registry):
    """Each with the words to write; identifiers are not among them."""
    with pytest.raises(DataError, match="which column is to be predicted") as caught:
        table_task(LAB, registry)
    assert '--target "LogS (mol/L)"  (numbers from' in str(caught.value)
    assert "Cpd-ID" not in str(caught.value)
    made = table_task(LAB, registry, ask=lambda question, answers, advice: len(answers) - 1)
    assert made.settings["task"]["name"] == "pKa"


def test_several_targets_of_one_kind_are_one_task(registry):
    """Numbers together, or labels together."""
    numbers = table_task(LAB, registry, ["LogS", "pKa"]).settings["task"]
    assert numbers["name"] == "LogS-pKa"
    assert numbers["target"]["names"] == ["LogS", "pKa"]
    assert "censored_below" not in numbers
    labels = table_task(LAB, registry, ["Active?", "Toxic"]).settings["task"]
    assert labels["name"] == "Active-Toxic"
    assert labels["target"]["multi_label"]
    with pytest.raises(ConfigError, match=r"pKa \(regression\), Toxic \(classification\)"):
        table_task(LAB, registry, ["pKa", "Toxic"])


@pytest.mark.parametrize(
    ("column", "name"),
    [("5-HT2A pKi", "Target_5-HT2A_pKi"), ("SMILES", "SMILES_value"), ("<S> {x}", "S_x")],
)
def test_any_name_of_a_column_makes_a_task(registry, column, name):
    """A name of a domain, digits in front and brackets would be no names of tags."""
    made = table_task(table(mol=MOLECULES, **{column: list("123456")}), registry, [column])
    assert made.settings["task"]["name"] == name
    config = run_config("lab.csv", made.settings, registry=registry)
    from taglm_core.training.declared import configured_task

    assert configured_task(config.task, registry).fields == ("smiles",)


def test_a_split_column_is_used(registry):
    """It is said, and an own splitter of the user wins."""
    sets = ["train", "train", "train", "valid", "test", "train"]
    made = table_task(table(mol=MOLECULES, set=sets, y=list("123456")), registry, ["y"])
    assert made.settings["data"]["split"] == {"column": "set"}
    assert "split: column 'set' says train, valid or test" in made.remarks
    own = {"data": {"split": {"method": "random"}}}
    made = table_task(table(mol=MOLECULES, set=sets, y=list("123456")), registry, ["y"], own)
    assert "split" not in made.settings["data"]


@pytest.mark.parametrize(
    ("sets", "why"),
    [
        (["train", "Training", "train", "test", "test", "train"], "no row holds valid"),
        (["train", "train", "val", "test", "", "train"], "row 5 holds ''"),
        (["train", "train", "val", "test", "holdout", "train"], "row 5 holds 'holdout'"),
    ],
)
def test_a_column_that_nearly_is_a_split_stops(registry, sets, why):
    """Another rule would train on rows that somebody has kept for the test."""
    lab = table(mol=MOLECULES, set=sets, y=list("123456"))
    with pytest.raises(DataError, match=f"column 'set' says .*, but {why}.*--split random"):
        table_task(lab, registry, ["y"])
    own = {"data": {"split": {"method": "random"}}}
    assert "not used: set" in table_task(lab, registry, ["y"], own).remarks
    other = table(mol=MOLECULES, set=["test"] * 6, y=list("123456"))
    assert "not used: set" in table_task(other, registry, ["y"]).remarks


@pytest.mark.parametrize("column", ["split", "Error", "row", "line", "y" * 300])
def test_a_task_is_not_named_like_a_column_of_taglm(registry, column):
    """Predictions of a target `split` would be replaced by the names of splits."""
    made = table_task(table(mol=MOLECULES, **{column: NUMBERS}), registry, [column])
    name = made.settings["task"]["name"]
    assert name == (column[:60] if len(column) > 60 else f"{column}_value")
    run_config("lab.csv", made.settings, registry=registry)


def test_a_pair_is_split_by_its_first_domain(registry):
    """Random rows would put the same molecule on both sides."""
    proteins = [f"MKTAYIAKQRQISFVKSHFSRQ{c}" for c in "ACDEFG"]
    made = table_task(table(Lig=MOLECULES, Seq=proteins, Ki=list("123456")), registry, ["Ki"])
    task = made.settings["task"]
    assert task["split"] == "chem/scaffold"
    assert "<SMILES>{smiles}" in task["template"]
    assert "<Protein>{sequence}" in task["template"]


def test_the_run_file_says_the_same_settings(registry, tmp_path, monkeypatch):
    """With a comment above each; files are relative to the run file."""
    monkeypatch.chdir(tmp_path)
    made = table_task(LAB, registry, ["LogS"])
    settings = {**made.settings, "data": {**made.settings["data"], "file": "lab.csv"}}
    with pytest.raises(DataError, match="the folder 'runs' does not exist. Make it first: mkdir"):
        write_run_file(Path("runs/a.yaml"), settings)
    (tmp_path / "runs").mkdir()
    assert yaml.safe_load(run_file_text(settings, made.remarks)) == settings
    write_run_file(tmp_path / "runs" / "a.yaml", settings, made.remarks)
    text = (tmp_path / "runs" / "a.yaml").read_text()
    assert "# target: column 'LogS (mol/L)'" in text
    assert "file: ../lab.csv" in text
    found = read_run_file(Path("runs/a.yaml"))
    assert found == settings
    write_run_file(tmp_path / "runs" / "a.yaml", settings, made.remarks)  # the same is no error
    with pytest.raises(ConfigError, match="exists and was not changed"):
        write_run_file(tmp_path / "runs" / "a.yaml", {**settings, "seed": 2})
    with pytest.raises(ConfigError, match=r"must end in \.yaml, such as a\.yaml"):
        write_run_file(tmp_path / "a.txt", settings)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ("LogS (mol/L)", ("LogS", "mol/L")),
        ("Solubility [mg/mL]", ("Solubility", "mg/mL")),
        ("pIC50", ("pIC50", "")),
        (" (x) ", ("(x)", "")),
    ],
)
def test_name_and_unit(column, wanted):
    """A unit stands in brackets at the end."""
    assert target_name(column) == wanted
