"""Rows that lack some of several targets: masked in losses, heads, scaling, metrics and files."""

import csv
import json

import numpy as np
import pytest
import torch

from taglm_core.inference.scores import known_rows, score
from taglm_core.model.targets import Scaling
from taglm_core.plugins.resolved import resolve_task
from taglm_core.progress import Silent
from taglm_core.specs import Classification, Regression, Task
from taglm_core.store.artifact import load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training.build import build_task_model, untrained_model
from taglm_core.training.objectives import HeadObjective
from taglm_core.training.plan import make_plans
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config
from taglm_core.training.splits import assemble_splits

FAST = {
    "domain": {"max_steps": 2, "num_evaluations": 1, "tag_length": 3, "batch_size": 8},
    "task": {
        "max_steps": 4,
        "num_evaluations": 2,
        "tag_length": 3,
        "batch_size": 8,
        "fit_rows": 60,
    },
}
TEMPLATE = "The string is <Letters>{letters}. Its values are <Many>"
NUMBERS = {"name": "Many", "template": TEMPLATE, "metrics": ["rmse", "mae"]}


def strings(count=90, seed=0):
    """Return distinct random strings."""
    rng = np.random.default_rng(seed)
    made = {}
    while len(made) < count:
        made["".join(rng.choice(list("abc"), size=rng.integers(3, 12)))] = None
    return list(made)


