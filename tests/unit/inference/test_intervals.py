"""Prediction intervals from run to file: two targets, one with missing and censored rows."""

import json
import logging

import attrs
import numpy as np
import pytest
from artifacts import kept_predictor
from small_runs import PLAIN, run, write_table

from taglm_core.api import loading
from taglm_core.api.parts import PartsRequest, predict_in_parts
from taglm_core.cli.screen import print_metrics
from taglm_core.data.readers import read_table
from taglm_core.errors import ConfigError, DataError
from taglm_core.inference.engines import opened_engine
from taglm_core.inference.evaluate import evaluate_table
from taglm_core.inference.files import PartOptions
from taglm_core.inference.intervals import (
    coverage_facts,
    coverage_sentences,
    fitted_intervals,
    percent,
    pooled_coverage,
    too_few,
    undercovered,
)
from taglm_core.inference.loading import load_predictor
from taglm_core.inference.together import Predictors
from taglm_core.progress import Silent
from taglm_core.specs import Classification, Regression
from taglm_core.store.artifact import load_artifact

BOTH = {"kind": "regression", "names": ["share", "reply"]}
ADDED = ["T.share_low", "T.share_high", "T.reply_low", "T.reply_high"]


@pytest.fixture(scope="module")
def made(tmp_path_factory, session_registry):
    """Train on two targets; every fifth value of the second is missing, some are limits."""
    from small_runs import saved_backbone

    tmp_path = tmp_path_factory.mktemp("intervals")
    saved_backbone(tmp_path / "tiny", "llama")
    table = write_table(tmp_path)
    rows = [line.split(",") for line in table.read_text().splitlines()]
    for cells in rows[1:]:
        if cells[3] and float(cells[3]) < -0.3:
            cells[3] = "<-0.3"
    table.write_text("\n".join(",".join(cells) for cells in rows) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGLM_HOME", str(tmp_path / "home"))
        return run(tmp_path, session_registry, tmp_path / "tiny", table, BOTH, PLAIN)


def exact_rows(path, target):
    """Return letters, measured values and the rest of the exact rows of a predictions file."""
    held = read_table(path).columns
    is_exact = [
        bool(value) and not side
        for value, side in zip(
            held[f"{target}.measured"], held.get(f"{target}.censored", [""] * 999), strict=False
        )
    ]
    chosen = [i for i, keep in enumerate(is_exact) if keep]
    return [held["letters"][i] for i in chosen], [
        float(held[f"{target}.measured"][i]) for i in chosen
    ]


def test_coverage_in_metrics_is_that_of_predict(made):
    """The run's figures are recounted from the columns of predict, masks and limits aside."""
    test = made.metrics["tasks"]["T"]["splits"]["test"]
    assert set(test["intervals"]) == {"share", "reply"}
    censored = test.get("censored", {}).get("reply", {"below": 0})["below"]
    censored += sum(
        each["censored"]["reply"]["below"]
        for each in made.metrics["tasks"]["T"]["splits"].values()
        if "reply" in each.get("censored", {})
    )
    assert censored  # else nothing is shown of them
    for target, facts in test["intervals"].items():
        valid, _ = exact_rows(made.folder / "predictions" / "valid.csv", target)
        letters, measured = exact_rows(made.folder / "predictions" / "test.csv", target)
        assert (facts["valid_rows"], facts["rows"]) == (len(valid), len(letters))
        assert [entry["level"] for entry in facts["levels"]][:2] == [0.5, 0.55]
        for entry in facts["levels"]:
            held = made.predictor.predict(letters, "dict", interval=entry["level"])
            low, high = held[f"T.{target}_low"], held[f"T.{target}_high"]
            covered = sum(a <= y <= b for a, y, b in zip(low, measured, high, strict=True))
            assert entry["covered"] == covered
            assert entry["coverage"] == covered / len(letters)
            assert entry["width"] == pytest.approx(high[0] - low[0])
    assert "valid" not in [
        s for s, f in made.metrics["tasks"]["T"]["splits"].items() if "intervals" in f
    ]


def test_valid_rows_are_covered_by_rank(made):
    """The interval of the validation rows themselves holds just the rank's number of them."""
    facts = made.metrics["tasks"]["T"]["splits"]["test"]["intervals"]["share"]
    letters, measured = exact_rows(made.folder / "predictions" / "valid.csv", "share")
    held = made.predictor.predict(letters, "dict", interval=0.5)
    inside = [
        low - 1e-5 <= value <= high + 1e-5
        for low, value, high in zip(
            held["T.share_low"], measured, held["T.share_high"], strict=True
        )
    ]
    assert sum(inside) >= np.ceil((facts["valid_rows"] + 1) * 0.5)
    assert sum(inside) < facts["valid_rows"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "xlsx", "parquet"])
