"""`taglm predict` with what people type: values, a file, standard input and output, Excel."""

import csv
import io
import json
import sys
from types import SimpleNamespace

import pytest

from taglm_core.data.readers import read_table

LAB = """Compound ID,Drug,Comment,Y
ACM-1,CCO,"two
lines",0.3
ACM-2,c1ccccc1O,,
ACM-3,not_a_molecule,,1.0

ACM-4,CCN(CC)CC,<note>,oops
ACM-5,CCCCCCCCCCCCCCCCC,never seen,1.5
"""


@pytest.fixture
def finished(trained_run):
    """Return the folder of a finished run."""
    return trained_run


def rows_of(text):
    """Return the rows of csv text."""
    return list(csv.DictReader(io.StringIO(text)))


def test_values_on_the_command_line(finished, taglm, monkeypatch):
    """Values give csv for a program; a person at a terminal sees a table."""
    done = taglm("predict", finished, "CCO", "c1ccccc1O", "bad_one")
    assert done.code == 0, done.err
    rows = rows_of(done.out)
    assert [row["smiles"] for row in rows] == ["CCO", "c1ccccc1O", "bad_one"]
    assert [bool(row["Sol"]) for row in rows] == [True, True, False]
    assert rows[2]["error"]
    wide = taglm("predict", finished, "CCO", "bad_one", "--interval", 0.5)
    assert wide.code == 0, wide.err
    first, second = rows_of(wide.out)
    assert float(first["Sol_low"]) < float(first["Sol"]) < float(first["Sol_high"])
    assert (second["Sol_low"], second["Sol_high"]) == ("", "")
    for level, said in (
        (0.99, "no 99 % interval: it needs 99 exact validation"),
        (90, "such as 0.9"),
    ):
        refused = taglm("predict", finished, "CCO", "--interval", level)
        assert (refused.code, refused.out) == (1, "")
        assert said in refused.err
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    named = taglm("predict", finished, "smiles=CCO")
    assert named.code == 0, named.err
    words = named.out.split()
    assert words[:5] == ["smiles", "Sol", "training_similarity", "unlike_training", "CCO"]
    assert float(words[5]) == pytest.approx(float(rows[0]["Sol"]), rel=1e-3)
    assert "error" not in named.out


def test_a_labeled_file_has_residuals_and_splits(finished, taglm, tmp_path, molecules_csv):
    """IDs, comments and rows in order; truth minus prediction; which rows the run has seen."""
    source, out = tmp_path / "lab.csv", tmp_path / "out.csv"
    source.write_text(LAB)
    done = taglm("predict", finished, source, "-o", out)
    assert done.code == 0, done.err
    assert f"5 rows written to {out}; 1 could not be predicted" in done.err
    rows = list(csv.DictReader(out.open()))
    names = [
        "Compound ID",
        "Drug",
        "Comment",
        "Y",
        "Sol",
        "Sol.residual",
        "split",
        "training_similarity",
        "unlike_training",
        "error",
    ]
    assert list(rows[0]) == names
    assert [row["Compound ID"] for row in rows] == [f"ACM-{i}" for i in (1, 2, 3, 4, 5)]
    assert [row["Y"] for row in rows] == ["0.3", "", "1.0", "oops", "1.5"]
    held = {
        row["Drug"]: row["split"]
        for name in ("valid", "test")
        for row in csv.DictReader((finished / "predictions" / f"{name}.csv").open())
    }
    for row, is_known in zip(rows, [True, False, False, False, True], strict=True):
        assert bool(row["Sol.residual"]) == is_known
        if is_known:
            residual = float(row["Y"]) - float(row["Sol"])
            assert float(row["Sol.residual"]) == pytest.approx(residual, abs=1e-5)
    expected = [held.get(row["Drug"], "train") for row in rows]
    assert [row["split"] for row in rows] == [*expected[:2], "", expected[3], ""]
    for row in rows:
        digits = row["Sol"].lstrip("-").replace(".", "").lstrip("0").partition("e")[0]
        assert len(digits) <= 6


