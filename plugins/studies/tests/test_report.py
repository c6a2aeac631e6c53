"""Tests of reports: intervals, figures, pages of runs that are written by hand."""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from taglm_core.errors import CheckpointError, ConfigError
from taglm_core.plugin import load_registry
from taglm_studies.report import figures, sections
from taglm_studies.report.bootstrap import OWN, Resampler, difference, intervals, metric_functions
from taglm_studies.report.choices import choice
from taglm_studies.report.facts import RunFacts, TaskFacts
from taglm_studies.report.page import write_report
from taglm_studies.report.rank import best_and_worst, row_errors

METRICS = {"regression": ["rmse", "mae", "r2", "pearson"], "classification": ["auroc", "accuracy"]}


@pytest.fixture(scope="module")
def registry():
    """Return the core's registrations and those of the studies."""
    return load_registry(only=("studies",))


def make_run(folder, kind, rows=40, name="T", error=1.0, classes=("no", "yes"), group=False):
    """Write the files of a finished run: a task of numbers, classes or texts."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=rows)
    table = {"row": list(range(1, rows + 1)), "letters": ["ab" * (1 + i % 9) for i in range(rows)]}
    table["lab"] = ["north" if i % 2 else "south" for i in range(rows)]
    other = {"row": table["row"]}
    scores = {metric: 0.5 for metric in METRICS.get(kind, ["chrf"])}
    target = {"kind": kind, "labels": "measured"}
    if kind == "regression":
        target |= {"names": ["y"], "unit": "mol"}
        made = truth + error * rng.normal(size=rows)
        table |= {"y.measured": truth, name: made, f"{name}.residual": truth - made}
        other["ridge"] = truth + 5 * rng.normal(size=rows)
    elif kind == "classification":
        target |= {"names": ["y"], "classes": list(classes)}
        index = rng.integers(0, len(classes), rows)
        odds = rng.dirichlet(np.ones(len(classes)), rows) + np.eye(len(classes))[index]
        odds /= odds.sum(axis=1, keepdims=True)
        table["measured"] = [classes[k] for k in index]
        table[name] = [classes[k] for k in odds.argmax(axis=1)]
        table |= {f"{name}.{label}": odds[:, k] for k, label in enumerate(classes)}
    else:
        table |= {"measured": ["a <b>"] * rows, name: ["a & c"] * rows}
    test = {"rows": rows, "metrics": scores}
    if kind == "regression":
        test["baselines"] = {"ridge": scores}
    if group:
        pairs = [("en", "fr", True), ("fr", "en", False)]
        test["groups"] = [
            {"tags": {"from": a, "to": b}, "trained": seen, "rows": 2, "metrics": scores}
            for a, b, seen in pairs
        ]
    history = [{"step": 0, **scores}, {"step": 5, **scores}]
    stage = {"stage": 2, "tag": "T", "trained": {"<T>": 8}, "steps": 5, "seconds": 1.0}
    first = next(iter(scores))
    record = {
        "target": target,
        "metric": {"name": first, "greater_is_better": first in ("auroc", "chrf")},
        "source": "rows.csv",
        "split": "random",
        "rows_skipped": 1,
        "splits": {"test": test},
        "stages": [{**stage, "history": history}],
    }
    (folder / "predictions").mkdir(parents=True)
    for file, columns in (("test.csv", table), ("test.baselines.csv", other)):
        with (folder / "predictions" / file).open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    (folder / "run.yaml").write_text("task: {name: T}\n")
    metrics = {"backbone": {"name": "tiny"}, "seed": 0, "tasks": {name: record}, "warnings": []}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def facts(folder):
    """Return the only task of a run."""
    (task,) = RunFacts.read(folder).tasks.values()
    return task


def test_intervals_hold_the_value_and_differences_are_paired(tmp_path, registry):
    """A small error beats a large one beyond chance; the metric lies in its own interval."""
    task = facts(make_run(tmp_path / "run", "regression", 200))
    found = intervals(task, registry)
    own = found.metrics[OWN, "rmse"]
    assert own.low < own.value < own.high
    truth, made = np.asarray(task.truth()), np.asarray(task.predicted())
    assert own.value == pytest.approx(np.sqrt(((truth - made) ** 2).mean()))
    assert found.differences["ridge"].high < 0
    assert found.differences["ridge"].excludes_zero


def test_the_cost_names_a_tag_that_stays_untrained(tmp_path, registry):
    """It took no step, so that the other numbers of its line say little."""
    folder = make_run(tmp_path / "run", "regression")
    metrics = json.loads((folder / "metrics.json").read_text())
    (stage,) = metrics["tasks"]["T"]["stages"]
    assert "stage 2 <T>" in [row[1] for row in sections.cost(RunFacts.read(folder)).tables[0].rows]
    stage |= {"steps": 0, "trained": {}, "head_choice": {"T": {"tag": "untrained"}}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    row = sections.cost(RunFacts.read(folder)).tables[0].rows[0]
    assert row[1:4] == ["stage 2 <T> (the tag stays untrained)", 0, 0]


KERNEL = {
    "chosen": "kernel with descriptors of smiles",
    "mean_squared_errors": {
        "linear": {"valid": 0.0907, "cross_validated": 0.1048},
        "kernel with descriptors of smiles": {"valid": 0.0644, "cross_validated": None},
    },
    "points": 1800,
    "trees": {"count": 300, "share": 0.15},
    "tag": "untrained",
    "states": {"without_states": 0.0704, "with_states": 0.0644, "standard_error": 0.0049},
}


@pytest.mark.parametrize(
    ("facts", "notes", "rows"),
    [
        (
            KERNEL,
            [
                "The head is a kernel regression on the hidden states and on descriptors of "
                "smiles, with 1,800 training rows; 15% of each prediction is that of boosted "
                "trees on descriptors of smiles.",
                "The function tag is not trained: on the valid split a head with its states is "
                "not surely better than the features alone; squared errors without and with "
                "states: 0.0704 and 0.0644, standard error of the difference 0.0049.",
            ],
            [["linear", 0.0907, 0.1048], ["kernel with descriptors of smiles", 0.0644, None]],
        ),
        (
            {
                "chosen": "linear",
                "mean_squared_errors": {},
                "tag": "trained",
                "training": {"untrained": 0.2, "trained": 0.1, "standard_error": 0.01},
            },
            [
                "The head is a linear map of the hidden states.",
                "The function tag is trained, since that pays on the valid split; squared errors "
                "on the valid split untrained and trained: 0.2000 and 0.1000, standard error of "
                "the difference 0.0100.",
            ],
            None,
        ),
        (
            {
                "chosen": "states, features of smiles",
                "valid_losses": {"states": 0.37},
                "others": [{"chosen": "kernel"}, {}],
            },
            [
                "Of 3 members, whose mean predicts, the first: The head reads states, features of "
                "smiles.",
                "Member 2: The head is a kernel regression on the hidden states.",
            ],
            [["states", 0.37]],
        ),
        ({}, [], None),
    ],
)
def test_the_choice_of_head_and_tag_is_said(tmp_path, registry, facts, notes, rows):
    """In words, with the numbers that decided."""
    folder = make_run(tmp_path / "run", "regression")
    metrics = json.loads((folder / "metrics.json").read_text())
    (stage,) = metrics["tasks"]["T"]["stages"]
    stage["head_choice"] = {"T": facts}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (task,) = RunFacts.read(folder).tasks.values()
    section = choice(task)
    assert section.notes == notes
    assert [table.rows for table in section.tables] == ([] if rows is None else [rows])
    page = write_report([folder], folder / "report.html", registry).read_text()
    assert ("What predicts" in page) == bool(notes)


def test_the_coverage_of_prediction_intervals_is_said_and_drawn(tmp_path, registry):
    """A sentence in the results, and a figure whose alternative text holds the figures."""
    folder = make_run(tmp_path / "run", "regression")
    metrics = json.loads((folder / "metrics.json").read_text())
    levels = [
        {"level": level, "covered": covered, "coverage": covered / 40, "width": 2 * level}
        for level, covered in ((0.5, 18), (0.7, 26), (0.9, 35))
    ]
    test = metrics["tasks"]["T"]["splits"]["test"]
    test["intervals"] = {"y": {"valid_rows": 30, "rows": 40, "levels": levels}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    page = write_report([folder], folder / "report.html", registry).read_text()
    assert "90 % intervals contain 87.5 % of 40 test rows; width 1.8 mol" in page
    said = "Test rows inside their prediction intervals; y: 45% at 50%, 88% at 90% of 40 test rows."
    assert page.count(said) == 2  # below the figure, and for those who do not see it
    few = {"y": {"valid_rows": 5, "rows": 40, "levels": []}}
    test["intervals"] = few
    (folder / "metrics.json").write_text(json.dumps(metrics))
    page = write_report([folder], folder / "report.html", registry).read_text()
    assert "no 90 % interval: it needs 9 exact validation rows and has 5" in page
    assert "inside their prediction intervals" not in page


def test_a_constant_has_no_correlation(tmp_path, registry):
    """A baseline that predicts the mean has none in any draw, and no warning is printed."""
    task = facts(make_run(tmp_path / "run", "regression"))
    function = metric_functions(task, registry)["pearson"]
    found = Resampler.of(task).resample("pearson", function, np.zeros((40, 1)))
    assert np.isnan(found).all()


def test_a_prediction_does_not_differ_from_itself(tmp_path, registry):
    """The same rows are drawn for both, so the difference is zero in each resample."""
    task = facts(make_run(tmp_path / "run", "regression"))
    functions = metric_functions(task, registry)
    own = task.predicted()
    found = difference(task, own, own, "mae", functions["mae"])
    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "classes"),
    [("regression", ()), ("classification", ("no", "yes")), ("classification", tuple("abcde"))],
)
def test_the_quick_way_gives_what_the_metric_gives(tmp_path, registry, kind, classes):
    """Means and areas are resampled for all draws at once, with the values of the metric."""
    task = facts(make_run(tmp_path / "run", kind, classes=classes))
    sampler = Resampler.of(task)
    for name, function in metric_functions(task, registry).items():
        quick = sampler.resample(name, function, task.predicted())
        plain = [sampler.score(function, task.predicted(), rows) for rows in sampler.drawn[:20]]
        np.testing.assert_allclose(quick[:20], plain, rtol=1e-9, atol=1e-12)


def test_limits_are_no_truth(tmp_path, registry):
    """A row whose value is a limit, such as <5, counts in no metric and no ranking."""
    folder = make_run(tmp_path / "run", "regression", 30)
    file = folder / "predictions" / "test.csv"
    header, *rows = file.read_text().splitlines()
    rows = [f"{row},{'<' if i < 10 else ''}" for i, row in enumerate(rows)]
    file.write_text("\n".join([f"{header},y.censored", *rows]) + "\n")
    task = facts(folder)
    errors = row_errors(task)
    assert np.isnan(errors[:10]).all()
    found = intervals(task, registry).metrics[OWN, "mae"]
    assert found.value == pytest.approx(errors[10:].mean())


def test_rows_are_ranked_by_their_error(tmp_path):
    """Worst rows first; no row is both best and worst."""
    task = facts(make_run(tmp_path / "run", "classification", 5))
    chosen = best_and_worst(task)
    errors = row_errors(task)
    assert [kind for _, kind in chosen] == ["worst"] * 5
    assert errors[chosen[0][0]] == max(errors)
    assert len({i for i, _ in chosen}) == len(chosen)


WANTED = {
    "regression": ["Predicted against true y", "Residuals of y", "validation rmse"],
    "classification": ["ROC curve", "Precision and recall", "Calibration", "Confusion"],
    "text": ["of each direction", "validation chrf"],
}


@pytest.mark.parametrize("kind", list(WANTED))
def test_a_page_stands_alone(tmp_path, registry, kind):
    """No script, no request; every figure is there, has a text for those who do not see it."""
    folder = make_run(tmp_path / "run", kind, group=kind == "text")
    page = write_report([folder], folder / "report.html", registry).read_text()
    assert len(page) < 3e6
    outside = r"<script|<link|<img|<iframe|https?://(?!www\.w3\.org)|url\(|@import"
    assert not re.search(outside, page)
    for wanted in WANTED[kind]:
        assert wanted in page
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) >= 2
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        assert root.get("aria-label")
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors
    assert anchors == {name for name in anchors if f'id="{name}"' in page}
    if kind != "text":
        assert "By lab" in page  # a column of few values


def test_text_of_users_is_escaped(tmp_path, registry):
    """Words of a file are words, not markup."""
    folder = make_run(tmp_path / "run", "text")
    page = write_report([folder], folder / "report.html", registry).read_text()
    assert "a &lt;b&gt;" in page
    assert "a <b>" not in page


def test_many_classes_and_no_test_rows_are_drawn(tmp_path, registry):
    """Thirty classes make one page, and so does a run without test rows."""
    names = tuple(f"class {k}" for k in range(30))
    folder = make_run(tmp_path / "many", "classification", 200, classes=names)
    assert "Confusion" in write_report([folder], folder / "report.html", registry).read_text()
    folder = make_run(tmp_path / "none", "regression", 0)
    assert "Data" in write_report([folder], folder / "report.html", registry).read_text()


def test_runs_stand_side_by_side(tmp_path, registry):
    """The second run is held against the first on the same rows."""
    first = make_run(tmp_path / "good", "regression", error=0.1)
    second = make_run(tmp_path / "bad", "regression", error=3.0)
    third = make_run(tmp_path / "other", "regression", rows=20)
    page = write_report([first, second, third], tmp_path / "both.html", registry).read_text()
    assert "difference to good (95 %)" in page
    assert re.search(r"rmse \+[\d.]+ \([\d.]+ to [\d.]+\)<", page)
    assert "other test rows" in page


def test_unfinished_runs_are_named(tmp_path, registry):
    """A folder without results is an error, and nothing is written."""
    (tmp_path / "run").mkdir()
    for reason in (r"is not a run folder: run.yaml is missing", "holds no results"):
        with pytest.raises(ConfigError, match=reason):
            write_report([tmp_path / "run"], tmp_path / "report.html", registry)
        (tmp_path / "run" / "run.yaml").write_text("task: {}\n")
    assert not (tmp_path / "report.html").exists()


def test_what_is_no_run_is_named(tmp_path, registry):
    """A study, a member of one, a predictor, a file, and nothing."""
    run = make_run(tmp_path / "study" / "run", "regression")
    (run / "predictor").mkdir()
    (tmp_path / "study" / "study.yaml").write_text("kind: sweep")
    (tmp_path / "member").mkdir()
    make_run(tmp_path / "member" / "run", "regression")
    for path, reason in (
        (tmp_path / "study", "it holds a study"),
        (run / "predictor", f"Did you mean '{run}'"),
        (tmp_path / "member", f"Did you mean '{tmp_path / 'member' / 'run'}'"),
        (run / "run.yaml", "it is a file"),
        (tmp_path / "nosuch", "there is nothing there"),
    ):
        with pytest.raises(ConfigError, match=re.escape(reason)):
            write_report([path], tmp_path / "report.html", registry)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("metrics.json", "", "metrics.json is damaged .*Copy"),
        ("metrics.json", "{", "metrics.json is damaged .*Copy"),
        ("metrics.json", "[]", "metrics.json is damaged: it holds no mapping"),
        ("run.yaml", "a: [", "run.yaml is damaged .*Copy"),
        ("predictions/test.csv", None, "test.csv holds 0 rows, but the run scored 40"),
        ("predictions/test.csv", "row,letters,lab,y.measured,T\n", "test.csv holds 0 rows"),
        ("predictions/test.csv", "row,letters\n1,a\n2\n", "test.csv is damaged"),
    ],
)
def test_damaged_files_of_a_run_are_named(tmp_path, registry, name, content, reason):
    """Each with what to do; no page is written."""
    folder = make_run(tmp_path / "run", "regression")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=reason):
        write_report([folder], tmp_path / "report.html", registry)
    assert not (tmp_path / "report.html").exists()


def test_rows_of_other_tables_are_not_paired(tmp_path, registry):
    """Rows of the same numbers with other measured values are other rows."""
    first, second = (make_run(tmp_path / name, "regression") for name in ("one", "two"))
    file = second / "predictions" / "test.csv"
    header, *rows = [line.split(",") for line in file.read_text().splitlines()]
    place = header.index("y.measured")
    for row in rows:
        row[place] = str(float(row[place]) + 1)
    file.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    assert not facts(first).has_rows_of(facts(second))
    assert facts(first).has_rows_of(facts(first))
    page = write_report([first, second], tmp_path / "both.html", registry).read_text()
    assert "other test rows" in page


def test_directions_become_a_matrix(tmp_path):
    """Rows are sources, columns targets; a pair that is not there is blank."""
    task = facts(make_run(tmp_path / "run", "text", group=True))
    (figure,) = figures.of_directions(task)
    assert "1 of 2 directions were never trained" in figure.caption
    assert figure.svg.count("<rect") == 2
    assert isinstance(task, TaskFacts)


def test_the_key_of_a_scatter_plot_hides_no_row():
    """Rows lie along the rising diagonal, so that its name stands at the upper left."""
    values = np.linspace(0.0, 1.0, 30)
    drawn = figures._parity("y", "", values, values).svg
    (key,) = re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', drawn)
    left, top, width, height = map(int, key)
    rows = re.findall(r"M([\d.]+) ([\d.]+)h0", drawn)
    assert len(rows) == 30
    assert not [
        (x, y)
        for x, y in ((float(a), float(b)) for a, b in rows)
        if left <= x <= left + width and top <= y <= top + height
    ]
