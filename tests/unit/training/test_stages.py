"""The scheduler on a tiny random backbone: what is trained, skipped, resumed and stored."""

import json
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch

from taglm_core.data.table import Table
from taglm_core.errors import CheckpointError, ConfigError, UnknownNameError
from taglm_core.inference.loading import load_predictor
from taglm_core.inference.scores import score
from taglm_core.model.tagged import Pooling
from taglm_core.progress import Silent
from taglm_core.specs.target import TARGETS
from taglm_core.store.artifact import load_artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training import domain_stages
from taglm_core.training import fit as fit_module
from taglm_core.training.config import TargetConfig, TaskConfig
from taglm_core.training.declared import configured_task
from taglm_core.training.plan import make_plan, make_plans
from taglm_core.training.plantable import plan_table
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config

FAST = {
    "domain": {"max_steps": 4, "num_evaluations": 2, "tag_length": 3, "batch_size": 8},
    "task": {
        "max_steps": 6,
        "num_evaluations": 3,
        "tag_length": 3,
        "batch_size": 8,
        "fit_rows": 50,
        "tag": "input",
    },
}


def settings(task, backbone, **more):
    """Return small settings of a run of a toy task."""
    return run_config("test", {"task": task, "backbone": str(backbone), "stages": FAST}, more)


def go(config, registry, folder, store=None):
    """Run and return plan and metrics."""
    store = store or TagStore()
    plans = make_plans(config, registry, store)
    opened = RunFolder(folder)
    opened.open(resolved(config))
    try:
        return plans[0], execute(plans, opened, store, Silent())
    finally:
        opened.close()


