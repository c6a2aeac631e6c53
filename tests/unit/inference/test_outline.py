"""A plan knows a backbone by what was kept of it, and opens it only to run it."""

import json
import sys

import attrs
import pytest
import torch
from artifacts import tag_artifact
from small_runs import PLAIN, SHARE, SMALL, write_table

from taglm_core.data import corpus, home
from taglm_core.errors import BackboneError
from taglm_core.inference import outline as outlines
from taglm_core.inference.outline import outline_of, plan_backbone
from taglm_core.inference.precision import open_backbone
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone
from taglm_core.training.plan import make_plans
from taglm_core.training.plantable import plan_table
from taglm_core.training.settings import run_config


def planned(folder, registry, precision="auto", device="cpu"):
    """Plan a backbone that nothing is done to."""
    return plan_backbone(str(folder), registry, device, precision, lambda backbone: None)


def refuse(*args, **kwargs):
    """Stand for what must not happen."""
    raise AssertionError("not needed")


def config_of(tmp_path, backbone, **settings):
    """Return the settings of a small run."""
    task = {"name": "T", "template": PLAIN, "target": SHARE}
    content = {
        "task": task,
        "data": {"file": str(write_table(tmp_path)), "split": {"method": "random"}},
        "backbone": str(backbone),
        "stages": {"domain": {**SMALL, "size": 30}, "task": SMALL},
    }
    return run_config("test", content | settings)


def test_a_second_plan_does_without_the_model(tmp_path, toy_registry, toy_backbone, monkeypatch):
    """A dry run says the same of a backbone that was opened once, and imports no transformers."""
    config = config_of(tmp_path, toy_backbone)
    (first,) = make_plans(config, toy_registry, TagStore())
    assert first.planned.is_open
    with monkeypatch.context() as patch:
        patch.setattr("taglm_core.inference.precision.load_backbone", refuse)
        for name in [name for name in sys.modules if name.partition(".")[0] == "transformers"]:
            patch.delitem(sys.modules, name)
        (second,) = make_plans(config, toy_registry, TagStore())
        assert plan_table(second) == plan_table(first)
        outlines = [plan.planned.outline for plan in (first, second)]
        assert outlines[1].lora_parameters() == outlines[0].lora_parameters() > 0
        assert second.task_fingerprint == first.task_fingerprint
        assert "transformers" not in sys.modules
    assert not second.planned.is_open
    assert second.backbone.checksum() == first.backbone.checksum()
    assert second.backbone is second.planned.open()


def test_an_outline_is_that_of_the_files_as_they_are(toy_registry, toy_backbone):
    """Other weights in the same folder are opened."""
    first = planned(toy_backbone, toy_registry)
    assert not planned(toy_backbone, toy_registry).is_open
    other = tiny_backbone("llama", seed=1)
    other.model.save_pretrained(toy_backbone)
    changed = planned(toy_backbone, toy_registry)
    assert changed.is_open
    assert changed.outline.fingerprint.key != first.outline.fingerprint.key


def test_a_damaged_outline_is_made_anew(toy_registry, toy_backbone):
    """Files under TAGLM_HOME cost time at most."""
    first = planned(toy_backbone, toy_registry)
    (file,) = (home.home() / "outlines").iterdir()
    for text in ("", "[]", json.dumps({"hidden_size": 3})):
        file.write_text(text)
        again = planned(toy_backbone, toy_registry)
        assert again.is_open
        assert again.outline == first.outline


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_precision_that_may_not_work_is_tried_at_once(toy_registry, toy_backbone, precision):
    """An error of it comes before anything is trained."""
    planned(toy_backbone, toy_registry)
    opened = planned(toy_backbone, toy_registry, precision)
    assert opened.is_open
    assert opened.precision == precision


def test_the_variable_of_the_precision_counts(toy_registry, toy_backbone, monkeypatch):
    """What it asks for is what is opened later."""
    planned(toy_backbone, toy_registry)
    monkeypatch.setenv("TAGLM_PRECISION", "fp32")
    kept = planned(toy_backbone, toy_registry)
    assert not kept.is_open
    assert kept.measured.reason == "by TAGLM_PRECISION"
    assert kept.precision == kept.open().precision == "fp32"


@pytest.mark.parametrize("setting", ["checkpointing", "compile"])
def test_settings_that_may_not_work_open_the_backbone(
    tmp_path, toy_registry, toy_backbone, monkeypatch, setting
):
    """The plan fails, not the run."""
    config = config_of(tmp_path, toy_backbone)
    make_plans(config, toy_registry, TagStore())

    def fail(*args):
        raise BackboneError("it cannot")

    done = {
        "checkpointing": "checkpointing.Checkpoints.set",
        "compile": "backbone.Backbone.compile",
    }
    monkeypatch.setattr(f"taglm_core.model.{done[setting]}", fail)
    asked = config_of(tmp_path, toy_backbone, **{setting: "on"})
    with pytest.raises(BackboneError, match="it cannot"):
        make_plans(asked, toy_registry, TagStore())


