"""Tasks whose fields change places: both orders are trained, predictions do not depend on one."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

import taglm_core as taglm
from taglm_core.data.assignment import apply_splitter
from taglm_core.data.table import Table
from taglm_core.errors import ConfigError
from taglm_core.inference.loading import load_predictor
from taglm_core.plugins.resolved import resolve_task
from taglm_core.progress import Silent
from taglm_core.store.artifact import load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training.build import build_task_model, untrained_model
from taglm_core.training.plan import make_plan
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config
from taglm_core.training.splits import assemble_splits

TEMPLATE = "<Letters>{one} in {here} and <Letters>{two} in {there}, {place}: <Sum>"
FAST = {
    "domain": {"max_steps": 2, "num_evaluations": 1, "tag_length": 3, "size": 40},
    "task": {
        "max_steps": 4,
        "num_evaluations": 2,
        "tag_length": 3,
        "batch_size": 8,
        "rows": 30,
        "head": "linear",
    },
}


@pytest.fixture
def pairs_csv(tmp_path):
    """Write sixty pairs of strings with a symmetric target."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        one, two = ("".join(rng.choice(list("abc"), size=5)) for _ in range(2))
        place = "north" if number % 2 else "south"
        rows.append([one, "x", two, "yy", place, one.count("a") + two.count("a")])
    file = tmp_path / "pairs.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([["one", "here", "two", "there", "place", "Y"], *rows])
    return file


def settings(pairs_csv, backbone, **task):
    """Return settings of a symmetric task declared in a run file."""
    declared = {
        "name": "Sum",
        "template": TEMPLATE,
        "target": {"kind": "regression", "columns": ["Y"]},
        "symmetric": {"one": "two", "here": "there"},
        "metrics": ["mae", "r2"],
    }
    return run_config(
        "test",
        {
            "task": declared | task,
            "data": {"file": str(pairs_csv), "split": {"method": "random"}},
            "backbone": str(backbone),
            "stages": FAST,
        },
    )


def test_training_and_validation_hold_both_orders(pairs_csv, toy_registry, toy_backbone):
    """Each drawn row comes twice, the second time with its fields changed about, same target."""
    config = settings(pairs_csv, toy_backbone)
    plan = make_plan(config, toy_registry, TagStore())
    task_model = build_task_model(plan, untrained_model([plan]))
    splits = assemble_splits(plan, task_model)
    assert len(splits["train"].rows) == 60
    assert len(splits["valid"].rows) == 2 * len(plan.rows.of_split("valid"))
    assert len(splits["test"].rows) == len(plan.rows.of_split("test"))
    held = splits["train"]
    np.testing.assert_array_equal(held.targets[:30], held.targets[30:])
    assert any(
        not np.array_equal(first, second)
        for first, second in zip(held.rows.ids[:30], held.rows.ids[30:], strict=True)
    )
    swapped = task_model.assemble(task_model.task.orders(plan.rows.fields)[1])
    assert [len(row) for row in swapped.ids] == [
        len(row) for row in task_model.assemble(plan.rows.fields).ids
    ]


def test_predictions_do_not_depend_on_the_order(pairs_csv, toy_registry, toy_backbone, tmp_path):
    """Run, artifact and evaluation average both orders; one order alone differs."""
    config = settings(pairs_csv, toy_backbone)
    store = TagStore()
    plan = make_plan(config, toy_registry, store)
    folder = RunFolder(tmp_path / "run")
    folder.open(resolved(config))
    execute([plan], folder, store, Silent())
    folder.close()
    predictor = load_predictor(load_artifact(tmp_path / "run" / "predictor"), toy_registry)
    table = {
        "one": ["abcab", "aaaa"],
        "two": ["bbbb", "cab"],
        "here": ["x", "x"],
        "there": ["yy", "yy"],
        "place": ["north", "south"],
    }
    other = table | {
        "one": table["two"],
        "two": table["one"],
        "here": ["yy", "yy"],
        "there": ["x", "x"],
    }
    values = [
        predictor.predict_table(Table(columns=columns, rows=[1, 2], source="x")).values
        for columns in (table, other)
    ]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)
    model = predictor.task_model
    alone = [model.predict(model.assemble(columns)) for columns in (table, other)]
    np.testing.assert_allclose((alone[0] + alone[1]) / 2, values[0], atol=1e-5)
    assert np.abs(alone[0] - alone[1]).max() > 1e-4
    written = list(csv.DictReader((tmp_path / "run" / "predictions" / "test.csv").open()))
    assert {"one", "two", "here", "place", "Sum"} <= set(written[0])
    columns = {name: [row[name] for row in written] for name in table}
    again = predictor.predict_table(
        Table(columns=columns, rows=list(range(len(written))), source="x")
    )
    np.testing.assert_allclose(
        [float(row["Sum"]) for row in written], again.columns["Sum"], atol=1e-4
    )


def resolve(registry, **changes):
    """Resolve a symmetric task."""
    values = {
        "name": "Sum",
        "function_tag": "Sum",
        "template": TEMPLATE,
        "target": taglm.Regression(names=("Y",)),
        "symmetric": {"one": "two", "here": "there"},
    }
    return resolve_task(taglm.Task(**values | changes), "toy", registry)


def test_a_pair_that_cannot_change_places_is_refused(toy_registry):
    """A span and a word field, a field twice, text output: each says so."""
    with pytest.raises(ConfigError, match="one and place cannot change places.*<Letters>.*words"):
        resolve(toy_registry, symmetric={"one": "place"})
    with pytest.raises(ConfigError, match="names a field twice"):
        resolve(toy_registry, symmetric=(("one", "two"), ("two", "place")))
    with pytest.raises(ConfigError, match="not text"):
        resolve(toy_registry, target=taglm.Text())
    with pytest.raises(ConfigError, match="pairs of two different fields"):
        resolve(toy_registry, symmetric=(("one", "one"),))


def test_a_prompt_without_the_names_swaps_what_it_has(toy_registry):
    """Pairs of which a template holds neither field do not matter."""
    task = resolve(toy_registry, template="<Letters>{one} and <Letters>{two}: <Sum>")
    assert task.symmetric == (("one", "two"),)
    assert task.orders({"one": ["a"], "two": ["b"]})[1] == {"one": ["b"], "two": ["a"]}


def test_splits_see_a_pair_and_its_mirror_as_one(toy_registry):
    """Random keeps a pair together in either order; row looks at the words as well."""
    task = resolve(toy_registry)
    words = ["".join(p) for p in zip("aabbcc" * 10, "abcabc" * 10, "abc" * 20, strict=True)]
    one, two = [f"a{w}{i % 7}" for i, w in enumerate(words)], [f"b{w}" for w in words]
    fields = {
        "one": one + two,
        "two": two + one,
        "here": ["x"] * 120,
        "there": ["x"] * 120,
        "place": ["north"] * 60 + ["south"] * 60,
    }
    splits = apply_splitter(toy_registry.splitters.get("random"), fields, task, 0)
    assert splits[:60] == splits[60:]
    assert set(splits) == {"train", "valid", "test"}
    by_row = apply_splitter(toy_registry.splitters.get("row"), fields, task, 0)
    assert by_row[:60] != by_row[60:]


def test_alone_a_task_has_one_order(toy_registry):
    """Nothing changes for tasks that are not symmetric."""
    task = resolve(toy_registry, symmetric=())
    fields = SimpleNamespace(given={"one": ["a"], "two": ["b"]})
    assert task.orders(fields.given) == [fields.given]