def test_a_truth_named_like_the_prediction_is_kept(finished, taglm, tmp_path):
    """The column of the truth gives way as TARGET.measured and is not lost."""
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("smiles,Sol\nCCO,0.5\n")
    done = taglm("predict", finished, "-i", source, "-o", out, "--column", "Y=Sol")
    assert done.code == 0, done.err
    (row,) = csv.DictReader(out.open())
    assert list(row) == [
        "smiles",
        "Sol.measured",
        "Sol",
        "Sol.residual",
        "split",
        "training_similarity",
        "unlike_training",
        "error",
    ]
    assert row["Sol.measured"] == "0.5"
    lost = taglm("predict", finished, "-i", source, "-o", out, "--column", "Y=Solubility")
    assert lost.code == 1
    assert "no column 'Solubility'" in lost.err


def test_standard_input_and_output(finished, taglm, monkeypatch):
    """A pipe in, a pipe out; messages name standard input."""

    def pipe(text, *words):
        stdin = SimpleNamespace(buffer=io.BytesIO(text.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        return taglm("predict", finished, "-", *words)

    done = pipe("id,smiles\n7,CCO\n8,C\n")
    assert done.code == 0, done.err
    assert [row["id"] for row in rows_of(done.out)] == ["7", "8"]
    assert "2 rows written to standard output" in done.err
    lines = pipe('{"smiles": "CCO", "id": 7}\n', "-o", "-", "--format", "jsonl")
    assert lines.code == 0, lines.err
    assert json.loads(lines.out)["Sol"] == pytest.approx(
        float(rows_of(done.out)[0]["Sol"]), rel=1e-4
    )
    smi = pipe("CCO ethanol\n", "--format", "smi")
    assert rows_of(smi.out)[0]["name"] == "ethanol"
    lost = pipe("id,x\n1,2\n")
    assert (lost.code, lost.out) == (1, "")
    assert "standard input: no column for the field 'smiles'" in lost.err
    assert "taglm-" not in lost.err


def test_excel_in_and_out(finished, taglm, tmp_path):
    """A workbook gives a workbook with the same rows and numbers."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["ID", "Drug", "Y"], ["a", "CCO", 0.3], [], ["b", "C", None]):
        book.active.append(row)
    source, out = tmp_path / "lab.xlsx", tmp_path / "out.xlsx"
    book.save(source)
    done = taglm("predict", finished, source, "-o", out)
    assert done.code == 0, done.err
    table = read_table(out)
    assert list(table.columns) == [
        "ID",
        "Drug",
        "Y",
        "Sol",
        "Sol.residual",
        "split",
        "training_similarity",
        "unlike_training",
        "error",
    ]
    assert table.columns["Y"] == [0.3, None]
    assert all(isinstance(value, float) for value in table.columns["Sol"])


def test_a_sheet_of_a_workbook(finished, taglm, tmp_path, run_file):
    """The same option trains on it and predicts it; without it the first is read, which is said."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Notes"])
    book.active.append(["see the next sheet"])
    assay = book.create_sheet("Assay")
    for line in (tmp_path / "molecules.csv").read_text().split():
        assay.append(line.split(","))
    source = tmp_path / "lab.xlsx"
    book.save(source)
    for sheet in ("assay", "2"):
        done = taglm("predict", finished, source, "--sheet", sheet)
        assert done.code == 0, done.err
        assert len(rows_of(done.out)) == 40
    part = ("--engine", "local", "-o", tmp_path / "out.csv")
    assert taglm("predict", finished, source, "--sheet", "2", *part).code == 0
    wrong = taglm("predict", finished, source)
    assert wrong.code == 1
    assert "the first sheet, 'Sheet', is read, not 'Assay'; --sheet NAME" in wrong.err
    fast = ["--backbone", tmp_path / "tiny", "--dry-run", "--split", "random"]
    for words in (["--sheet", "Assay"], ["--set", "data.sheet=2"]):
        done = taglm("run", source, "--target", "Y", *words, *fast)
        assert done.code == 0, done.err
    done = taglm("run", run_file, "--data", source, "--sheet", "2", "--dry-run")
    assert done.code == 0, done.err
    assert "data.sheet chooses a sheet" in taglm("run", "QED", "--sheet", "2", *fast).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to predict"),
        (("CCO", "missing.csv"), "'missing.csv' is a file, but 'CCO' was given too"),
        (("missing.csv",), "missing.csv: no such file"),
        (("CCO", "-i", "x.csv"), "or 'CCO', not both"),
        (("smiles=CCO", "CCO"), "takes the fields smiles: write one row as smiles=VALUE"),
        (("CCO", "-o", "out.smi"), "cannot be written"),
        (("CCO", "-o", "."), ". is a folder. Name a file in it, such as predicted.csv"),
    ],
)
def test_words_that_say_too_little_or_too_much(words, message, finished, taglm, tmp_path):
    """Nothing is guessed and nothing is written."""
    done = taglm("predict", finished, *words)
    assert done.code == 1
    assert message in done.err
    assert done.out == ""