def write(file, columns, rows):
    """Write a table of the strings, the named columns (row -> cell) and a split."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["letters", *columns, "split"])
        for i, row in enumerate(rows):
            split = "test" if i % 6 == 0 else "valid" if i % 6 == 1 else "train"
            writer.writerow([row, *(make(i, row) for make in columns.values()), split])


def go(task, backbone, registry, folder, file, **stage):
    """Run a task on a file and return plan, metrics and the rows of predictions/test.csv."""
    stages = {**FAST, "task": {**FAST["task"], **stage}}
    base = {"task": task, "backbone": str(backbone), "stages": stages}
    data = {"file": str(file), "split": {"column": "split"}}
    config = run_config("test", {**base, "data": data}, {})
    plans = make_plans(config, registry, TagStore())
    opened = RunFolder(folder)
    opened.open(resolved(config))
    try:
        metrics = execute(plans, opened, TagStore(), Silent())
    finally:
        opened.close()
    with (folder / "predictions" / "test.csv").open() as held:
        return plans[0], metrics["tasks"]["Many"], list(csv.DictReader(held))


GAPS = {
    "share": lambda i, row: row.count("a") / len(row) if i % 5 else "",
    "length": lambda i, row: len(row) if i % 5 not in (1, 2) else "NA",
    "letters_b": lambda i, row: row.count("b") if i % 5 in (0, 3) else "",
}
"""Gaps of 20, 40 and 60 per cent; one fifth of the rows has one target, the others two."""


@pytest.mark.parametrize(
    "stage",
    [
        {},
        {"huber": 0.5},
        {"head": "mlp", "head_options": {"units": 4, "layers": 1}, "fit_epochs": 4},
        {"head_init": "mean_embedding"},
        {"pooling": "all"},
    ],
    ids=["linear", "huber", "mlp", "mean_embedding", "all"],
)
def test_three_properties_with_gaps_use_every_row(stage, toy_registry, toy_backbone, tmp_path):
    """Each row trains and is scored for what it has; the file leaves the truth empty elsewhere."""
    rows = strings()
    file = tmp_path / "gaps.csv"
    write(file, GAPS, rows)
    task = {**NUMBERS, "target": {"kind": "regression", "columns": list(GAPS)}}
    plan, metrics, held = go(task, toy_backbone, toy_registry, tmp_path / "run", file, **stage)
    assert len(plan.rows) == len(rows)
    assert not plan.rows.rejected
    for split in ("train", "valid", "test"):
        known = np.isfinite(plan.rows.targets[plan.rows.of_split(split)])
        found = metrics["splits"][split]
        assert found["target_rows"] == dict(zip(GAPS, known.sum(axis=0).tolist(), strict=True))
        assert found["rows"] == len(known)
        assert all(value is not None for value in found["metrics"].values())
    for name in GAPS:
        pairs = [
            (float(row[f"{name}.measured"]), float(row[f"Many.{name}"]))
            for row in held
            if row[f"{name}.measured"]
        ]
        assert len(pairs) == metrics["splits"]["test"]["target_rows"][name] < len(held)
        rmse = np.sqrt(np.mean([(a - b) ** 2 for a, b in pairs]))
        wanted = metrics["splits"]["test"]["metrics"][f"rmse.{name}"]
        assert rmse == pytest.approx(wanted, rel=1e-4)  # files hold six digits
    artifact = load_artifact(tmp_path / "run" / "predictor")
    held = [*artifact.head.values(), artifact.tag("local/Many")]
    assert all(torch.isfinite(tensor).all() for tensor in held)


def test_labels_with_gaps_use_every_row(toy_registry, toy_backbone, tmp_path):
    """Each row lacks one of three labels; one column says true and false, the others 1 and 0."""
    columns = {
        "a": lambda i, row: int("a" in row[:2]) if i // 6 % 3 else "",
        "b": lambda i, row: ("true" if "b" in row[:2] else "False") if i // 6 % 3 != 1 else "",
        "c": lambda i, row: int("c" in row[:2]) if i // 6 % 3 != 2 else "n/a",
    }
    file = tmp_path / "labels.csv"
    write(file, columns, strings())
    task = {
        "name": "Many",
        "template": TEMPLATE,
        "target": {"kind": "classification", "columns": list(columns), "multi_label": True},
        "metrics": ["auroc", "logloss"],
    }
    plan, metrics, held = go(task, toy_backbone, toy_registry, tmp_path / "run", file)
    assert len(plan.rows) == 90
    assert plan.rows.classes == ("0", "1")
    assert set(np.unique(plan.rows.targets)) == {-1, 0, 1}
    assert (plan.rows.targets == -1).sum() == 90
    own = metrics["splits"]["test"]["target_rows"]
    for name in columns:
        known = [row for row in held if row[f"{name}.measured"] != ""]
        assert len(known) == own[name] == 10
        assert {row[f"{name}.measured"] for row in known} <= {"0", "1"}
    assert np.isfinite([v for v in metrics["splits"]["valid"]["metrics"].values()]).all()


def test_a_row_without_any_target_is_skipped_with_its_reason(toy_registry, toy_backbone, tmp_path):
    """It says nothing about any of them; a cell that is no number is an error all the same."""
    from taglm_core.errors import RowError

    rows = strings(30)
    file = tmp_path / "empty.csv"
    cells = {"p": lambda i, row: "" if i == 4 else i, "q": lambda i, row: "" if i == 4 else "many"}
    write(file, cells, rows)
    task = {**NUMBERS, "target": {"kind": "regression", "columns": ["p", "q"]}}
    with pytest.raises(RowError, match="30 of 30 rows cannot be used"):
        go(task, toy_backbone, toy_registry, tmp_path / "run", file)
    cells["q"] = lambda i, row: "" if i % 2 == 0 else i
    write(file, cells, rows)
    with pytest.raises(RowError, match=r"row 5: all of the columns p, q are empty"):
        go(task, toy_backbone, toy_registry, tmp_path / "run", file)


def test_the_loss_is_that_of_known_targets(toy_registry, toy_backbone, tmp_path):
    """A gap changes neither loss nor gradient of what is known, and every known value counts."""
    file = tmp_path / "gaps.csv"
    write(file, GAPS, strings(30))
    task = {**NUMBERS, "target": {"kind": "regression", "columns": list(GAPS)}}
    data = {"file": str(file), "split": {"column": "split"}}
    base = {"task": task, "backbone": str(toy_backbone), "stages": FAST, "data": data}
    (plan,) = make_plans(run_config("test", base, {}), toy_registry, TagStore())
    model = build_task_model(plan, untrained_model([plan]))
    splits = assemble_splits(plan, model)
    objective = HeadObjective(model, splits["train"], splits["valid"], 1000)
    wanted = objective.head_loss.targets(splits["train"].targets)
    known = ~wanted.isnan()
    outputs = torch.ones(wanted.shape, requires_grad=True)
    loss = objective.head_loss.mean(outputs, wanted)
    assert float(loss.detach()) == pytest.approx(float((1 - wanted[known]).square().mean()))
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert torch.isfinite(gradient).all()
    assert not gradient[~known].any()
    assert gradient[known].all()
    assert objective.weight(np.arange(len(wanted))) == pytest.approx(float(known.sum()) / 3)


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e12])
def test_scaling_at_any_scale(scale):
    """Each target is scaled by its own rows, whatever its unit; the way back is exact."""
    rng = np.random.default_rng(0)
    targets = (rng.standard_normal((50, 2)) + 3) * scale
    targets[::2, 1] = np.nan
    scaling = Scaling.of_targets(targets)
    standard = scaling.standardized(targets)
    for k in range(2):
        own = standard[~standard[:, k].isnan(), k]
        assert float(own.mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(own.std(correction=0)) == pytest.approx(1.0, rel=1e-5)
    back = standard.double() * scaling.std + scaling.mean
    known = np.isfinite(targets)
    assert np.abs(back.numpy()[known] - targets[known]).max() < 1e-6 * scale


def test_a_small_spread_about_a_large_mean_is_not_lost():
    """fp32 holds a mean of 1e9 to 64: the difference must be taken before."""
    targets = 1e9 + np.arange(10.0)[:, None]
    standard = Scaling.of_targets(targets).standardized(targets)
    assert len(np.unique(standard.numpy())) == 10
    constant = Scaling.of_targets(np.full((4, 1), 7.0))
    assert constant.std.tolist() == [1.0]


def test_metrics_of_each_target_on_its_own_rows(toy_registry):
    """A target without rows is undefined and leaves the mean to the others."""
    spec = Task(
        name="Many",
        function_tag="Many",
        template=TEMPLATE,
        target=Regression(names=("p", "q", "r")),
        metrics=("mae",),
    )
    task = resolve_task(spec, "toy", toy_registry)
    truth = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, np.nan]])
    found = score(task, truth, np.zeros((2, 3)))
    assert found["mae.p"] == 1.5
    assert found["mae.q"] == 5.0
    assert np.isnan(found["mae.r"])
    assert found["mae"] == 3.25
    assert known_rows(task, truth) == {"target_rows": {"p": 2, "q": 1, "r": 0}}
    assert known_rows(task, np.ones((2, 3))) == {}
    labels = Task(
        name="L",
        function_tag="Many",
        template=TEMPLATE,
        target=Classification(names=("p", "q"), multi_label=True),
        metrics=("accuracy",),
    )
    found = score(
        resolve_task(labels, "toy", toy_registry),
        np.array([[1, -1], [0, 1]]),
        np.array([[0.9, 0.9], [0.8, 0.9]]),
    )
    assert found == {"accuracy": 0.75, "accuracy.p": 0.5, "accuracy.q": 1.0}


def test_metrics_in_mol_per_litre_keep_their_digits(toy_registry, toy_backbone, tmp_path):
    """Rounded to decimals they would all be 0, in the file and in the log of training."""
    file = tmp_path / "kd.csv"
    write(file, {"kd": lambda i, row: (1 + row.count("a")) * 1e-9}, strings())
    task = {**NUMBERS, "target": {"kind": "regression", "columns": ["kd"], "unit": "mol/L"}}
    _, metrics, held = go(task, toy_backbone, toy_registry, tmp_path / "run", file)
    assert set(metrics["splits"]) == {"train", "valid", "test"}
    for split in metrics["splits"].values():
        assert 1e-12 < split["metrics"]["rmse"] < 1e-8
    history = metrics["stages"][-1]["history"]
    assert len(history) > 1
    assert all(0 < record["rmse"] < 1e-7 for record in history)
    (measured,) = [name for name in held[0] if name.endswith("measured")]
    assert min(float(row[measured]) for row in held) == 2e-9
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written["tasks"]["Many"]["splits"] == metrics["splits"]