def test_where_tags_cannot_act_is_said_with_the_name_of_the_backbone(monkeypatch):
    """An outline without linear maps refuses an adapter and is not kept."""

    def fail(backbone):
        raise BackboneError("no linear maps")

    monkeypatch.setattr(outlines, "adapted_maps", fail)
    outline = outline_of(tiny_backbone())
    assert outline.maps == {}
    with pytest.raises(BackboneError, match="no linear maps"):
        outline.check_layers()


def test_a_dry_run_makes_no_corpus_for_a_tag_that_is_new(
    tmp_path, toy_registry, toy_backbone, monkeypatch
):
    """What will be trained is known without it; a store with the tag looks closer."""
    config = config_of(tmp_path, toy_backbone)
    store = TagStore()
    (whole,) = make_plans(config, toy_registry, store)
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "load_dataset", refuse)
        (sketch,) = make_plans(config, toy_registry, store, is_sketch=True)
        assert plan_table(sketch) == plan_table(whole)
        (item,) = whole.domains.values()
        entry = store.path(whole.fingerprint.key, item.tag, "0" * 12)
        entry.mkdir(parents=True)
        (entry / "config.json").write_text("{}")
        with pytest.raises(AssertionError, match="not needed"):
            make_plans(config, toy_registry, store, is_sketch=True)


@pytest.mark.parametrize("own", [{"tag_length": 3}, {"seed": 5}])
def test_a_dry_run_makes_no_corpus_beside_a_tag_of_other_settings(
    tmp_path, toy_registry, toy_backbone, monkeypatch, own
):
    """A tag of these settings may be of the corpus; a function tag may outlive its domain tag."""
    store, asked = TagStore(), config_of(tmp_path, toy_backbone)
    (whole,) = make_plans(asked, toy_registry, store)
    (item,) = whole.domains.values()

    def store_tag(name, fingerprint, config, **others):
        made = tag_artifact(tiny_backbone(), **{name.replace("/", "__"): torch.ones(2, 8)})
        tag = attrs.evolve(
            made.config.tags[name], settings=attrs.asdict(config.stages.domain), seed=config.seed
        )
        made = attrs.evolve(made, config=attrs.evolve(made.config, tags={name: tag, **others}))
        store.save(whole.fingerprint.key, name, fingerprint, made, "")
        return tag

    other = config_of(tmp_path, toy_backbone)
    domain = attrs.evolve(other.stages.domain, **own)
    other = attrs.evolve(other, stages=attrs.evolve(other.stages, domain=domain))
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "load_dataset", refuse)
        tag = store_tag(item.tag, "0" * 12, other)
        used = attrs.evolve(tag, fingerprint="0" * 12)
        store_tag(whole.task.function_tag, "1" * 12, other, **{item.tag: used})
        (sketch,) = make_plans(asked, toy_registry, store, is_sketch=True)
        assert plan_table(sketch) == plan_table(whole)
        removed = attrs.evolve(tag, fingerprint="2" * 12)
        store_tag(whole.task.function_tag, "3" * 12, other, **{item.tag: removed})
        with pytest.raises(AssertionError, match="not needed"):
            make_plans(asked, toy_registry, store, is_sketch=True)
        (newest,) = [e for e in store.get(whole.task.function_tag) if e.fingerprint == "3" * 12]
        store.remove(newest)
        store_tag(item.tag, "4" * 12, asked)
        with pytest.raises(AssertionError, match="not needed"):
            make_plans(asked, toy_registry, store, is_sketch=True)


def test_opening_gives_what_the_plan_says(toy_registry, toy_backbone):
    """The precision and the fingerprint of an outline are those of the backbone."""
    planned(toy_backbone, toy_registry)
    kept = planned(toy_backbone, toy_registry)
    backbone, measured = open_backbone(str(toy_backbone), toy_registry, "cpu")
    assert (kept.precision, kept.measured) == (backbone.precision, measured)
    assert kept.outline == outline_of(backbone)


def test_a_divided_backbone_is_opened(toy_registry, toy_backbone):
    """Whether its layers can lie elsewhere is known only then."""
    planned(toy_backbone, toy_registry)
    assert planned(toy_backbone, toy_registry, device="cpu=1GB+disk").is_open


def test_tags_of_an_earlier_training_are_not_taken(
    tmp_path, toy_registry, toy_backbone, monkeypatch
):
    """Function tags depend on the version of the training code; domain tags do not."""
    config = config_of(tmp_path, toy_backbone)
    (first,) = make_plans(config, toy_registry, TagStore())
    monkeypatch.setattr("taglm_core.training.plan.TRAINING_VERSION", "another")
    (second,) = make_plans(config, toy_registry, TagStore())
    assert second.task_fingerprint != first.task_fingerprint
    assert second.domains["Letters"].fingerprint == first.domains["Letters"].fingerprint
