"""What `taglm run` prints: tables of 80 columns, a verdict, what to do next, details with -v."""

import csv
import json

import pytest


@pytest.fixture
def three_properties(run_file, tmp_path):
    """Give the run file three targets with gaps of 20, 40 and 60 per cent."""
    file = tmp_path / "molecules.csv"
    rows = list(csv.DictReader(file.open()))
    gaps = {"LogS": lambda i: i % 5 == 0, "LogD": lambda i: i % 5 in (1, 2)}
    gaps["Permeability"] = lambda i: i % 5 in (2, 3, 4)
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["Drug", *gaps])
        for i, row in enumerate(rows):
            values = [len(row["Drug"]) / 10, row["Drug"].count("C"), row["Drug"].count("c") / 3]
            cells = [
                "" if is_gap(i) else v for is_gap, v in zip(gaps.values(), values, strict=True)
            ]
            writer.writerow([row["Drug"], *cells])
    text = run_file.read_text().replace("columns: [Y]", "columns: [LogS, LogD, Permeability]")
    run_file.write_text(text)
    return run_file


def test_three_properties_with_gaps_are_readable(three_properties, taglm, tmp_path):
    """All rows are used; each target has lines of its own within 80 columns."""
    out = tmp_path / "run"
    done = taglm("run", three_properties, "--out", out)
    assert done.code == 0, done.err
    task = json.loads((out / "metrics.json").read_text())["tasks"]["Sol"]
    assert task["rows_skipped"] == 0
    assert sum(split["rows"] for split in task["splits"].values()) == 40
    known = [
        sum(s["target_rows"][n] for s in task["splits"].values()) for n in task["target"]["names"]
    ]
    assert known == [32, 24, 16]
    table, _, closing = done.out.partition("\n\n")
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[:4] == ["split", "predictor", "target", "rows"]
    assert [line.split()[0] for line in lines[2:5]] == ["test"] * 3
    for name in task["target"]["names"]:
        own = next(line for line in lines if line.split()[:3] == ["test", "taglm", name])
        test = task["splits"]["test"]
        assert int(own.split()[3]) == test["target_rows"][name]
        assert f"{test['metrics'][f'rmse.{name}']:.4g}" in own.split()
    assert " - " not in table
    assert closing.startswith("Sol: taglm rmse ")


def test_a_run_ends_with_its_verdict_and_what_to_do(run_file, taglm, tmp_path):
    """One sentence against the best baseline, then the predictor and the command, which works."""
    out = tmp_path / "run"
    done = taglm("run", run_file, "--out", out)
    task = json.loads((out / "metrics.json").read_text())["tasks"]["Sol"]
    test = task["splits"]["test"]
    best = min(test["baselines"], key=lambda name: test["baselines"][name]["rmse"])
    value, other = test["metrics"]["rmse"], test["baselines"][best]["rmse"]
    word = "better" if value < other else "worse"
    said, run, predictor, command, report = done.out.strip().splitlines()[-5:]
    assert said == (
        f"Sol: taglm rmse {value:.3g}, {word} than the best baseline ({best}, {other:.3g}), "
        f"on {test['rows']} test rows (split: core/random)"
    )
    assert run == f"run: {out}"
    assert report == f"report: {out / 'report.html'}"
    assert (out / "report.html").is_file()
    environment = json.loads((out / "environment.json").read_text())
    assert environment["command"] == f"taglm run {run_file} --out {out}"
    assert (out / predictor.rpartition("/")[2] / "tags.safetensors").is_file()
    words = command.removeprefix("predict: taglm ").split()
    (tmp_path / "new.csv").write_text("smiles\nCCO\n")
    words = [str(tmp_path / w) if w.endswith(".csv") else w for w in words]
    assert taglm(*words).code == 0
    assert (tmp_path / "predicted.csv").is_file()


def test_technical_lines_are_asked_for(run_file, taglm, tmp_path):
    """Cache, stages, precision and parameters are printed with -v alone."""
    wordy = taglm("run", run_file, "--out", tmp_path / "a", "-v")
    plain = taglm("run", run_file, "--out", tmp_path / "b", "--seed", 1)
    for word in ("reuse:", "parameters are trained", "precision "):
        assert word in wordy.err
        assert word not in plain.err
    assert "frozen" in wordy.out
    assert "frozen" not in plain.out


def test_several_runs_are_printed_with_their_spread(run_file, taglm, tmp_path):
    """Mean and deviation in the table, then each run, then where the predictors are."""
    out = tmp_path / "cv"
    done = taglm("run", run_file, "--split", "random", "--folds", 3, "--out", out)
    assert done.code == 0, done.err
    task = json.loads((out / "metrics.json").read_text())["tasks"]["Sol"]
    test = task["splits"]["test"]
    assert f"{test['metrics']['rmse']:.3g} ± {test['deviations']['rmse']:.2g}" in done.out
    assert "split: core/random, 3 folds" in done.out
    for i in (1, 2, 3):
        assert f"\nfold-{i} " in done.out
    assert "test rows in each of 3 runs" in done.out
    assert f"predictors: one for each of 3 runs in {out}/members" in done.out
    tables, _, _ = done.out.rpartition("\n\n")
    assert max(map(len, tables.splitlines())) <= 80


def test_training_is_seen_beside_the_best_baseline(run_file, taglm, tmp_path):
    """Baselines are fitted first, and once, so each score in training has one to compare with."""
    out = tmp_path / "run"
    done = taglm("run", run_file, "--out", out)
    baselines = json.loads((out / "metrics.json").read_text())["tasks"]["Sol"]["splits"]["valid"]
    best = min(baselines["baselines"], key=lambda name: baselines["baselines"][name]["rmse"])
    said = f"(best baseline {best} {baselines['baselines'][best]['rmse']:.4g})"
    lines = done.err.splitlines()
    scores = [line for line in lines if ": rmse " in line]
    assert scores
    assert all(line.endswith(said) for line in scores)
    assert done.err.count("fitting the baselines") == 1
    plain = taglm("run", run_file, "--out", tmp_path / "none", "--baselines", "none", "--seed", 1)
    assert "baseline" not in plain.err
