"""Binding affinity: tags by name only, columns of public files, splits, invented pairs."""

import csv
import datetime
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import taglm_core as taglm
import taglm_dti
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.datasets import load_dataset
from taglm_core.data.rows import load_task_rows
from taglm_core.errors import DataError, UnknownNameError
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_dti import generated, splits

MOLECULES = ["CCO", "CCN", "c1ccccc1", "CC(=O)O", "CCCl", "OCCO", "CSC", "CC#N", "NCCN", "C1CC1"]
SEQUENCES = ["MKT", "GAV", "WYF", "HHH", "DEK", "RST", "NQC", "PPP", "LIV", "MMM"]


class Toy:
    """Both domains without their libraries."""

    @taglm.hookimpl
    def register_domains(self):
        """Register what chem and protein would."""
        return [
            taglm.Domain(tag="SMILES", field="smiles", aliases=("drug",)),
            taglm.Domain(tag="Protein", field="sequence", aliases=("target",)),
        ]

    @taglm.hookimpl
    def register_splitters(self):
        """Register a split under the name that the task asks for."""
        return [taglm.Splitter(name="scaffold", tags=("SMILES",), assign="taglm_dti.splits:cold")]


@pytest.fixture
def registry():
    """Return a registry with this plugin and the toy domains."""
    return load_registry(only=[], extra=[("toy", Toy()), ("dti", taglm_dti)])


@pytest.fixture
def file(tmp_path):
    """Write every pair as Therapeutics Data Commons would."""
    rows = [
        (d, MOLECULES[d], t, SEQUENCES[t], 5 + d / 10 + t, 2010 + (3 * d + t) % 8)
        for d in range(10)
        for t in range(10)
    ]
    found = tmp_path / "tdc.csv"
    with found.open("w", newline="") as stream:
        header = ["Drug_ID", "Drug", "Target_ID", "Target", "Y", "Year"]
        csv.writer(stream).writerows([header, *rows])
    return str(found)


def load(registry, file, name):
    """Load the pairs by a split."""
    task = resolve_task(registry.tasks.get("BA").spec, "dti", registry)
    data = DataConfig(file=file, split=SplitConfig(method=name))
    return load_task_rows(task, registry, data, seed=0)


def splits_of(values, splits):
    """Return value -> the splits that it stands in."""
    found = {}
    for value, split in zip(values, splits, strict=True):
        found.setdefault(value, set()).add(split)
    return found


def test_without_the_domains_the_error_offers_their_plugins():
    """The tags are looked up when the task is used, not when it is registered."""
    registry = load_registry(only=[], extra=[("dti", taglm_dti)])
    assert registry.failures == []
    with pytest.raises(UnknownNameError, match="pip install taglm-plugin-protein"):
        resolve_task(registry.tasks.get("BA").spec, "dti", registry)


def test_neither_plugin_nor_domain_library_is_imported():
    """Plugins do not know each other."""
    code = (
        "import sys, taglm_dti.splits, taglm_dti.generated, taglm_dti.public; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"taglm_chem", "taglm_protein", "rdkit", "Bio", "torch"} & set(
        done.stdout.split()
    ) == set()


def test_columns_need_no_mapping(registry, file):
    """Drug, Target and Y are found; the identifiers are not mistaken for them."""
    rows = load(registry, file, "random")
    assert rows.columns == {"sequence": "Target", "smiles": "Drug", "affinity": "Y"}
    assert len(rows) == 100
    assert rows.targets[11, 0] == pytest.approx(6.1)


def test_the_text_behind_the_last_span_is_short(registry):
    """It is paid for every pair."""
    for prompt in (None, "paper"):
        task = resolve_task(registry.tasks.get("BA").spec, "dti", registry, prompt)
        assert task.is_cross_domain
        if prompt is None:
            assert task.prompt.text.rpartition("}")[2] == ": <BA>"


@pytest.mark.parametrize(
    ("name", "cold"),
    [
        ("cold-drug", {"smiles"}),
        ("cold-target", {"sequence"}),
        ("cold-both", {"smiles", "sequence"}),
    ],
)
def test_cold_splits_keep_their_side_apart(name, cold, registry, file):
    """No value of a cold side in two splits; the other side recurs; what is dropped is listed."""
    rows = load(registry, file, name)
    for field in ("smiles", "sequence"):
        most = max(len(splits) for splits in splits_of(rows.fields[field], rows.splits).values())
        assert (most == 1) == (field in cold)
    assert set(rows.splits) == {"train", "valid", "test"}
    assert len(rows) + len(rows.rejected) == 100
    assert bool(rows.rejected) == (name == "cold-both")