@pytest.mark.parametrize("task", ["ShareA", "Both", "First"])
def test_a_run_writes_everything_and_predicts_the_same_later(
    task, toy_registry, toy_backbone, tmp_path
):
    """Metrics, split, predictions, artifact; a loaded artifact repeats the predictions."""
    plan, metrics = go(settings(task, toy_backbone), toy_registry, tmp_path / "run")
    before = plan.backbone.checksum()
    splits = metrics["tasks"][task]["splits"]
    assert set(splits) == {"train", "valid", "test"}
    assert sum(split["rows"] for split in splits.values()) == 120
    run = tmp_path / "run"
    assert json.loads((run / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    lines = (run / "predictions" / "test.csv").read_text().splitlines()
    assert len(lines) == splits["test"]["rows"] + 1
    artifact = load_artifact(run / "predictor")
    predictor = load_predictor(artifact, toy_registry)
    table = Table(columns={"string": ["abca", "bbbb"]}, rows=[1, 2], source="x")
    first = predictor.predict_table(table).columns
    again = load_predictor(artifact, toy_registry).predict_table(table).columns
    assert first == again
    assert predictor.task_model.model.backbone.checksum() == before


def test_a_head_that_reads_the_mean_of_the_tag(toy_registry, toy_backbone, tmp_path):
    """It is as wide as one state, that of no single token, and predicts the same later."""
    stages = {**FAST, "task": {**FAST["task"], "pooling": "mean", "head": "linear"}}
    config = settings("ShareA", toy_backbone, stages=stages)
    plan, metrics = go(config, toy_registry, tmp_path / "run")
    artifact = load_artifact(tmp_path / "run" / "predictor")
    assert artifact.task.head.pooling == "mean"
    assert artifact.head["weight"].shape[1] == 32
    predictor = load_predictor(artifact, toy_registry)
    test = plan.rows.of_split("test")
    letters = [plan.rows.fields["letters"][i] for i in test]
    mean = predictor.embed({"letters": letters})
    predictor.task_model.pooling = Pooling(count=3)
    every = predictor.embed({"letters": letters})
    np.testing.assert_allclose(mean, every.reshape(-1, 3, 32).mean(axis=1), atol=1e-5)
    predictor.task_model.pooling = Pooling(count=3, is_mean=True)
    predicted = predictor.predict({"letters": letters}, "numpy")
    scored = score(plan.task, plan.rows.targets[test], predicted.reshape(len(test), -1))
    wanted = metrics["tasks"]["ShareA"]["splits"]["test"]["metrics"]
    assert scored["mae"] == pytest.approx(wanted["mae"], abs=1e-4)


@pytest.mark.parametrize("task", ["ShareA", "First"])
def test_a_head_that_reads_every_row_of_the_tag(task, toy_registry, toy_backbone, tmp_path):
    """It has a weight for each of them, starts no worse, and predicts the same later."""
    stages = {**FAST, "task": {**FAST["task"], "pooling": "all"}}
    if task == "ShareA":
        stages["task"]["huber"] = 0.5
    config = settings(task, toy_backbone, stages=stages)
    plan, metrics = go(config, toy_registry, tmp_path / "run")
    artifact = load_artifact(tmp_path / "run" / "predictor")
    assert artifact.head["weight"].shape[1] == 3 * 32
    counted = {record["tag"]: record["parameters"] for record in plan_table(plan)}
    assert counted[f"head {task}"] == artifact.head["weight"].numel()
    trained = metrics["tasks"][task]["stages"][-1]["trained"]
    assert trained[f"head {task}"] == 96 * plan.num_outputs
    splits = plan.rows.of_split("test")
    letters = [plan.rows.fields["letters"][i] for i in splits]
    table = Table(columns={"letters": letters}, rows=list(range(1, len(splits) + 1)), source="x")
    predicted = load_predictor(artifact, toy_registry).predict_table(table).values
    scored = score(plan.task, plan.rows.targets[splits], predicted)
    held = metrics["tasks"][task]["splits"]["test"]["metrics"]
    assert scored == pytest.approx({name: held[name] for name in scored}, rel=1e-4, abs=1e-6)


def test_a_floor_in_the_target(toy_registry, toy_backbone, tmp_path):
    """Rows at the limit are understood as "no more than this"; predictions stay above it."""
    task = {"name": "ShareA", "censored_below": 0.3}
    config = settings(task, toy_backbone)
    plan, metrics = go(config, toy_registry, tmp_path / "run")
    artifact = load_artifact(tmp_path / "run" / "predictor")
    scaling = artifact.task.scaling
    assert 0 < scaling.sigma[0] != 1.0
    table = Table(columns={"letters": ["abca", "bbbb"]}, rows=[1, 2], source="x")
    values = load_predictor(artifact, toy_registry).predict_table(table).values
    assert (values >= 0.3).all()
    again, second = go(config, toy_registry, tmp_path / "again")
    assert again.stored_task is not None, "the predictor of the first run is taken"
    ours, theirs = (m["tasks"]["ShareA"]["splits"]["test"]["metrics"] for m in (metrics, second))
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("task", "more"),
    [({"name": "ShareA", "censored_below": 0.3}, {}), ("Both", {"huber": 0.5}), ("First", {})],
)
def test_a_head_with_hidden_layers(task, more, toy_registry, toy_backbone, tmp_path):
    """It is fitted before the first step, is counted, and predicts the same later."""
    name = task if isinstance(task, str) else task["name"]
    mlp = {"head": "mlp", "head_options": {"units": 4, "layers": 1}, "fit_epochs": 6}
    stages = {**FAST, "task": {**FAST["task"], **mlp, **more}}
    config = settings(task, toy_backbone, stages=stages)
    plan, metrics = go(config, toy_registry, tmp_path / "run")
    artifact = load_artifact(tmp_path / "run" / "predictor")
    stage = metrics["tasks"][name]["stages"][-1]
    assert 1 <= stage["head_start"][name]["fit_pass"] <= 6
    weights = 33 * 4 + 5 * plan.num_outputs
    counted = {record["tag"]: record["parameters"] for record in plan_table(plan)}
    assert stage["trained"][f"head {name}"] == counted[f"head {name}"] == weights
    assert artifact.head["scale"].std() > 0, "columns have their own measure"
    splits = plan.rows.of_split("test")
    letters = [plan.rows.fields["letters"][i] for i in splits]
    table = Table(columns={"letters": letters}, rows=list(range(1, len(splits) + 1)), source="x")
    predicted = load_predictor(artifact, toy_registry).predict_table(table).values
    held = metrics["tasks"][name]["splits"]["test"]["metrics"]
    scored = score(plan.task, plan.rows.targets[splits], predicted)
    assert scored == pytest.approx({name: held[name] for name in scored}, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": 4}, "no option 'unit'.*units"),
        ({"units": -1}, "units=-1: units and layers"),
        ({"units": "many"}, "units='many'"),
    ],
)
def test_a_head_says_which_option_is_wrong(options, message, toy_registry, toy_backbone):
    """Before any data is encoded."""
    stages = {**FAST, "task": {**FAST["task"], "head": "mlp", "head_options": options}}
    config = settings("ShareA", toy_backbone, stages=stages)
    with pytest.raises(ConfigError, match=message):
        make_plans(config, toy_registry, TagStore())


