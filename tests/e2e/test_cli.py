"""The program as a user types it: runs, predictions, listings, and every bad input."""

import csv
import json
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture
def finished(trained_run):
    """Return the folder of a finished run."""
    return trained_run


def test_a_run_file_needs_no_python(finished, taglm, tmp_path, molecules_csv):
    """YAML and a CSV give metrics, predictions in the file's order, and an evaluation."""
    metrics = json.loads((finished / "metrics.json").read_text())["tasks"]["Sol"]
    assert set(metrics["splits"]["test"]["metrics"]) == {"rmse", "mae", "r2"}
    assert {"mean", "ridge"} <= set(metrics["splits"]["test"]["baselines"])
    out = tmp_path / "predicted.csv"
    done = taglm("predict", finished, "--input", molecules_csv, "--output", out)
    assert done.code == 0, done.err
    rows = list(csv.DictReader(out.open()))
    assert list(rows[0]) == [
        "Drug",
        "Y",
        "Sol",
        "Sol.residual",
        "split",
        "training_similarity",
        "unlike_training",
        "error",
    ]
    assert [row["Drug"] for row in rows][:2] == ["CCO", "CC(=O)Oc1ccccc1C(=O)O"]
    assert all(row["Sol"] and not row["error"] for row in rows)
    scored = taglm("evaluate", finished, "--input", molecules_csv, "--json")
    found = json.loads(scored.out)["tasks"]["Sol"]["splits"]["input"]
    errors = [abs(float(row["Sol"]) - float(row["Y"])) for row in rows]
    assert found["rows"] == 40
    assert found["metrics"]["mae"] == pytest.approx(sum(errors) / 40, abs=1e-5)