def test_the_future_is_the_test_split(registry, file):
    """Every year is in one split, and test is later than valid, later than train."""
    rows = load(registry, file, "time")
    years = {i + 1: 2010 + (3 * (i // 10) + i % 10) % 8 for i in range(100)}
    by_split = {
        split: {years[n] for n, p in zip(rows.numbers, rows.splits, strict=True) if p == split}
        for split in ("train", "valid", "test")
    }
    assert max(by_split["train"]) < min(by_split["valid"])
    assert max(by_split["valid"]) < min(by_split["test"])
    assert rows.splits.count("test") >= 10


@pytest.mark.parametrize(
    "cells",
    [
        ["2010-01-31", "2012-02-01", "2013-03"],
        ["31.1.2010", "02/01/2012", "03/2013"],
        ["2010-01-31T12:00:00", "2012-02-01 08:15", "2013/1/1"],
        [datetime.date(2010, 1, 31), datetime.datetime(2012, 2, 1), 2013.0],
        [" 2010", "2012.0", "\ufeff2013"],
    ],
)
def test_dates_count_by_their_year(cells):
    """A column of dates says when a pair was measured as well as one of years."""
    assert splits.by_time({"year": cells}, 0) == ["train", "valid", "test"]


@pytest.mark.parametrize("cell", ["98", 14, "41760", "1/2/14", "-5"])
def test_numbers_that_are_no_year_are_refused(cell):
    """The year 98 would lie before 2001, and a spreadsheet's date far behind it."""
    with pytest.raises(DataError, match="is not a year of four digits"):
        splits.by_time({"year": ["2010", "2011", "2012", cell]}, 0)


def test_time_without_years():
    """Too few years say so; a year that is none leaves its row out."""
    with pytest.raises(DataError, match="found 2012, 2011 .no year: 1 cell such as 'soon'"):
        splits.by_time({"year": ["2011", 2012.0, "soon"]}, 0)
    assert splits.by_time({"year": ["2011", 2012.0, "soon", None, 2013]}, 0) == [
        "train",
        "valid",
        "",
        "",
        "test",
    ]


def test_the_invented_pairs(registry):
    """Same seed, same rows; molecules that RDKit reads, scaffolds enough for a split."""
    made = generated.pairs(seed=0, size=500)
    again = generated.pairs(seed=0, size=600)
    assert all(again[name][:500] == values for name, values in made.items())
    assert generated.pairs(seed=1, size=500) != made
    assert np.std(made["affinity"]) > 0.5
    score = generated.invented_affinity("OC(=O)c1ccccc1", "KKKKFFFFDG")
    assert score == pytest.approx(5 + 2 * 0.6 * 2 + 6 * 0.3)
    table = load_dataset(registry.datasets.get("dti/pairs"), 0, 3)
    assert table.num_rows == 3


def test_the_invented_molecules_are_valid():
    """Checked with the chemistry plugin's own reader where it is installed."""
    molecules = pytest.importorskip("taglm_chem.molecules")
    scaffolds = pytest.importorskip("taglm_chem.splits")
    made = list(dict.fromkeys(generated.pairs(seed=0, size=2000)["smiles"]))
    checked = molecules.canonical(made)
    assert [e for e in checked.errors if e] == []
    assert len(set(scaffolds.scaffold_groups(checked.values))) > 100


def test_public_sets_from_local_copies(registry, tmp_path, monkeypatch):
    """Their own column names become taglm's; without a copy the message says what to do."""
    monkeypatch.setenv("TAGLM_DATASETS", str(tmp_path))
    with pytest.raises(DataError, match="bindingdb_patent.csv.*train_val.csv"):
        load_dataset(registry.datasets.get("bindingdb_patent"), 0, None)
    (tmp_path / "bindingdb_patent.csv").write_text("Drug,Target,Y,Year\nCCO,MKT,3.2,2014\n")
    table = load_dataset(registry.datasets.get("bindingdb_patent"), 0, None)
    assert table.columns["year"] == ["2014"]
    (tmp_path / "binding_affinity.csv").write_text(
        "seq,smiles_can,neg_log10_affinity_M,affinity_uM\nMKT,CCO,6.5,0.3\n"
    )
    table = load_dataset(registry.datasets.get("binding_affinity"), 0, None)
    assert table.columns["affinity"] == ["6.5"]


def test_the_readme_names_everything():
    """The table is complete."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for dataset in taglm_dti.register_datasets():
        assert f"`dti/{dataset.name}`" in readme
    for spec in [*taglm_dti.register_splitters(), *taglm_dti.register_tasks()]:
        assert f"`{spec.name}`" in readme