def test_a_floor_is_refused_where_it_means_nothing(toy_registry, toy_backbone, tmp_path):
    """Classes have none, several targets have several, and only a fitted head knows it."""
    for task, stages, message in (
        ("First", FAST, "predicts no numbers"),
        ("Both", FAST, "belongs to one target"),
        ("ShareA", {**FAST, "task": {**FAST["task"], "huber": 0.5}}, "not used together"),
        (
            "ShareA",
            {**FAST, "task": {**FAST["task"], "head_init": "mean_embedding"}},
            "need a fitted head",
        ),
    ):
        config = settings({"name": task, "censored_below": 0.3}, toy_backbone, stages=stages)
        with pytest.raises(ConfigError, match=message):
            go(config, toy_registry, tmp_path / f"{task}{len(message)}")


def test_stage_one_runs_once_and_its_tag_is_shared(toy_registry, toy_backbone, tmp_path):
    """The second task takes the domain tag from the store, bit for bit."""
    plan, _ = go(settings("ShareA", toy_backbone), toy_registry, tmp_path / "one")
    assert plan.domains["Letters"].is_trained
    second, metrics = go(settings("Both", toy_backbone), toy_registry, tmp_path / "two")
    assert not second.domains["Letters"].is_trained
    assert metrics["tasks"]["Both"]["stages"][0]["from_store"] is True
    tags = [load_artifact(tmp_path / n / "predictor").tags["toy/Letters"] for n in ("one", "two")]
    assert torch.equal(*tags)


def test_the_plan_says_what_is_trained(toy_registry, toy_backbone, tmp_path):
    """Tag -> trained, frozen or from the store, with parameters."""
    config = settings("ShareA", toy_backbone)
    plan = make_plan(config, toy_registry, TagStore())
    table = {(r["stage"], r["tag"]): (r["state"], r["parameters"]) for r in plan_table(plan)}
    assert table["1", "<toy/Letters>"] == ("trained", 3 * 32)
    assert table["2", "<toy/Letters>"] == ("frozen", 3 * 32)
    assert table["2", "<toy/ShareA>"] == ("trained", 3 * 32)
    assert table["2", "head ShareA"] == ("trained", 32)
    # q: 32 x 32, v: 32 x 16, two layers, rank 8
    assert plan.planned.outline.lora_parameters() == 2 * (8 * 64 + 8 * 48)


def test_enrichment_stores_a_second_tag_and_leaves_the_first(toy_registry, toy_backbone, tmp_path):
    """`enrich` trains a copy of the domain tag for this task only."""
    store = TagStore()
    plain, _ = go(settings("ShareA", toy_backbone), toy_registry, tmp_path / "plain", store)
    # from the paper's head every step is a gain, so the best state is not the start
    rich = {"task": {"enrich": True, "head_init": "mean_embedding"}}
    config = settings("ShareA", toy_backbone, stages=rich)
    plan, metrics = go(config, toy_registry, tmp_path / "rich", store)
    artifact = load_artifact(tmp_path / "rich" / "predictor")
    held = plan.domains["Letters"].stored.tags["toy/Letters"]
    assert torch.equal(held, plain.domains["Letters"].stored.tags["toy/Letters"])
    assert not torch.equal(artifact.tags["toy/Letters@ShareA"], held)
    trained = metrics["tasks"]["ShareA"]["stages"][-1]["trained"]
    assert set(trained) == {"<toy/ShareA>", "<toy/Letters@ShareA>", "head ShareA"}


def test_another_task_uses_an_enriched_tag_from_the_store(toy_registry, toy_backbone, tmp_path):
    """`<Letters@ShareA>` in a template is the very tag that ShareA enriched."""
    store = TagStore()
    rich = {"task": {"enrich": True, "head_init": "mean_embedding"}}
    config = settings("ShareA", toy_backbone, stages=rich)
    go(config, toy_registry, tmp_path / "rich", store)
    task = {
        "name": "Again",
        "template": "<toy/Letters@ShareA>{letters}<Again>",
        "target": {"kind": "regression", "columns": ["share_a"]},
    }
    config = run_config(
        "test",
        {"task": task, "backbone": str(toy_backbone), "stages": FAST},
        {"data": {"dataset": "toy/letters"}},
    )
    plan, metrics = go(config, toy_registry, tmp_path / "again", store)
    assert metrics["tasks"]["Again"]["stages"][0]["from_store"] is True
    made, used = (
        load_artifact(tmp_path / n / "predictor").tags["toy/Letters@ShareA"]
        for n in ("rich", "again")
    )
    assert torch.equal(made, used)


