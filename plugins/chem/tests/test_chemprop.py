"""The baseline chemprop: what is handed to its command line, and what is made of its answers."""

import sys

import numpy as np
import pytest

import taglm_chem
from taglm_chem.chemprop import chemprop
from taglm_core import Classification, Regression, SplitData, TaskData
from taglm_core.errors import DataError

MOLECULES = {"train": ["C", "CC", "CCC", "CCCC"], "valid": ["CCO"], "test": ["CCCCC", "c1ccccc1"]}
PROGRAM = """
import csv, sys


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def main():
    rows = list(csv.DictReader(open("rows.csv")))
    names = [name for name in rows[0] if name.startswith("y")]
    if sys.argv[1] == "train":
        assert {row["split"] for row in rows} == {"train", "val", "test"}
        known = [row for row in rows if row["split"] == "train"]
        means = [str(sum(float(r[n]) for r in known) / len(known)) for n in names]
        open(option("--output-dir"), "w").write(",".join([option("--task-type"), *means]))
        if "Xe" in rows[0]["smiles0"]:
            sys.exit("no atom like this")
        return
    kind, *means = open(option("--model-path")).read().split(",")
    with open(option("--preds-path"), "w") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles0", *names])
        writer.writerows([row["smiles0"], *means] for row in rows)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Put a package of chemprop's name on the path that predicts the mean of the train rows."""
    folder = tmp_path / "chemprop" / "cli"
    folder.mkdir(parents=True)
    (folder / "main.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def data(truth, target, rows=MOLECULES, texts=None):
    """Return a task whose splits have these molecules."""
    splits = {
        split: SplitData(
            fields={"smiles": values}, truth=np.array(truth[split]), texts=(texts or {})
        )
        for split, values in rows.items()
    }
    return TaskData(task="toy", target=target, splits=splits, features={}, seed=0)


def test_numbers(stand_in):
    """Rows keep their split and predictions their order and unit; memory is that of the child."""
    truth = {"train": [[1.0], [2.0], [3.0], [4.0]], "valid": [[0.0]], "test": [[9.0], [9.0]]}
    found = chemprop(data(truth, Regression(names=("y",))))
    assert found.predictions["test"].tolist() == [[2.5], [2.5]]
    assert found.predictions["train"].shape == (4, 1)
    if sys.platform != "win32":
        assert 1e6 < found.peak_bytes < 1e9


@pytest.mark.parametrize(
    ("classes", "train", "expected"),
    [
        (("no", "yes"), [0, 1, 1, 1], [0.25, 0.75]),
        (("a", "b", "c"), [0, 1, 1, 2], [0.25, 0.5, 0.25]),
    ],
)
def test_classes(stand_in, classes, train, expected):
    """Two classes are one column, more are one each; probabilities add up to 1."""
    truth = {"train": train, "valid": [0], "test": [0, 1]}
    target = Classification(names=("y",), classes=classes)
    found = chemprop(data(truth, target))
    np.testing.assert_allclose(found.predictions["test"], [expected] * 2)


def test_only_molecules():
    """Proteins, and texts that vary, are nothing that chemprop reads."""
    truth = {"train": [[1.0]] * 4, "valid": [[0.0]], "test": [[9.0], [9.0]]}
    target = Regression(names=("y",))
    proteins = {split: ["MKVDEEG"] * len(rows) for split, rows in MOLECULES.items()}
    assert chemprop(data(truth, target, proteins)) is None
    assert chemprop(data(truth, target, texts={"cell": ["A", "B"]})) is None


def test_failure_tells_why(stand_in):
    """What chemprop wrote last is the message."""
    truth = {"train": [[1.0]] * 4, "valid": [[0.0]], "test": [[9.0], [9.0]]}
    rows = {**MOLECULES, "train": ["[Xe]", "C", "C", "C"]}
    with pytest.raises(DataError, match="chemprop train failed: no atom like this"):
        chemprop(data(truth, Regression(names=("y",)), rows))


def test_it_is_asked_for_by_name_and_needs_its_package(monkeypatch):
    """Without the package a run that names it hears what to install."""
    (baseline,) = taglm_chem.register_baselines()
    assert not baseline.in_default
    truth = {"train": [[1.0]] * 4, "valid": [[0.0]], "test": [[9.0], [9.0]]}
    monkeypatch.setattr("taglm_core.specs.packages.find_spec", lambda name: None)
    reason = baseline.why_not(data(truth, Regression(names=("y",))))
    assert reason == "it needs the package chemprop: pip install 'taglm-plugin-chem[chemprop]'"