def test_files_have_the_columns_where_asked(made, tmp_path, ending):
    """Behind the predictions, empty in an invalid row; without the option files are as before."""
    predictor = made.predictor
    source = tmp_path / "new.csv"
    source.write_text("id,letters\n1,abca\n2,zz\n3,bcb\n")
    plain = tmp_path / f"plain.{ending}"
    predictor.predict(source, plain)
    assert list(read_table(plain).columns) == ["id", "letters", "T.share", "T.reply", "error"]
    out = tmp_path / f"out.{ending}"
    predictor.predict(source, out, interval=0.8, chunk_rows=2)
    held = read_table(out).columns
    assert list(held) == ["id", "letters", "T.share", "T.reply", *ADDED, "error"]
    known = predictor.predict(["abca", "zz", "bcb"], "dict", interval=0.8)
    assert known["T.share_low"][1] is None
    for name in ADDED:
        assert held[name][1] in ("", None)
        for row in (0, 2):
            assert float(held[name][row]) == pytest.approx(known[name][row], rel=1e-5)
    low, value, high = (known[n][0] for n in ("T.share_low", "T.share", "T.share_high"))
    assert low < value < high
    assert value - low == pytest.approx(high - value)


def test_an_input_column_is_not_replaced(made, tmp_path):
    """A file that already has a column of that name is refused as for a prediction."""
    source = tmp_path / "new.csv"
    source.write_text("letters,T.share_low\nabca,1\n")
    made.predictor.predict(source, tmp_path / "fine.csv")
    with pytest.raises(DataError, match="already has the column 'T.share_low'"):
        made.predictor.predict(source, tmp_path / "out.csv", interval=0.9)
    assert not (tmp_path / "out.csv").exists()


def test_in_memory_saved_together_and_in_parts_alike(made, tmp_path, session_registry, monkeypatch):
    """A predictor that was written and read, one of several, and an engine give the same ends."""
    registry = session_registry
    frame = made.predictor.predict(["abca"], interval=0.8)
    assert list(frame.columns) == ["T.share", "T.reply", *ADDED, "error"]
    made.predictor.save(tmp_path / "saved")
    loaded = load_predictor(load_artifact(tmp_path / "saved"), registry)
    pair = Predictors({"T": loaded}, [])
    both = pair.predict({"T": ["abca"]}, "dict", interval=0.8)["T"]
    source = tmp_path / "new.csv"
    source.write_text("letters\nabca\n")
    monkeypatch.setattr(loading, "load_registry", lambda: registry)
    how = PartOptions(
        columns={}, fix=False, on_error="skip", overwrite=False, similarity=True, interval=0.8
    )
    request = PartsRequest(
        run=made.folder, task=None, options={}, source=source, output=tmp_path / "p.csv", how=how
    )
    with opened_engine("local", registry) as workers:
        predict_in_parts(workers, request, Silent())
        parts = read_table(tmp_path / "p.csv").columns
        asked = attrs.evolve(request, how=attrs.evolve(how, interval=0.999))
        with pytest.raises(ConfigError, match=r"no 99\.9 % interval"):
            predict_in_parts(workers, asked, Silent())
    for name in ADDED:
        assert both[name] == pytest.approx(frame[name].tolist())
        assert float(parts[name][0]) == pytest.approx(frame[name][0], rel=1e-5)
    with pytest.raises(ConfigError, match="'numpy' cannot hold intervals"):
        loaded.predict(["abca"], "numpy", interval=0.8)
    with pytest.raises(ConfigError, match="must be between 0 and 1, not 90"):
        loaded.predict(["abca"], interval=90)


def test_too_few_rows_for_a_level_are_told(made, caplog):
    """No target: one line and no output; one of two: a warning, and its cells stay empty."""
    counts = {r.target: r.rows for r in made.predictor.artifact.task.intervals}
    assert counts["reply"] < counts["share"]
    level = counts["share"] / (counts["share"] + 1)
    with caplog.at_level(logging.WARNING):
        held = made.predictor.predict(["abca"], "dict", interval=level)
    assert held["T.share_low"][0] is not None
    assert (held["T.reply_low"], held["T.reply_high"]) == ([None], [None])
    (told,) = [r.message for r in caplog.records if "interval" in r.message]
    assert told == (
        f"reply: no {100 * level:.10g} % interval: it needs {counts['share']} exact validation "
        f"rows and has {counts['reply']}"
    )
    with pytest.raises(
        ConfigError, match=r"task T: no 99\.9 % interval: it needs 999 exact validation"
    ):
        made.predictor.predict(["abca"], interval=0.999)


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.9, "90 %"), (0.8754, "87.5 %"), (1, "100 %"), (0.99996, "99.996 %"), (2e-5, "0.002 %")],
)
def test_a_percentage_is_not_rounded_to_all_or_none(share, shown):
    """A level is shown as it was asked for; a share with one decimal where that is enough."""
    assert percent(share) == shown
    assert too_few(0.9999, 160).startswith("no 99.99 % interval: it needs 9,999 exact")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("censored", "holds no residuals of validation rows"),
        ("classes", "it predicts classification; its classes have probabilities"),
        ("text", "it predicts text"),
    ],
)
def test_predictors_without_residuals_say_so(kind, said, tmp_path, toy_registry, toy_backbone):
    """One made before intervals existed, classes and texts: one line, no traceback."""
    artifact = load_artifact(kept_predictor(kind, tmp_path / kind))
    predictor = load_predictor(artifact, toy_registry, str(toy_backbone), device="cpu")
    with pytest.raises(ConfigError, match=said) as error:
        predictor.predict(["abca"], interval=0.9)
    assert "\n" not in str(error.value)


