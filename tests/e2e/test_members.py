"""Runs over folds and seeds: one command, one folder, one summary, continued where it stopped."""

import csv
import json
import statistics

import pytest

import taglm as taglm_api


def read(folder):
    """Return metrics.json of a folder."""
    return json.loads((folder / "metrics.json").read_text())


def test_cross_validation_tests_every_row_once(taglm, run_file, tmp_path):
    """Five folds in one folder: each row is test once, means and deviations are of the folds."""
    out = tmp_path / "cv"
    words = ("run", run_file, "--split", "random", "--folds", 5, "--out", out)
    done = taglm(*words)
    assert done.code == 0, done.err
    metrics = read(out)
    names = [f"fold-{i}" for i in range(1, 6)]
    assert [member["name"] for member in metrics["members"]] == names
    own = [read(out / "members" / name)["tasks"]["Sol"]["splits"]["test"] for name in names]
    test = metrics["tasks"]["Sol"]["splits"]["test"]
    values = [each["metrics"]["rmse"] for each in own]
    assert test["metrics"]["rmse"] == pytest.approx(statistics.fmean(values))
    assert test["deviations"]["rmse"] == pytest.approx(statistics.stdev(values))
    values = [each["baselines"]["mean"]["mae"] for each in own]
    assert test["baselines"]["mean"]["mae"] == pytest.approx(statistics.fmean(values))
    rows = list(csv.DictReader((out / "predictions" / "test.csv").open()))
    assert sorted(int(row["row"]) for row in rows) == list(range(1, 41))
    assert {row["member"] for row in rows} == set(names)
    frame = taglm_api.Run(out).predictions
    assert sorted(frame["row"]) == list(range(1, 41))
    assert (frame["Sol.measured"] - frame["Sol"] - frame["Sol.residual"]).abs().max() < 1e-4
    trained = [s["tasks"]["Sol"]["stages"][0] for s in (read(out / "members" / n) for n in names)]
    assert [stage.get("from_store", False) for stage in trained] == [False] + [True] * 4
    assert "fold-1, 1 of 5\n" in done.err
    assert "fold-5, 5 of 5; about " in done.err
    again = taglm(*words)
    assert again.code == 0
    assert "holds the finished run" in again.err
    other = taglm(*words[:5], 4, *words[6:])
    assert other.code == 1
    assert "data.split.folds: 5 there, 4 now" in other.err


def test_it_goes_on_at_the_fold_where_it_stopped(taglm, run_file, tmp_path, monkeypatch):
    """Finished folds are not trained again, and the results are those of an unbroken run."""
    words = ("run", run_file, "--split", "random", "--folds", 3)
    whole, out = tmp_path / "whole", tmp_path / "cv"
    assert taglm(*words, "--out", whole).code == 0
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "home"))

    from taglm_core.api import preparation

    ran = []

    def stop(plans, folder, *more, execute=preparation.execute):
        ran.append(folder.path.name)
        if ran.count("fold-2") == 1 and folder.path.name == "fold-2":
            raise KeyboardInterrupt
        return execute(plans, folder, *more)

    monkeypatch.setattr(preparation, "execute", stop)
    assert taglm(*words, "--out", out).code == 130
    assert not (out / "metrics.json").exists()
    assert (out / "members" / "fold-1" / "metrics.json").exists()
    done = taglm(*words, "--out", out)
    assert done.code == 0, done.err
    assert ran == ["fold-1", "fold-2", "fold-2", "fold-3"]
    found, wanted = (read(folder)["tasks"]["Sol"]["splits"]["test"] for folder in (out, whole))
    assert found["metrics"] == pytest.approx(wanted["metrics"], rel=1e-4)
    assert found["baselines"] == wanted["baselines"]


def test_seeds_share_the_domain_tag(taglm, run_file, tmp_path):
    """Three seeds in one command: one domain tag, three function tags, mean and deviation."""
    out = tmp_path / "seeds"
    done = taglm("run", run_file, "--seeds", "0,1,2", "--out", out)
    assert done.code == 0, done.err
    metrics = read(out)
    assert metrics["seeds"] == [0, 1, 2]
    assert [member["seed"] for member in metrics["members"]] == [0, 1, 2]
    stages = [
        read(out / member["folder"])["tasks"]["Sol"]["stages"] for member in metrics["members"]
    ]
    assert [found[0].get("from_store", False) for found in stages] == [False, True, True]
    assert metrics["tasks"]["Sol"]["splits"]["test"]["deviations"]["rmse"] > 0
    alone = taglm("run", run_file, "--seed", 0, "--out", tmp_path / "alone")
    assert alone.code == 0
    first = read(out / "members" / "seed-0")["tasks"]["Sol"]["splits"]
    assert first == read(tmp_path / "alone")["tasks"]["Sol"]["splits"]


def test_the_predictor_of_several_members_is_named(taglm, run_file, tmp_path):
    """There is one for each member; the message names one, and it predicts."""
    out = tmp_path / "cv"
    assert taglm("run", run_file, "--seeds", "0,1", "--out", out).code == 0
    done = taglm("predict", out, "CCO")
    assert done.code == 1
    assert f"{out}/members/seed-0" in done.err
    done = taglm("predict", out / "members" / "seed-0", "CCO")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "0,0"), "different whole numbers"),
        (("--seeds", "0,x"), "different whole numbers"),
        (("--folds", "1"), "folds must be 2 or more"),
        (("--repeats", "2"), "need folds=NUMBER"),
        (("--folds", "3", "--fractions", "0.8,0.1,0.1"), "fractions cannot be combined with folds"),
        (("--fractions", "0.8,0.3,0.1"), "write the shares of train, valid and test"),
        (("--split", "random", "--folds", "60"), "60 folds need as many groups"),
    ],
)
def test_what_makes_no_folds(words, message, taglm, run_file, tmp_path):
    """Each mistake is named before anything is trained, and leaves nothing behind."""
    done = taglm("run", run_file, "--out", tmp_path / "run", *words)
    assert done.code == 1
    assert message in done.err
    assert not (tmp_path / "run").exists()
