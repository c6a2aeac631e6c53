"""The file of a laboratory, with all that such files hold, from the first command to scores.

Lab names of columns, identifiers, a SMILES typed wrong, duplicates with other values, a blank line,
a salt, values beyond a limit, an exact one beyond it too, and a value that is missing.
"""

import csv
import json

import pytest

FAST = [
    "--set=stages.domain.size=60",
    "--set=stages.domain.max_steps=2",
    "--set=stages.domain.tag_length=3",
    "--set=stages.task.max_steps=2",
    "--set=stages.task.tag_length=3",
    "--split=random",
    "--baselines=mean,ridge",
]
ODD = """LAB-0101,c1ccccc,7,-1.2,typed by hand
LAB-0102,CC(=O)[O-].[Na+],7,1.0,salt

LAB-0103,CCO,8,-3.4,measured again
LAB-0104,CCCCCCCCCC,8,<-5,not detected
LAB-0105,c1ccc2c(c1)cccc2,8,< -5,not detected
LAB-0106,CCCCCCN,9,,lost
LAB-0107,CCCCCCO,9,> 0.5,all dissolved
LAB-0108,CCCCCCCCCCCC,9,-6.2,exact below the limit
"""


@pytest.fixture
def lab(tmp_path, molecules_csv, monkeypatch):
    """Write the file, and stand beside it."""
    monkeypatch.chdir(tmp_path)
    rows = [line.split(",") for line in molecules_csv.read_text().splitlines()[1:]]
    lines = [
        f"LAB-{i + 1:04d},{smiles},{1 + i // 9},{-float(value):.2f},"
        for i, (smiles, value) in enumerate(rows)
    ]
    head = "Cpd-ID,Structure,Batch,LogS (mol/L),Remark"
    (tmp_path / "lab.csv").write_text("\n".join([head, *lines]) + "\n" + ODD)
    return tmp_path


def test_a_lab_file_is_run_predicted_and_scored(taglm, lab, toy_backbone):
    """Every row is used, or named with its reason; every row of the file comes back."""
    words = ["--target", "LogS", "--weights", "batch", f"--backbone={toy_backbone}"]
    done = taglm("run", "lab.csv", *words, *FAST)
    assert done.code == 0, done.err
    for said in (
        "skipped 1 blank line",
        "input: column 'Structure' holds <SMILES> (98 % of the values can be read)",
        "target: column 'LogS (mol/L)' holds numbers from -6.2 to 1, 2 of them below a limit "
        "(left-censored), 1 of them above a limit (right-censored) (regression, unit mol/L)",
        "note: censored values (LogS 2 below a limit and 1 above a limit) are trained as limits "
        "and left out of the metrics",
        "not used: Cpd-ID, Remark",
        "2 of 48 rows skipped, the first is row 41: smiles: not a valid SMILES: unclosed ring",
        "2 inputs with different values",
        "(split: core/random), 2 skipped",
    ):
        assert said in done.err
    assert "skipped rows: runs/LogS/rejected.csv" in done.out
    assert "Murcko" not in done.err  # that splitter is not the one that was asked for
    folder = lab / "runs" / "LogS"
    rejected = list(csv.DictReader((folder / "rejected.csv").open()))
    assert [(row["row"], row["line"]) for row in rejected] == [("41", "42"), ("46", "48")]
    assert "unclosed ring" in rejected[0]["reason"]
    assert [row["Cpd-ID"] for row in rejected] == ["LAB-0101", "LAB-0106"]
    assert "column 'LogS (mol/L)': the cell is empty" in rejected[1]["reason"]
    metrics = json.loads((folder / "metrics.json").read_text())["tasks"]["LogS"]
    assert sum(held["rows"] for held in metrics["splits"].values()) == 46
    assert metrics["target"]["labels"] == "measured"
    for split in ("test", "valid"):
        remark = f"the {split} split has {metrics['splits'][split]['rows']} rows, fewer than 20: "
        assert f"note: {remark}" in done.err
        assert any(said.startswith(remark) for said in metrics["remarks"])
    assert metrics["weights"]["column"] == "batch"
    assert metrics["weights"]["rows_of_weight_0"] == 0
    assert metrics["target"]["censored"] == "trained as limits and left out of the metrics"
    counts = [held.get("censored", {}).get("LogS", {}) for held in metrics["splits"].values()]
    assert [sum(c.get(k, 0) for c in counts) for k in ("below", "above")] == [2, 1]
    test = metrics["splits"]["test"]
    left_out = sum(test.get("censored", {}).get("LogS", {}).get(k, 0) for k in ("below", "above"))
    assert f"on {test['rows'] - left_out} test rows (split" in done.out
    _check_limits(folder)
    _check_constant(folder, metrics)
    card = (folder / "predictor" / "README.md").read_text()
    assert "None" not in card
    _check_predictions(taglm, lab)
    _check_scores(taglm, metrics)


