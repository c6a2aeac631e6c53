"""The look at a run's rows before training, odd units, near duplicates, and written splits."""

import csv

import numpy as np
import pytest

import taglm_chem
import taglm_studies
from taglm_core import Classification, Regression, RowsLoaded
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.rows import load_task_rows
from taglm_core.plugins import load_registry
from taglm_core.plugins.resolved import resolve_task
from taglm_studies.check import check_file
from taglm_studies.check_lines import report_lines
from taglm_studies.splits import split_file
from taglm_studies.units import odd_units


def counts(rows):
    """Count letters."""
    return np.array([[row.count(c) for c in "abcd"] for row in rows], dtype=np.float32)


def event(fields, splits, truth, **changes):
    """Build the event of some rows."""
    values = {
        "task": "toy",
        "target": Regression(names=("y",), unit="pKd"),
        "source": "x.csv",
        "numbers": list(range(1, len(splits) + 1)),
        "splits": splits,
        "fields": fields,
        "texts": {},
        "truth": np.array(truth)[:, None] if isinstance(truth, list) else truth,
        "features": dict.fromkeys(fields, counts),
        "seed": 0,
    }
    return RowsLoaded(**values | changes)


def look(*arguments, **changes):
    """Call the hook; return summary line and report."""
    found = taglm_studies.on_rows_loaded(event(*arguments, **changes))
    (line,) = found["summary"]
    return line, found["report"]


def test_leaks_conflicts_and_units_are_found():
    """The same input in train and test, with another value, one of them in nM."""
    rows = ["aab", "abb", "ccc", "aab"]
    line, report = look({"x": rows}, ["train", "train", "valid", "test"], [5.0, 6.0, 7.0, 5000.0])
    assert "1 input in train and test" in line
    assert line.endswith("(data_check.json lists them)")
    assert "0 of 1 test values new" in line
    assert "y: 1 input with different values" in line
    assert "1 of 4 values beyond 20" in line
    assert report["between_splits"]["examples"] == [{"train": 1, "test": 4}]
    assert report["targets"]["y"]["units"][0]["examples"] == [{"row": 4, "value": 5000.0}]


def test_a_clean_set_says_only_what_is_new():
    """No alarm without a cause."""
    line, report = look({"x": ["aaab", "bcd", "dddd"]}, ["train", "valid", "test"], [5.0, 6.0, 5.5])
    assert line == "0 inputs in train and test; x: 1 of 1 test values new"
    assert report["targets"]["y"]["units"] == []


def test_near_duplicates_are_counted_and_shown():
    """Another string with the same features is near; it is not the same."""
    line, report = look({"x": ["aab", "ddd", "aba"]}, ["train", "valid", "test"], [5.0, 6.0, 5.5])
    assert "1 of 1 compared are nearly equal to one in train" in line
    assert report["fields"]["x"]["near"]["examples"] == [
        {"test": "aba", "train": "aab", "similarity": 1.0}
    ]


def test_a_mirrored_pair_is_the_same_input():
    """Only where the task is symmetric."""
    fields = {"one": ["aa", "bb", "cc"], "two": ["bb", "aa", "dd"]}
    texts = {"line": ["P", "P", "P"]}
    splits = ["train", "test", "valid"]
    pair = (("one", "two"),)
    line, report = look(fields, splits, [5.0, 5.0, 5.0], texts=texts, symmetric=pair)
    assert line.startswith("1 input in train and test")
    assert report["fields"]["one"]["new"] == 0
    line, _ = look(fields, splits, [5.0, 5.0, 5.0], texts=texts)
    assert line.startswith("0 inputs in train and test")
    other = {"line": ["P", "Q", "P"]}
    line, _ = look(fields, splits, [5.0, 5.0, 5.0], texts=other, symmetric=pair)
    assert line.startswith("0 inputs in train and test")