@pytest.mark.parametrize(
    ("at", "head", "form"),
    [
        (2, "linear", "input"),
        (7, "linear", "input"),
        (2, "mlp", "input"),
        (7, "mlp", "input"),
        (7, "linear", "adapter"),
    ],
)
def test_a_killed_run_ends_with_the_same_numbers(
    at, head, form, toy_registry, toy_backbone, tmp_path, monkeypatch
):
    """Killing in stage 1 (step 2) or stage 2 (step 7) and running again changes nothing."""
    stages = {**FAST, "task": {**FAST["task"], "head": head, "fit_epochs": 3, "tag": form}}
    config = settings("ShareA", toy_backbone, checkpoint_seconds=0, stages=stages)
    _, whole = go(config, toy_registry, tmp_path / "whole", TagStore(tmp_path / "s1"))
    taken = []
    step = fit_module._take_step

    def killed(*args):
        if len(taken) == at:
            raise KeyboardInterrupt
        taken.append(1)
        step(*args)

    monkeypatch.setattr(fit_module, "_take_step", killed)
    store = TagStore(tmp_path / "s2")
    with pytest.raises(KeyboardInterrupt):
        go(config, toy_registry, tmp_path / "broken", store)
    monkeypatch.setattr(fit_module, "_take_step", step)
    _, resumed = go(config, toy_registry, tmp_path / "broken", store)
    assert resumed["tasks"]["ShareA"]["splits"] == whole["tasks"]["ShareA"]["splits"]


def test_other_settings_in_the_same_folder_are_refused(toy_registry, toy_backbone, tmp_path):
    """The difference is shown, and nothing is touched."""
    go(settings("ShareA", toy_backbone), toy_registry, tmp_path / "run")
    other = settings("ShareA", toy_backbone, seed=5)
    with pytest.raises(CheckpointError, match="seed: 0 there, 5 now"):
        go(other, toy_registry, tmp_path / "run")


def test_an_artifact_refuses_another_backbone(toy_registry, toy_backbone, tmp_path):
    """Tags belong to their backbone; the message names what differs."""
    from small_runs import saved_backbone

    go(settings("ShareA", toy_backbone), toy_registry, tmp_path / "run")
    saved_backbone(tmp_path / "other", "llama", seed=9)
    artifact = load_artifact(tmp_path / "run" / "predictor")
    with pytest.raises(CheckpointError, match="equal shape but other weights"):
        load_predictor(artifact, toy_registry, str(tmp_path / "other"))


def test_a_resaved_copy_of_the_backbone_is_accepted(toy_registry, toy_backbone, tmp_path):
    """The same weights in bf16 are the same backbone."""
    from taglm_core.model.backbone_loading import load_backbone

    go(settings("ShareA", toy_backbone), toy_registry, tmp_path / "run")
    copy = load_backbone(str(toy_backbone), toy_registry)
    copy.model.to(torch.bfloat16).save_pretrained(tmp_path / "copy")
    copy.tokenizer.save_pretrained(tmp_path / "copy")
    artifact = load_artifact(tmp_path / "run" / "predictor")
    assert load_predictor(artifact, toy_registry, str(tmp_path / "copy")).names == ["ShareA"]


def test_enrichment_across_domains_is_refused(toy_registry, toy_backbone):
    """In stage 3 domain tags stay frozen."""
    config = run_config(
        "test",
        {
            "task": {
                "name": "Pair",
                "template": "<Letters>{letters} and <{other}>{second}<Pair>",
                "target": {"kind": "regression"},
            },
            "backbone": str(toy_backbone),
            "stages": {"task": {"enrich": True}},
        },
    )
    with pytest.raises(ConfigError, match="stage 3"):
        make_plan(config, toy_registry, TagStore())


def test_an_unknown_prompt_is_a_prompt_variant(toy_registry, toy_backbone):
    """In the words of the setting, with those that the task has."""
    config = run_config("test", {"task": {"name": "ShareA", "prompt": "shrt"}})
    said = (
        "task ShareA: unknown prompt variant 'shrt'. Did you mean 'short'\\? Available: short. "
        "Leave task.prompt out"
    )
    with pytest.raises(UnknownNameError, match=said):
        make_plan(config, toy_registry, TagStore())