def _check_limits(folder):
    """A limit says on which side it is and has no residual; an exact value is exact."""
    rows = [
        row
        for split in ("valid", "test")
        for row in csv.DictReader((folder / "predictions" / f"{split}.csv").open())
    ]
    for row in rows:
        cell, side = row["LogS (mol/L)"], row.get("LogS.censored", "")
        assert side == (cell[0] if cell[0] in "<>" else "")
        assert float(row["LogS.measured"]) == float(cell.lstrip("<> "))
        assert (row["LogS.residual"] == "") == bool(side)


def _check_constant(folder, metrics):
    """The mean is fitted to limits as values, and scored on exact rows, as taglm is."""
    train = {
        row["row"]
        for row in csv.DictReader((folder / "split.csv").open())
        if row["split"] == "train"
    }
    with open("lab.csv") as file:
        lines = [line for line in file.read().splitlines()[1:] if line.strip()]
    cells = [line.split(",")[3] for i, line in enumerate(lines, 1) if str(i) in train]
    mean = sum(float(cell.lstrip("<> ")) for cell in cells) / len(cells)
    exact = [float(cell) for cell in cells if cell[0] not in "<>"]
    error = sum(abs(value - mean) for value in exact) / len(exact)
    assert len(exact) < len(cells)
    assert metrics["splits"]["train"]["baselines"]["mean"]["mae"] == pytest.approx(error)


def _check_predictions(taglm, lab):
    """All rows in their order, with all columns; a bad one has a reason and no number."""
    done = taglm("predict", "runs/LogS", "lab.csv", "-o", "predicted.csv")
    assert done.code == 0, done.err
    assert "48 rows written to predicted.csv; 1 could not be predicted" in done.err
    rows = {row["Cpd-ID"]: row for row in csv.DictReader((lab / "predicted.csv").open())}
    assert len(rows) == 48
    assert rows["LAB-0101"]["LogS"] == ""
    assert "unclosed ring" in rows["LAB-0101"]["error"]
    for name in ("LAB-0001", "LAB-0102", "LAB-0103", "LAB-0104", "LAB-0106"):
        assert float(rows[name]["LogS"])
        assert rows[name]["error"] == ""
    assert rows["LAB-0001"]["LogS"] == rows["LAB-0103"]["LogS"]
    assert rows["LAB-0104"]["LogS (mol/L)"] == "<-5"
    residual = -6.2 - float(rows["LAB-0108"]["LogS"])
    assert float(rows["LAB-0108"]["LogS.residual"]) == pytest.approx(residual, abs=1e-4)
    assert rows["LAB-0104"]["LogS.residual"] == rows["LAB-0107"]["LogS.residual"] == ""
    assert rows["LAB-0106"]["LogS.residual"] == ""
    assert rows["LAB-0106"]["split"] == ""


def _check_scores(taglm, metrics):
    """Bad rows stop the scoring; skipped, the others are scored and trained ones are counted."""
    stopped = taglm("evaluate", "runs/LogS", "--input", "lab.csv")
    assert stopped.code == 1
    assert "2 of 48 rows cannot be used" in stopped.err
    assert "--on-error skip" in stopped.err
    words = ["--input", "lab.csv", "--on-error", "skip", "--output", "scored.csv", "--json"]
    done = taglm("evaluate", "runs/LogS", *words)
    assert done.code == 0, done.err
    cells = [row["LogS"] for row in csv.DictReader(open("scored.csv"))]
    assert cells == [f"{float(cell):.6g}" for cell in cells]
    found = json.loads(done.out)["tasks"]["LogS"]
    assert found["splits"]["input"]["rows"] == 46
    trained = metrics["splits"]["train"]["rows"]
    censored = found["splits"]["input"]["censored"]["LogS"]
    assert (censored["below"], censored["above"]) == (2, 1)
    assert found["remarks"][1:] == [
        f"{trained} of 46 rows were in the train split of the run: expect worse scores on new rows"
    ]
