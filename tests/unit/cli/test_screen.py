"""Tables on screen: names as they are, numbers whole."""

import logging
import re

import pytest

from taglm_core.cli import screen


@pytest.fixture
def narrow(monkeypatch):
    """Set the screen to 80 columns."""
    monkeypatch.setattr(screen.results, "width", 80)
    monkeypatch.setattr(screen.results, "_width", 80)


def metrics(targets, names=("mae", "rmse", "r2", "pearson", "spearman")):
    """Return metrics of several targets with numbers of many digits."""
    keys = [f"{name}{dot}" for name in names for dot in ["", *(f".{t}" for t in targets)]]
    values = {key: 1.23456789e-7 * (i + 1) for i, key in enumerate(keys)}
    splits = {
        split: {"rows": 12345, "metrics": values, "baselines": {"ridge [2]": values}}
        for split in ("train", "valid", "test")
    }
    return {"tasks": {"Many": {"split": "random", "splits": splits}}}


def test_several_targets_are_lines_and_no_number_is_broken(narrow, capsys):
    """Eight targets and five metrics are forty numbers for each predictor."""
    targets = [f"target_{i}" for i in range(8)]
    found = metrics(targets)
    screen.print_metrics(found)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    values = found["tasks"]["Many"]["splits"]["test"]["metrics"]
    for value in values.values():
        assert len(re.findall(rf"(?<!\S){re.escape(f'{value:.4g}')}(?!\S)", out)) == 6
    for target in [*targets, "mean"]:
        assert target in out


def test_one_target_stays_one_line_a_predictor(narrow, capsys):
    """A plain task is printed as before."""
    screen.print_metrics(metrics([], ("mae", "rmse", "r2")))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["split", "predictor", "rows", "mae", "rmse", "r2"]
    assert len(lines) == 8


def test_seconds_stand_beside_the_scores(narrow, capsys):
    """The time of a predictor is that of its stages, or of its fit and the features it reads."""
    found = metrics([], ("mae",))
    found["tasks"]["Many"] |= {
        "baselines": {"ridge [2]": {"fit_seconds": 1.5, "feature_seconds": 2.25}},
        "stages": [{"stage": 1, "seconds": 10.0}, {"stage": 2, "seconds": 20.5}],
    }
    screen.print_metrics(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[-1] == "seconds"
    assert [line.split()[-1] for line in lines[2:4]] == ["30.5", "3.75"]


def test_memory_stands_beside_the_seconds(narrow, capsys):
    """The largest memory of all stages, and of a baseline; a predictor without has none."""
    found = metrics([], ("mae",))
    found["tasks"]["Many"] |= {
        "baselines": {"ridge [2]": {"fit_seconds": 1.5, "peak_bytes": 750_000_000}},
        "stages": [
            {"stage": 1, "seconds": 10.0},
            {"stage": 2, "seconds": 20.5, "peak_bytes": 1_200_000_000},
        ],
    }
    screen.print_metrics(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[-2:] == ["seconds", "MB"]
    assert [line.split()[-1] for line in lines[2:4]] == ["1,200", "750"]


def test_a_table_too_wide_goes_on_below_with_its_leading_column(narrow, capsys):
    """Fourteen numbers a row do not fit."""
    columns = ["direction", *(f"metric{i}" for i in range(14))]
    screen.print_table(columns, [["en to fr", *[123456.0] * 14]])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["direction", "en"] * 2
    assert "".join(lines).count("123456") == 14
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", [":Flags:", ":smile: x", "[bold]x[/bold]", "[/x]", "a\\[b"])
def test_names_are_printed_as_they_are(name, narrow, capsys):
    """Neither emoji codes nor markup have a meaning in what users and plugins name."""
    screen.print_table([name, "n"], [[name, 1]], title=name)
    screen.results.print(f"FAILED task:{name}")
    screen.errors.print(name)
    captured = capsys.readouterr()
    assert captured.out.count(name) == 4
    assert captured.err == f"{name}\n"


def test_a_warning_begins_with_its_level(monkeypatch, capsys):
    """All warnings look alike, whatever part of the program they come from; remarks are plain."""
    root = logging.getLogger()
    level = root.level
    monkeypatch.setattr(root, "handlers", [])
    try:
        screen.set_up_logging(False)
        logging.getLogger("taglm_core.data").warning("lab.csv: %d rows skipped", 2)
        logging.getLogger("taglm_core.data").info("reading lab.csv")
        logging.getLogger("taglm_serve").error("the prediction failed")
    finally:
        root.setLevel(level)
    expected = [
        "warning: lab.csv: 2 rows skipped",
        "reading lab.csv",
        "error: the prediction failed",
    ]
    assert capsys.readouterr().err.splitlines() == expected


def test_three_targets_with_gaps_fit_80_columns(narrow, capsys):
    """A line for each target with its own rows; what training took stands there once."""
    names, values = ("A", "B", "C"), ("rmse", "mae", "r2", "pearson", "spearman")
    scores = {f"{m}{t}": -0.00123456 for m in values for t in ("", *(f".{n}" for n in names))}
    counts = dict(zip(names, (40, 30, 20), strict=True))
    split = {"rows": 50, "metrics": scores, "target_rows": counts, "baselines": {"ridge": scores}}
    task = {
        "target": {"kind": "regression", "names": list(names), "unit": ""},
        "metric": {"name": "rmse", "greater_is_better": False},
        "split": "random",
        "splits": {name: split for name in ("train", "valid", "test")},
        "baselines": {"ridge": {"fit_seconds": 1.5, "peak_bytes": 750_000_000}},
        "stages": [{"stage": 2, "seconds": 20.5, "peak_bytes": 1_200_000_000}],
    }
    screen.print_metrics({"tasks": {"Many": task}})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    words = [line.split() for line in lines]
    assert [w[3] for w in words if w[:2] == ["test", "taglm"]][:4] == ["50", "40", "30", "20"]
    with_seconds = [line for line in words if line[-1] in ("1,200", "750")]
    assert [line[:3] for line in with_seconds] == [
        ["test", "taglm", "mean"],
        ["test", "ridge", "mean"],
    ]
    assert not [line for line in words if line[-1] in ("mean", *names)], "a line without a value"


def test_censored_rows_are_counted_below_the_table(narrow, capsys):
    """Since the metrics leave them out."""
    found = metrics([], ("mae",))
    counts = {"below": 2, "above": 0, "predicted_beyond": 1}
    found["tasks"]["Many"]["splits"]["test"] |= {"censored": {"LogS": counts}}
    screen.print_metrics(found)
    said = "test, LogS: 2 below a limit, not in the metrics; 1 of them predicted beyond it"
    assert said in capsys.readouterr().out


def test_rows_that_are_scored_are_counted(narrow, capsys):
    """Of many training rows some are scored: the table counts these and the line below says so."""
    found = metrics([], ("mae",))
    found["tasks"]["Many"]["splits"]["train"] = {
        "rows": 2448,
        "rows_scored": 1000,
        "metrics": {"mae": 0.25},
    }
    screen.print_metrics(found)
    out = capsys.readouterr().out
    assert ["train", "taglm", "1,000", "0.25"] in [line.split()[:4] for line in out.splitlines()]
    assert "train: taglm is scored on 1,000 of 2,448 rows" in out
    assert "test: taglm is scored" not in out


def test_truth_values_are_words(capsys):
    """A person does not read True as the number 1."""
    screen.print_table(["row", "unlike_training"], [["CCO", False], ["CCN", True]])
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["CCO", "no"],
        ["CCN", "yes"],
    ]