def test_the_same_settings_return_the_finished_run(taglm, run_file, tmp_path):
    """Nothing is trained twice; other settings are refused with the difference."""
    finished = tmp_path / "run"
    assert taglm("run", run_file, "--out", finished).code == 0
    again = taglm("run", run_file, "--out", finished)
    assert again.code == 0
    assert "holds the finished run" in again.err
    other = taglm("run", run_file, "--out", finished, "--seed", 4)
    assert other.code == 1
    assert "seed: 0 there, 4 now" in other.err
    assert "--out" in other.err


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["domain", "task"])
def test_a_process_killed_at_any_instant_ends_with_the_same_numbers(
    stage, taglm, run_file, tmp_path, monkeypatch
):
    """SIGKILL in either stage leaves no partial file; running again gives the same result."""
    longer = "--set=checkpoint_seconds=0", "--set=stages.domain.max_steps=60"
    words = ["run", str(run_file), *longer, "--set=stages.task.max_steps=60"]
    whole = taglm(*words, "--out", tmp_path / "whole")
    assert whole.code == 0, whole.err
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "home"))  # nothing is stored there yet
    out = tmp_path / "killed"
    program = [sys.executable, "-m", "taglm_core.cli.main", *words, "--out", str(out)]
    process = subprocess.Popen(program, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not list(out.glob(f"checkpoints/{stage}-*/state.json")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (out / "metrics.json").exists()
    again = taglm(*words, "--out", out)
    assert again.code == 0, again.err
    assert "continuing at step" in again.err
    found, wanted = (
        json.loads((folder / "metrics.json").read_text())["tasks"]["Sol"]["splits"]
        for folder in (out, tmp_path / "whole")
    )
    assert found == wanted


@pytest.mark.parametrize("ending", ["tsv", "parquet", "jsonl", "csv.gz"])
def test_predictions_in_every_format(ending, finished, taglm, tmp_path):
    """Each format can be read and written; a row that cannot be predicted is kept."""
    source = tmp_path / "in.smi"
    source.write_text("CCO ethanol\nnot_a_molecule bad\nc1ccccc1 benzene\n")
    out = tmp_path / f"out.{ending}"
    done = taglm("predict", finished, "-i", source, "-o", out)
    assert done.code == 0, done.err
    assert "1 could not be predicted" in done.err
    assert "row 2" in done.err
    back = tmp_path / "back.csv"
    again = taglm("predict", finished, "-i", out, "-o", back, "--overwrite-column")
    assert again.code == 0, again.err
    rows = list(csv.DictReader(back.open()))
    assert [bool(row["Sol"]) for row in rows] == [True, False, True]
    assert [row["name"] for row in rows] == ["ethanol", "bad", "benzene"]


def test_the_cache_changes_no_prediction(finished, taglm, tmp_path, molecules_csv):
    """Rows that recur are predicted the same with and without reuse, and the plan is said."""
    rows = molecules_csv.read_text().splitlines()
    doubled = tmp_path / "doubled.csv"
    doubled.write_text("\n".join([rows[0], *rows[1:], *rows[1:]]) + "\n")
    found = {}
    for cache in ("auto", "off", "10kB"):
        out = tmp_path / f"{cache}.csv"
        done = taglm("predict", finished, "-i", doubled, "-o", out, "--cache", cache, "-v")
        assert done.code == 0, done.err
        assert ("times less work" in done.err) is (cache == "auto")
        found[cache] = [float(row["Sol"]) for row in csv.DictReader(out.open())]
    assert found["auto"] == pytest.approx(found["off"], abs=1e-4)
    assert found["10kB"] == pytest.approx(found["off"], abs=1e-4)


@pytest.mark.parametrize("command", ["run", "predict"])
def test_a_cache_that_is_no_size_is_one_message(command, finished, taglm, run_file, molecules_csv):
    """The message says what can be written."""
    given = (run_file,) if command == "run" else (finished, "-i", molecules_csv, "-o", "x.csv")
    done = taglm(command, *given, "--cache", "lots")
    assert done.code == 1
    assert "must be auto, off or a size such as 500MB or 2GB" in done.err


def test_an_output_that_cannot_hold_predictions_is_refused_at_once(finished, taglm, tmp_path):
    """A .smi file has no columns for predictions; an unknown ending no format."""
    source = tmp_path / "in.smi"
    source.write_text("CCO ethanol\n")
    for ending in ("smi", "xls"):
        done = taglm("predict", finished, "-i", source, "-o", tmp_path / f"out.{ending}")
        assert done.code == 1
        assert "csv" in done.err
        assert not (tmp_path / f"out.{ending}").exists()


def test_the_plan_alone(taglm, run_file, tmp_path):
    """--dry-run shows stages and parameters and writes nothing."""
    out = tmp_path / "none"
    done = taglm("run", run_file, "--out", out, "--dry-run")
    assert done.code == 0, done.err
    assert "<chem/SMILES>" in done.out
    assert "trained" in done.out
    assert not out.exists()


def test_tags_are_listed_and_shown(finished, taglm):
    """The store's tags with lineage, as text and as JSON."""
    listed = json.loads(taglm("tags", "list", "--json").out)
    own = {entry["tag"]: entry for entry in listed if entry["from"] == "store"}
    assert set(own) == {"chem/SMILES", "local/Sol"}
    name = f"SMILES@{own['chem/SMILES']['fingerprint']}"
    (shown,) = json.loads(taglm("tags", "show", name, "--json").out)
    assert shown["lineage"]["corpus"] == "chem/molecules"
    assert shown["from"] == "store"
    unknown = taglm("tags", "show", "SMILE")
    assert unknown.code == 1
    assert "Did you mean 'SMILES'?" in unknown.err


def test_plugins_are_listed(taglm):
    """What is installed and what it registers."""
    listed = json.loads(taglm("plugins", "--json").out)
    chem = next(plugin for plugin in listed["plugins"] if plugin["name"] == "chem")
    assert chem["distribution"] == "taglm-plugin-chem"
    assert "QED" in chem["registers"]["tasks"]
    assert listed["failures"] == []


def changed(molecules_csv, old, new):
    """Replace text in the molecules file."""
    text = molecules_csv.read_text()
    assert old in text
    molecules_csv.write_text(text.replace(old, new, 1))


BAD = {
    "invalid SMILES": ("c1ccccc1,", "c1ccccc,", ["molecules.csv", "row 5", "smiles", "--on-error"]),
    "non-numeric target": ("CCO,0.3", "CCO,high", ["molecules.csv", "row 1", "'Y'", "high"]),
    "missing target": ("CCO,0.3", "CCO,", ["molecules.csv", "row 1", "'Y'"]),
    "infinite target": ("CCO,0.3", "CCO,inf", ["molecules.csv", "row 1", "'Y'", "inf"]),
    "missing column": ("Drug,Y", "Structur,Y", ["molecules.csv", "smiles", "--column"]),
    "ragged row": ("CCO,0.3", "CCO,0.3,7", ["molecules.csv", "row 1"]),
    "too long": ("CCO,0.3", "C" * 400 + ",0.3", ["molecules.csv", "row 1", "too long", "256"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_one_message(kind, taglm, run_file, molecules_csv, tmp_path):
    """File, row or key, and the fix; no traceback and no half-written file."""
    old, new, words = BAD[kind]
    changed(molecules_csv, old, new)
    out = tmp_path / "run"
    done = taglm("run", run_file, "--out", out)
    assert done.code == 1
    assert done.err.count("error: ") == 1
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err
    assert not (out / "metrics.json").exists()
    assert not (out / "predictor").exists()


def test_an_empty_file(taglm, run_file, molecules_csv):
    """A file without rows says so."""
    for text in ("", "Drug,Y\n"):
        molecules_csv.write_text(text)
        done = taglm("run", run_file)
        assert done.code == 1
        assert "molecules.csv" in done.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<SMILES>{smiles}", "<SMILE>{smiles}", ["unknown domain 'SMILE'", "'SMILES'"]),
        ("<Sol>", "<Sool>", ["function tag <Sol> is missing", "^"]),
        ("{smiles}", "{smiles", ["malformed template", "^"]),
        ("metrics: [rmse", "metrics: [rmsd", ["unknown metric 'rmsd'", "'rmse'"]),
        ("max_steps: 3", "max_step: 3", ["stages.domain.max_step", "'max_steps'"]),
        ("columns: [Y]", "columns: [Z]", ["molecules.csv", "'Z'", "Y"]),
        ("file: molecules.csv", "file: molecule.csv", ["molecule.csv", "molecules.csv"]),
        ("method: random", "method: randon", ["unknown splitter 'randon'", "'random'"]),
        ("backbone: ", "backbone: /nowhere", ["unknown backbone"]),
    ],
)
def test_bad_settings_are_one_message(old, new, words, taglm, run_file, tmp_path):
    """Wrong names offer the nearest known one; templates get a caret."""
    text = run_file.read_text()
    assert old in text
    run_file.write_text(text.replace(old, new, 1))
    done = taglm("run", run_file, "--out", tmp_path / "run")
    assert done.code == 1
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err
    assert not (tmp_path / "run").exists()


def test_an_artifact_of_another_backbone(finished, taglm, tmp_path, molecules_csv):
    """Prediction with other weights is refused and writes nothing."""
    from small_runs import saved_backbone

    saved_backbone(tmp_path / "other", "llama", seed=3)
    out = tmp_path / "out.csv"
    done = taglm(
        "predict", finished, "-i", molecules_csv, "-o", out, "--backbone", tmp_path / "other"
    )
    assert done.code == 1
    assert "belongs to the backbone" in done.err
    assert not out.exists()


def test_a_clash_of_columns(finished, taglm, tmp_path):
    """A prediction never replaces an input column unasked."""
    source = tmp_path / "in.csv"
    source.write_text("smiles,Sol\nCCO,1\n")
    out = tmp_path / "out.csv"
    done = taglm("predict", finished, "-i", source, "-o", out)
    assert done.code == 1
    assert "--overwrite-column" in done.err
    assert not out.exists()
    assert taglm("predict", finished, "-i", source, "-o", out, "--overwrite-column").code == 0


def test_no_run_to_predict_with(taglm, tmp_path, molecules_csv):
    """A folder without an artifact says what it is not."""
    done = taglm("predict", tmp_path, "-i", molecules_csv, "-o", tmp_path / "out.csv")
    assert done.code == 1
    assert "is neither a run nor a predictor" in done.err


def test_a_fresh_process_repeats_the_predictions_of_the_run(finished, tmp_path):
    """What the artifact predicts elsewhere is what the run has written."""
    written = list(csv.DictReader((finished / "predictions" / "test.csv").open()))
    assert len(written) > 3
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("smiles\n" + "\n".join(row["smiles"] for row in written) + "\n")
    words = ["predict", finished, "--input", source, "--output", out]
    program = [sys.executable, "-m", "taglm_core.cli.main", *map(str, words)]
    subprocess.run(program, check=True, capture_output=True)
    again = list(csv.DictReader(out.open()))
    for before, after in zip(written, again, strict=True):
        assert float(after["Sol"]) == pytest.approx(float(before["Sol"]), abs=1e-5)