def test_labeled_rows_are_counted_and_shown(made, capsys):
    """`taglm evaluate` and the card name the coverage."""
    table = read_table(made.folder / "predictions" / "test.csv")
    table.columns["share"] = table.columns.pop("share.measured")
    table.columns["reply"] = table.columns.pop("reply.measured")
    scored = evaluate_table(made.predictor, table, {}, "skip")
    facts = scored.metrics["tasks"]["T"]["splits"]["input"]["intervals"]["share"]
    own = made.metrics["tasks"]["T"]["splits"]["test"]["intervals"]["share"]
    assert facts == own
    print_metrics(made.metrics)
    line = f"share: 90 % intervals contain {100 * own['levels'][8]['coverage']:.1f} %"
    line = line.replace(".0 %", " %") + f" of {own['rows']} test rows"
    assert line in capsys.readouterr().out
    card = (made.folder / "predictor" / "README.md").read_text()
    assert line in card
    config = json.loads((made.folder / "predictor" / "config.json").read_text())
    assert [each["target"] for each in config["task"]["intervals"]] == ["share", "reply"]


def test_rows_at_a_limit_of_all_rows_are_left_out():
    """`censored_below`: a value at the limit is at most that, so its residual is unknown."""
    target = Regression(names=("pKd",), censored_below=5.0)
    truth = np.array([[5.0]] * 30 + [[6.0 + k] for k in range(9)])
    intervals = fitted_intervals(target, truth, np.full_like(truth, 6.0))
    assert intervals.records[0].rows == 9
    assert intervals.half_widths(0.9).tolist() == [8.0]
    facts = coverage_facts(intervals, target, truth, np.full_like(truth, 6.0))
    assert facts["intervals"]["pKd"]["rows"] == 9
    classes = Classification(names=("kind",))
    assert fitted_intervals(classes, np.zeros(3), np.zeros((3, 2))) is None


def facts_of(covered, rows, valid_rows=99):
    """Return what metrics.json says of a split so many rows of which lie in the intervals."""
    entry = {"level": 0.9, "covered": covered, "coverage": covered / rows, "width": 0.31}
    return {"intervals": {"y": {"valid_rows": valid_rows, "rows": rows, "levels": [entry]}}}


def test_a_warning_is_for_what_chance_does_not_explain():
    """The chance counts that the validation rows are few too: 8 of 9 says little, 999 much."""
    said = undercovered("T", facts_of(200, 286, 999))
    assert said.startswith("the 90 % intervals of T contain only 69.9 % of 286 test rows, fewer")
    assert undercovered("T", facts_of(250, 286, 999)) is None
    assert undercovered("T", facts_of(200, 286, 9)) is None
    assert undercovered("T", {}) is None
    assert undercovered("T", facts_of(280, 286)) is None


def test_false_alarms_are_as_rare_as_said():
    """With exchangeable rows at most one run in a hundred is warned."""
    rng = np.random.default_rng(3)
    target, warned = Regression(names=("y",)), 0
    for _ in range(600):
        residuals = rng.normal(size=(60 + 80, 1))
        intervals = fitted_intervals(target, residuals[:60], np.zeros((60, 1)))
        facts = coverage_facts(intervals, target, residuals[60:], np.zeros((80, 1)))
        warned += undercovered("T", facts) is not None
    assert warned <= 0.01 * 600 + 3 * np.sqrt(6)


def test_runs_of_several_are_pooled():
    """Covered rows are added, widths averaged; sentences follow."""
    pooled = pooled_coverage([facts_of(80, 100)["intervals"], facts_of(95, 100)["intervals"]])
    assert pooled["y"]["rows"] == 200
    assert coverage_sentences({"intervals": pooled}, unit="pKd") == [
        "90 % intervals contain 87.5 % of 200 test rows; width 0.31 pKd"
    ]
    few = {"y": {"valid_rows": 5, "rows": 20, "levels": []}}
    assert coverage_sentences({"intervals": few}) == [
        "no 90 % interval: it needs 9 exact validation rows and has 5"
    ]
