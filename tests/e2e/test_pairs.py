"""Pairs from the command line: drug combination and binding affinity on a tiny random backbone."""

import csv
import json

import pytest

MOLECULES = (
    "CCO c1ccccc1 CC(=O)O CCN(CC)CC C1CCCCC1 NCC(=O)O c1ccncc1 C1COCCN1 CCOC(=O)C ClC(Cl)Cl "
    "CS(C)=O c1ccsc1 CC#N COc1ccccc1"
).split()
FAST = [
    *("--set", "stages.domain.max_steps=2", "--set", "stages.domain.size=60"),
    *("--set", "stages.task.max_steps=2", "--set", "stages.task.num_evaluations=1"),
    *("--set", "precision=fp32"),
]
SEQUENCES = ["MKTAYIAK", "GAVLIPFW", "WYFHKRDE", "HHHHGGGG", "DEKRSTNQ", "CCMMPPLL"]


@pytest.fixture
def combinations_csv(tmp_path):
    """Write pairs of molecules on two lines, columns as in public files."""
    file = tmp_path / "dc.csv"
    chosen = MOLECULES[:9]
    rows = [
        (f"d{i}", a, f"d{j}", b, line, len(a) + len(b) + (line == "P"))
        for i, a in enumerate(chosen)
        for j, b in enumerate(chosen)
        for line in "PQ"
        if i < j
    ]
    with file.open("w", newline="") as stream:
        header = ("Drug1_ID", "Drug1", "Drug2_ID", "Drug2", "Cell_Line", "Y")
        csv.writer(stream).writerows([header, *rows])
    return file


@pytest.fixture
def affinities(tmp_path):
    """Write pairs of molecules and proteins in two files, train with folds, and test."""
    files = tmp_path / "train.csv", tmp_path / "test.csv"
    for file, molecules in zip(files, (MOLECULES[:10], MOLECULES[10:14]), strict=True):
        rows = [
            (a, s, 5 + len(a) / 10 + k, (i + k) % 5)
            for i, a in enumerate(molecules)
            for k, s in enumerate(SEQUENCES)
        ]
        with file.open("w", newline="") as stream:
            csv.writer(stream).writerows([("Drug", "Target", "Y", "Fold"), *rows])
    return files


@pytest.mark.slow
def test_a_combination_is_the_same_in_either_order(taglm, combinations_csv, toy_backbone, tmp_path):
    """Columns need no mapping; baselines, data check and predictions know both orders."""
    out = tmp_path / "run"
    source = ("--data", combinations_csv, "--backbone", toy_backbone)
    done = taglm("run", "DC", *source, "--out", out, *FAST)
    assert done.code == 0, done.err
    assert "data check: 0 inputs in train and test" in done.err
    report = json.loads((out / "data_check.json").read_text())["studies"]
    assert set(report["fields"]) == {"drug1", "drug2"}
    held = json.loads((out / "metrics.json").read_text())["tasks"]["DC"]
    assert held["split"] == "chem/pair"
    expected = {"mean", "one_hot_id", "one_hot_id_interactions", "nearest", "ridge", "boosting"}
    expected |= {"boosting_descriptors", "forest_descriptors"}
    assert expected == set(held["splits"]["test"]["baselines"])
    predicted = []
    for number, names in enumerate((("Drug1", "Drug2"), ("Drug2", "Drug1"))):
        file, made = tmp_path / f"in{number}.csv", tmp_path / f"out{number}.csv"
        file.write_text(
            f"{names[0]}_ID,{names[0]},{names[1]}_ID,{names[1]},Cell_Line\nd0,CCO,d1,c1ccccc1,P\n"
        )
        assert taglm("predict", out, "-i", file, "-o", made).code == 0
        predicted.append(float(next(csv.DictReader(made.open()))["DC"]))
    assert predicted[0] == pytest.approx(predicted[1], abs=1e-4)


@pytest.mark.slow
def test_a_test_file_and_a_written_split(
    taglm, combinations_csv, affinities, toy_backbone, tmp_path
):
    """`taglm data split` writes what `data.split.file` reads; a test file is the test split."""
    pytest.importorskip("taglm_protein")
    splits = tmp_path / "splits.csv"
    written = taglm("data", "split", combinations_csv, "--task", "DC", "--out", splits)
    assert written.code == 0, written.err
    assert "train" in written.err
    dry = ("run", "DC", "--data", combinations_csv, "--backbone", toy_backbone, "--dry-run")
    planned = taglm(*dry, "--set", f"data.split.file={splits}", *FAST)
    assert planned.code == 0, planned.err
    assert f"rows (split: file {splits})" in planned.err
    train, test = affinities
    out = tmp_path / "run"
    done = taglm(
        *("run", "BA", "--data", train, "--set", f"data.test_file={test}"),
        *("--set", "data.split.column=Fold", "--set", "data.split.valid=4"),
        *("--set", "data.check=false", "--backbone", toy_backbone, "--out", out, *FAST),
        *("--baselines", "mean"),
    )
    assert done.code == 0, done.err
    assert "data check" not in done.err
    assert not (out / "data_check.json").exists()
    held = json.loads((out / "metrics.json").read_text())["tasks"]["BA"]
    assert held["splits"]["test"]["rows"] == 24
    assert held["splits"]["valid"]["rows"] == 12
    assert {"pearson", "concordance", "mse", "spearman"} == set(held["splits"]["test"]["metrics"])
    rows = list(csv.DictReader((out / "split.csv").open()))
    assert {row["file"] for row in rows if row["split"] == "test"} == {str(test)}
