"""Several tasks in one run: shared domain tags, a shared function tag, a frozen one reused."""

import json

import pytest
import torch

from taglm_core.data.table import Table
from taglm_core.errors import CheckpointError, ConfigError
from taglm_core.inference.loading import load_predictor
from taglm_core.progress import Silent
from taglm_core.store.artifact import find_artifact, load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training.plan import make_plans
from taglm_core.training.plantable import plan_table
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config

FAST = {
    "domain": {
        "max_steps": 4,
        "num_evaluations": 2,
        "tag_length": 3,
        "batch_size": 8,
        "batch_tokens": 512,
    },
    "task": {
        "max_steps": 6,
        "num_evaluations": 3,
        "tag_length": 3,
        "batch_size": 8,
        "fit_rows": 50,
        "tag": "input",
    },
}


def labeled(name, column, kind, **target):
    """Declare a task of the letters that uses the function tag CLS."""
    return {
        "name": name,
        "function_tag": "CLS",
        "template": "The string is <toy/Letters>{letters}. Its class is <CLS>",
        "target": {"kind": kind, "columns": [column], **target},
    }


TOGETHER = [
    {"task": labeled("Start", "first", "classification")},
    {"task": labeled("Share", "share_a", "regression"), "data": {"size": 80}},
]


def config_of(backbone, **more):
    """Return small settings of a run of several tasks."""
    data = {"dataset": "toy/letters"}
    base = {"backbone": str(backbone), "stages": FAST, "data": data}
    return run_config("test", base, more)


def go(config, registry, folder, store):
    """Run and return plans and metrics."""
    plans = make_plans(config, registry, store)
    opened = RunFolder(folder)
    opened.open(resolved(config))
    try:
        return plans, execute(plans, opened, store, Silent())
    finally:
        opened.close()


def test_tasks_of_one_function_tag_train_it_together(toy_registry, toy_backbone, tmp_path):
    """One stage, one tag, a head each; every task has its files, metrics and artifact."""
    store = TagStore(tmp_path / "store")
    config = config_of(toy_backbone, tasks=TOGETHER)
    plans, metrics = go(config, toy_registry, tmp_path / "run", store)
    assert config.name == "Start+Share"
    assert plans[0].domains["toy/Letters"] is plans[1].domains["toy/Letters"]
    assert plans[0].backbone is plans[1].backbone
    stages = metrics["tasks"]["Share"]["stages"]
    assert stages == metrics["tasks"]["Start"]["stages"]
    assert stages[-1]["tasks"] == ["Start", "Share"]
    assert set(stages[-1]["trained"]) == {"<local/CLS>", "head Start", "head Share"}
    assert stages[-1]["rows"] == sum(len(plan.rows.of_split("train")) for plan in plans)
    assert {"loss", "Start.accuracy", "Share.mae"} <= set(stages[-1]["history"][0])
    folders = [tmp_path / "run" / "tasks" / name for name in ("Start", "Share")]
    for folder in folders:
        assert (folder / "split.csv").is_file()
        assert (folder / "predictions" / "test.csv").is_file()
    tags = [load_artifact(f / "predictor").tags["local/CLS"] for f in folders]
    assert torch.equal(*tags)
    table = Table(columns={"letters": ["abca", "bbbb"]}, rows=[1, 2], source="x")
    predictor = load_predictor(
        load_artifact(find_artifact(tmp_path / "run", "Share")), toy_registry
    )
    assert set(predictor.predict_table(table).columns) == {"Share"}
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(written["tasks"]) == {"Start", "Share"}


def test_the_shared_tag_comes_from_the_store_the_second_time(toy_registry, toy_backbone, tmp_path):
    """The same tasks together are found; one of them alone is another training."""
    store = TagStore(tmp_path / "store")
    config = config_of(toy_backbone, tasks=TOGETHER)
    _, first = go(config, toy_registry, tmp_path / "one", store)
    _, again = go(config, toy_registry, tmp_path / "two", store)
    assert again["tasks"]["Start"]["stages"][-1]["from_store"] is True
    assert again["tasks"]["Share"]["splits"] == first["tasks"]["Share"]["splits"]
    alone = config_of(toy_backbone, task=TOGETHER[0]["task"])
    assert make_plans(alone, toy_registry, store)[0].stored_task is None


def test_a_frozen_function_tag_takes_a_new_head(toy_registry, toy_backbone, tmp_path):
    """`function_tag_from` leaves the tag bit-identical and trains the head alone."""
    store = TagStore(tmp_path / "store")
    go(config_of(toy_backbone, tasks=TOGETHER), toy_registry, tmp_path / "one", store)
    source = tmp_path / "one" / "tasks" / "Start"
    frozen = {"task": {"function_tag_from": str(source), "head_init": "mean_embedding"}}
    config = config_of(toy_backbone, task=labeled("Len", "length", "regression"), stages=frozen)
    plans, metrics = go(config, toy_registry, tmp_path / "new", store)
    assert set(metrics["tasks"]["Len"]["stages"][-1]["trained"]) == {"head Len"}
    used = load_artifact(tmp_path / "new" / "predictor").tags["local/CLS"]
    assert torch.equal(used, load_artifact(source / "predictor").tags["local/CLS"])
    states = {(r["stage"], r["tag"]): r["state"] for r in plan_table(plans[0])}
    assert states["2", "<local/CLS>"] == "frozen"


def test_tasks_of_different_tags_run_one_after_the_other(toy_registry, toy_backbone, tmp_path):
    """Registered tasks by name; what each trains is its own."""
    config = run_config(
        "test", {"tasks": ["ShareA", "First"], "backbone": str(toy_backbone), "stages": FAST}
    )
    _, metrics = go(config, toy_registry, tmp_path / "run", TagStore(tmp_path / "store"))
    trained = {n: set(t["stages"][-1]["trained"]) for n, t in metrics["tasks"].items()}
    assert trained["ShareA"] == {"<toy/ShareA>", "head ShareA"}
    assert trained["First"] == {"<toy/First>", "head First"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stages": {"task": {"enrich": True}}}, "train <local/CLS> together"),
        ({"tasks": [TOGETHER[0], TOGETHER[0]]}, "Duplicate task name 'Start'"),
        ({"tasks": [{"data": {}}]}, "'tasks.0.task' is missing"),
        ({"tasks": [{"task": "First", "dta": {}}]}, "unknown key 'tasks.0.dta'"),
        ({"tasks": "First"}, "'tasks' must be a list"),
        ({"task": "First"}, "not both"),
    ],
)
def test_what_cannot_be_is_one_message(changes, words, toy_registry, toy_backbone, tmp_path):
    """Wrong lists of tasks, and sharing that has no meaning."""
    given = {"tasks": TOGETHER, **changes}
    with pytest.raises(ConfigError, match=words):
        make_plans(config_of(toy_backbone, **given), toy_registry, TagStore(tmp_path))


def test_a_run_of_several_tasks_asks_which(tmp_path):
    """Predicting needs one task; a misspelt one is answered with the nearest."""
    for name in ("Start", "Share"):
        (tmp_path / "tasks" / name / "predictor").mkdir(parents=True)
        (tmp_path / "tasks" / name / "predictor" / "tags.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="holds the tasks Share, Start. Name one with --task"):
        find_artifact(tmp_path)
    with pytest.raises(CheckpointError, match="no task 'Shar'. Did you mean 'Share'"):
        find_artifact(tmp_path, "Shar")
    assert find_artifact(tmp_path, "Share").parent.name == "Share"