def test_a_file_without_a_good_row_is_an_error(finished, taglm, tmp_path):
    """A program that calls taglm learns of it; what is wrong stands in the file."""
    source, out = tmp_path / "bad.csv", tmp_path / "out.csv"
    source.write_text("Drug\nbad_one\nbad_two\n")
    for words in ((source, "-o", out), ("bad_one",), (source, "-o", out, "--engine", "local")):
        done = taglm("predict", finished, *words)
        assert done.code == 1
        assert "error: no row could be predicted; the first is row 1: smiles: " in done.err
    assert all(row["error"] for row in csv.DictReader(out.open()))


def test_fixing_says_what_it_changed(finished, taglm):
    """A column tells of each row; this domain has nothing to fix."""
    rows = rows_of(taglm("predict", finished, "CCO", "bad_one", "--fix").out)
    assert [row["fixed"] for row in rows] == ["", ""]


def test_a_dry_run_refuses_a_place_that_cannot_be_taken(taglm, run_file, tmp_path):
    """As the run would."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    folder = taglm("run", tmp_path, "--target", "Y")
    assert f"{tmp_path} is a folder. Name the table in it" in folder.err
    for out, said in ((run_file, "is a file"), (tmp_path / "full", "is not empty")):
        done = taglm("run", run_file, "--dry-run", "--out", out)
        assert done.code == 1
        assert f"{out} {said}" in done.err


def test_the_files_of_a_run_keep_what_came_in(taglm, run_file, tmp_path):
    """All input columns, the line that an editor shows, truth, prediction, residual, split."""
    molecules = tmp_path / "molecules.csv"
    header, *lines = molecules.read_text().splitlines()
    made = [f"{header},row,ID", ""]
    for i, line in enumerate(lines):
        made += [f"{line},r{i},ID{i}"]
    molecules.write_text("\n".join(made) + "\n")
    done = taglm("run", run_file, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    for split in ("valid", "test"):
        rows = list(csv.DictReader((tmp_path / "run" / "predictions" / f"{split}.csv").open()))
        own = ["row", "line", "split"]
        inputs = ["Drug", "Y", "row (input)", "ID", "smiles"]
        assert list(rows[0]) == [*own, *inputs, "Sol.measured", "Sol", "Sol.residual"]
        for row in rows:
            assert row["split"] == split
            there = made[int(row["line"]) - 1].split(",")
            assert [row[name] for name in inputs[:4]] == there
            assert int(row["line"]) == int(row["row"]) + 2
            residual = float(row["Sol.measured"]) - float(row["Sol"])
            assert float(row["Sol.residual"]) == pytest.approx(residual, abs=1e-5)
