"""`--refit`: the predictor that is kept has seen every row, and its card says so."""

import csv
import json

import pytest

from taglm_core.api import preparation
from taglm_core.api.loading import load
from taglm_core.training.recipe import recipe_of


def read(folder):
    """Return metrics.json of a folder."""
    return json.loads((folder / "metrics.json").read_text())


def test_the_kept_predictor_is_trained_on_all_rows(taglm, run_file, tmp_path):
    """Metrics are those of the run without --refit; the predictor, its card and splits are not."""
    plain, out = tmp_path / "plain", tmp_path / "refit"
    assert taglm("run", run_file, "--out", plain).code == 0
    done = taglm("run", run_file, "--refit", "--out", out)
    assert done.code == 0, done.err
    before, after = read(plain)["tasks"]["Sol"], read(out)["tasks"]["Sol"]
    assert after["splits"] == before["splits"]
    counts = {name: split["rows"] for name, split in after["splits"].items()}
    wanted = {"rows": sum(counts.values())}
    assert after["refit"] == wanted
    card = (out / "predictor" / "README.md").read_text()
    assert f"trained afterwards on {wanted['rows']} rows" in card
    assert f"{counts['test']} test rows that it had not seen" in " ".join(card.split())
    config = json.loads((out / "predictor" / "config.json").read_text())
    assert config["tags"]["local/Sol"]["lineage"]["rows"] == wanted["rows"]
    whose = "Its prediction intervals are those of the predictor that was scored."
    assert whose in " ".join(card.split())
    own = json.loads((plain / "predictor" / "config.json").read_text())
    assert config["task"]["intervals"] == own["task"]["intervals"]
    widths = []
    for folder in (plain, out):
        held = load(folder).predict(["CCO"], "dict", interval=0.5)
        widths.append(held["Sol_high"][0] - held["Sol_low"][0])
    assert widths[0] == pytest.approx(widths[1])
    scored, kept = before["stages"][-1], config["tags"]["local/Sol"]["lineage"]
    assert kept["steps"] == kept["best_step"] == recipe_of(scored).steps(kept["planned_steps"])
    assert kept["head_choice"] == scored["head_choice"]
    source = tmp_path / "molecules.csv"
    held = {}
    for folder in (plain, out):
        target = tmp_path / f"{folder.name}.csv"
        assert taglm("predict", folder, source, "-o", target).code == 0
        held[folder.name] = list(csv.DictReader(target.open()))
    assert "test" in {row["split"] for row in held["plain"]}
    assert {row["split"] for row in held["refit"]} == {"train"}
    assert [row["Sol"] for row in held["plain"]] != [row["Sol"] for row in held["refit"]]
    again = taglm("run", run_file, "--refit", "--out", out)
    assert "holds the finished run" in again.err


def test_cross_validation_with_refit_has_a_predictor(taglm, run_file, tmp_path, monkeypatch):
    """The run's folder predicts; what was stopped before the refit goes on there."""
    out = tmp_path / "cv"
    words = ("run", run_file, "--split", "random", "--folds", 2, "--refit", "--out", out)
    refit = preparation.refit

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "refit", stop)
    assert taglm(*words).code == 130
    assert taglm("predict", out, "CCO").code == 1
    monkeypatch.setattr(preparation, "refit", refit)
    monkeypatch.setattr(preparation, "execute", None)  # no fold is run again
    done = taglm(*words)
    assert done.code == 0, done.err
    assert f"predictor: {out}" in done.out
    predicted = taglm("predict", out, "CCO", "--interval", 0.5)
    assert predicted.code == 0, predicted.err
    assert predicted.out.startswith("smiles,Sol,Sol_low,Sol_high,")
    first = json.loads((out / "members/fold-1/predictor/config.json").read_text())
    kept = json.loads((out / "predictor" / "config.json").read_text())
    assert kept["task"]["intervals"] == first["task"]["intervals"]
    card = " ".join((out / "predictor" / "README.md").read_text().split())
    assert "are those of 2 predictors, each scored on 20 test rows" in card
    counts = read(out)["tasks"]["Sol"]["refit"]
    assert counts == {"rows": 40}
    assert read(out)["tasks"]["Sol"]["splits"]["test"]["rows"] == pytest.approx(20)


def test_a_head_that_reads_features_is_fitted_again_as_it_was(taglm, run_file, tmp_path):
    """With the features and the number of passes that the validation split chose."""
    out = tmp_path / "refit"
    sets = ("head=mlp", "head_options={units: 4}", "fit_epochs=3", "features=on")
    words = [word for each in sets for word in ("--set", f"stages.task.{each}")]
    done = taglm("run", run_file, "--refit", "--out", out, *words)
    assert done.code == 0, done.err
    scored = read(out)["tasks"]["Sol"]["stages"][-1]["head_choice"]
    config = json.loads((out / "predictor" / "config.json").read_text())
    assert config["tags"]["local/Sol"]["lineage"]["head_choice"] == scored
    assert ", descriptors of smiles" in scored["Sol"]["chosen"]
    assert 1 <= scored["Sol"]["fit_pass"] <= 3
    assert taglm("predict", out, "CCO").code == 0