def test_classes_by_name():
    """Conflicting classes are named, and numbers are not asked of them."""
    _, report = look(
        {"x": ["aa", "aa", "bb"]},
        ["train", "valid", "test"],
        np.array([0, 1, 1]),
        target=Classification(names=("y",), classes=("no", "yes")),
    )
    assert report["targets"]["y"]["conflicts"]["examples"][0]["values"] == ["no", "yes"]
    assert "outliers" not in report["targets"]["y"]


def test_units():
    """Kd in nM wants a logarithm; pKd wants none; negative numbers are left alone."""
    spread = np.logspace(0, 6, 200)
    (found,) = odd_units(spread, "Kd nM", range(200))
    assert "logarithm" in found["what"]
    assert odd_units(np.log10(spread), "pKd", range(200)) == []
    assert odd_units(spread - 10, "score", range(200)) == []
    assert odd_units(np.full(200, 7.0), "Y", range(200)) == []


SMILES = "CCO CCN c1ccccc1 CC(=O)O CCCl OCCO CSC CC#N NCCN C1CC1 CCCC CCCN CCCO CCF CCBr".split()


@pytest.fixture
def pairs_file(tmp_path):
    """Write every pair of fifteen molecules on two lines, one row bad."""
    file = tmp_path / "dc.csv"
    rows = [
        (f"d{i}", a, f"d{j}", b, line, i + j)
        for i, a in enumerate(SMILES)
        for j, b in enumerate(SMILES)
        for line in "PQ"
        if i < j
    ]
    rows[4] = ("bad", "C(", *rows[4][2:])
    with file.open("w", newline="") as stream:
        header = ("Drug1_ID", "Drug1", "Drug2_ID", "Drug2", "Cell_Line", "Y")
        csv.writer(stream).writerows([header, *rows])
    return file


def test_a_written_split_is_the_split_of_a_run(pairs_file, tmp_path):
    """`data.split.file` gives the very splits that the split itself gives; bad rows have none."""
    registry = load_registry(only=[], extra=[("chem", taglm_chem)])
    out = tmp_path / "splits.csv"
    counted = split_file(pairs_file, out, registry, "DC", "pair", {}, seed=3)
    assert counted[""] == 1
    assert sum(counted.values()) == 210
    task = resolve_task(registry.tasks.get("DC").spec, "chem", registry)

    def load(**split):
        data = DataConfig(file=str(pairs_file), split=SplitConfig(**split), on_error="skip")
        return load_task_rows(task, registry, data, seed=3)

    by_file, by_name = load(file=str(out)), load(method="pair")
    assert by_file.splits == by_name.splits
    assert by_file.numbers == by_name.numbers


def test_a_file_check_knows_aliases_units_and_near_rows(tmp_path):
    """Columns of the task's aliases; nM in a column named pKd; stereo isomers across splits."""
    registry = load_registry(only=[], extra=[("chem", taglm_chem)])
    file = tmp_path / "x.csv"
    file.write_text(
        "smiles,pKd,split\nC[C@H](N)C(=O)O,6.1,train\nC[C@@H](N)C(=O)O,6.2,test\n"
        "c1ccccc1,7000,valid\n"
    )
    report = check_file(file, registry, targets=["pKd"])
    assert report["between_splits"]["near"]["smiles"]["count"] == 1
    assert report["targets"]["pKd"]["units"][0]["count"] == 1
    text = "\n".join(report_lines(report))
    assert "1 of 1 new test values of smiles are nearly equal to one in train" in text
    assert "odd units: 1 of 3 values beyond 20" in text
    pairs = tmp_path / "dc.csv"
    pairs.write_text("Drug1_ID,Drug1,Drug2_ID,Drug2,CellLine,Y\na,CC,b,CO,L,1\na,CC,b,CO,L,2\n")
    found = check_file(pairs, registry, task="DC")
    assert found["fields"]["cell"]["column"] == "CellLine"
    assert found["targets"]["synergy"]["conflicts"]["groups"] == 1