def test_augmented_and_paper_settings_run(toy_registry, toy_backbone, tmp_path):
    """Other spellings, the paper's preset and a named prompt all go through."""
    config = run_config(
        "test",
        {
            "task": {"name": "ShareA", "prompt": "short"},
            "backbone": str(toy_backbone),
            "preset": "paper",
            "stages": FAST,
        },
        {"stages": {"task": {"augment": 1}}},
    )
    _, metrics = go(config, toy_registry, tmp_path / "run")
    stage = metrics["tasks"]["ShareA"]["stages"][-1]
    assert stage["rows"] == 2 * metrics["tasks"]["ShareA"]["splits"]["train"]["rows"]


def test_three_stages_with_frozen_domain_tags(toy_registry, toy_backbone, tmp_path):
    """A cross-domain task trains each domain tag by itself, then leaves both bit-identical."""
    rows = [f"{w},{n:b},{len(w) + n}" for n, w in enumerate(["abc", "ca", "bbb", "ac"] * 8, 8)]
    (tmp_path / "pairs.csv").write_text("letters,digits,y\n" + "\n".join(rows) + "\n")
    store = TagStore()
    config = run_config(
        "test",
        {
            "task": {
                "name": "Pair",
                "template": "<Letters>{letters} and <Digits>{digits} give <Pair>",
                "target": {"kind": "regression", "columns": ["y"]},
            },
            "data": {"file": str(tmp_path / "pairs.csv")},
            "backbone": str(toy_backbone),
            "stages": FAST,
        },
    )
    plan, metrics = go(config, toy_registry, tmp_path / "pair", store)
    stages = metrics["tasks"]["Pair"]["stages"]
    assert [stage["stage"] for stage in stages] == [1, 1, 3]
    assert set(stages[-1]["trained"]) == {"<local/Pair>", "head Pair"}
    artifact = load_artifact(tmp_path / "pair" / "predictor")
    for item in plan.domains.values():
        held = store.find(plan.fingerprint.key, item.tag, item.fingerprint)
        assert torch.equal(held.tags[item.tag], artifact.tags[item.tag])
    # the same Letters tag serves a task of one domain
    one, _ = go(settings("ShareA", toy_backbone), toy_registry, tmp_path / "one", store)
    assert not one.domains["Letters"].is_trained


def test_a_floor_means_the_same_for_a_declared_task(toy_registry):
    """It goes into the target, and is refused where that has no numbers."""
    template = "Letters <Letters>{letters} give <Own>"
    declared = {"name": "Own", "template": template, "censored_below": 2.0}
    numbers = TaskConfig(**declared, target=TargetConfig(kind="regression"))
    assert configured_task(numbers, toy_registry).spec.target.censored_below == 2.0
    classes = TaskConfig(**declared, target=TargetConfig(kind="classification"))
    with pytest.raises(ConfigError, match="predicts no numbers"):
        configured_task(classes, toy_registry)


def test_a_declared_target_takes_every_field_of_its_kind(toy_registry):
    """Also those that are added later; what belongs to another kind is named."""
    template = "Letters <Letters>{letters} give <Own>"

    def target(**given):
        return configured_task(
            TaskConfig(name="Own", template=template, target=TargetConfig(**given)), toy_registry
        ).spec.target

    assert target(kind="regression", columns=("x", "y"), unit="g").names == ("x", "y")
    assert target(kind="classification", columns=("x",), threshold=2.0).classes == (
        "below",
        "above",
    )
    for cls in TARGETS.values():
        wanted = set(attrs.fields_dict(cls)) - {"compute"}
        assert wanted <= set(attrs.fields_dict(TargetConfig))
    with pytest.raises(ConfigError, match="threshold is a setting of the kind classification"):
        target(kind="regression", threshold=2.0)
    with pytest.raises(ConfigError, match="unit is a setting of the kind regression"):
        target(kind="text", unit="g")


@pytest.mark.parametrize(("with_tag", "is_said"), [(1.2, False), (1.5, True), (1.7, True)])
def test_a_domain_tag_that_is_worse_than_none_is_said(with_tag, is_said):
    """Whether it was trained just now or comes from the store."""
    nats = {"tag": with_tag, "no_tag": 1.5, "words": 1.4}
    record = {"held_out_nats_per_symbol": nats, "held_out_rows": 60}
    item = SimpleNamespace(tag="toy/Letters", domain=SimpleNamespace(short="Letters"))
    said = []
    made = domain_stages._said(record, item, SimpleNamespace(say=said.append))
    assert ("remark" in made) is is_said
    assert len(said) == is_said
    if is_said:
        assert f"{with_tag} nats per symbol with it, 1.5 without, on 60 held-out rows" in said[0]
        assert "--domain-data Letters=FILE" in said[0]
