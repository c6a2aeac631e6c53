"""Artifacts: every format version is read, and the classes decide what is written."""

import json
import shutil
from pathlib import Path

import attrs
import pytest

import taglm_core as taglm
from taglm_core.data.table import Table
from taglm_core.errors import CheckpointError, UnknownNameError
from taglm_core.inference.domains import load_domain
from taglm_core.inference.loading import load_predictor
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.specs.target import TARGETS
from taglm_core.store import schema
from taglm_core.store.artifact import load_artifact, save_artifact
from taglm_core.store.migrations import FORMAT_VERSION
from taglm_core.store.tagstore import TagStore

GOLDEN = Path(__file__).parents[2] / "data" / "artifacts"
VERSIONS = sorted(folder.name for folder in GOLDEN.glob("v*"))
KINDS = ("censored", "classes", "layers", "pair", "text")


def predicted(artifact, registry, backbone, version):
    """Predict the rows of a version's golden file."""
    golden = json.loads((GOLDEN / version / "predictions.json").read_text())
    table = Table(columns=golden["rows"], rows=[1, 2, 3], source="rows")
    predictor = load_predictor(artifact, registry, str(backbone), device="cpu")
    return predictor.predict_table(table), golden["predicted"]


def test_every_format_version_has_its_artifacts():
    """`tests/data/artifacts/make.py` writes them when the version rises."""
    assert f"v{FORMAT_VERSION}" in VERSIONS
    assert len(VERSIONS) == FORMAT_VERSION


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_predictor_predicts_what_it_did(version, kind, toy_registry, toy_backbone):
    """Numbers, classes, a head with hidden layers, pairs and text, as the old code gave them."""
    artifact = load_artifact(GOLDEN / version / kind)
    found, golden = predicted(artifact, toy_registry, toy_backbone, version)
    assert found.errors == [None] * 3
    assert list(found.columns) == list(golden[kind])
    for name, values in golden[kind].items():
        if isinstance(values[0], float):
            values = pytest.approx(values, rel=1e-4, abs=1e-6)
        assert found.columns[name] == values


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_tag_keeps_its_trained_symbols_and_its_corpus(version, toy_registry, toy_backbone):
    """The tag of stage 1 with what is known of its training."""
    folder = GOLDEN / version / "tag"
    backbone = load_backbone(str(toy_backbone), toy_registry, "cpu")
    domain = load_domain("Letters", backbone, toy_registry, TagStore(), folder)
    record = domain.artifact.config.tags["toy/Letters"]
    assert record.corpus == "toy/letters"
    assert record.settings["max_steps"] == 3
    assert isinstance(record.lineage, schema.DomainLineage)
    assert domain.model.tags["toy/Letters"].shape == (2, 32)


@pytest.mark.parametrize("kind", [*KINDS, "tag"])
@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_read_is_written_and_read_again_alike(version, kind, tmp_path):
    """A round trip in the present format loses nothing."""
    first = load_artifact(GOLDEN / version / kind)
    save_artifact(tmp_path / "again", first, "readme")
    again = load_artifact(tmp_path / "again")
    assert schema.to_plain(again.config) == schema.to_plain(first.config)
    assert set(again.head) == set(first.head)
    assert set(again.tags) == set(first.tags)
    assert all((again.tables[name] == table).all() for name, table in first.tables.items())
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    assert written["format_version"] == FORMAT_VERSION


def test_the_symbols_that_stage_1_trained_are_used(toy_registry, toy_backbone):
    """A trained table of the artifact takes the place of the one made from spellings."""
    artifact = load_artifact(GOLDEN / "v1" / "classes")
    predictor = load_predictor(artifact, toy_registry, str(toy_backbone), device="cpu")
    held = predictor.task_model.model.tables["toy/Letters"]
    assert (held == artifact.tables["toy/Letters"]).all()


def config_of(tmp_path, change):
    """Copy a golden artifact with a changed config.json and return its folder."""
    folder = tmp_path / "changed"
    shutil.copytree(GOLDEN / f"v{FORMAT_VERSION}" / "censored", folder)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(format_version=99), r"format 99, but this taglm reads 1 to \d"),
        (lambda c: c.pop("format_version"), "format None"),
        (lambda c: c["task"]["spec"].update(promt="x"), "unknown key 'promt'.*'prompt'"),
        (lambda c: c["task"].pop("plugin"), "plugin"),
        (lambda c: c["task"]["spec"]["target"].update(kind="words"), "regression"),
        (lambda c: c.update(tags=["a"]), "tags"),
    ],
)
def test_a_config_that_does_not_fit_is_named(change, said, tmp_path):
    """Version, key and folder are in the message; nothing is guessed."""
    folder = config_of(tmp_path, change)
    with pytest.raises(CheckpointError, match=said) as caught:
        load_artifact(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "{", '{"format_version": 1}', '{"format_version": []}'])
def test_a_damaged_config_is_an_error_of_the_artifact(text, tmp_path):
    """No traceback, whatever the file holds."""
    folder = config_of(tmp_path, lambda config: None)
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="changed"):
        load_artifact(folder)


def test_a_tag_that_is_not_held_is_named_with_those_that_are():
    """The one message about a missing tag."""
    artifact = load_artifact(GOLDEN / "v1" / "tag")
    with pytest.raises(UnknownNameError, match=r"no tag <toy/Lettres>; it holds toy/Letters"):
        artifact.tag("toy/Lettres")


@attrs.frozen(kw_only=True)
class Measured(taglm.Regression):
    """A regression target with one field more."""

    assay: str = "unknown"


@attrs.frozen(kw_only=True)
class Cited(taglm.Task):
    """A task with one field more."""

    reference: str = ""


def test_a_new_field_of_a_target_needs_its_class_only(monkeypatch):
    """It is written and read without another line; older artifacts have its default."""
    monkeypatch.setitem(TARGETS, "regression", Measured)
    old = load_artifact(GOLDEN / "v1" / "censored")
    assert old.task.spec.target.assay == "unknown"
    spec = attrs.evolve(old.task.spec, target=attrs.evolve(old.task.spec.target, assay="SPR"))
    config = attrs.evolve(old.config, task=attrs.evolve(old.task, spec=spec))
    plain = schema.to_plain(config)
    assert plain["task"]["spec"]["target"]["assay"] == "SPR"
    again = schema.from_plain({"format_version": FORMAT_VERSION, **plain}, "here")
    assert again.task.spec.target == spec.target


def test_a_new_field_of_a_task_needs_its_class_only():
    """The same of the task around the target."""
    old = load_artifact(GOLDEN / "v1" / "censored").task.spec
    plain = schema.to_plain(old)
    assert schema.read_plain(plain, Cited).reference == ""
    cited = schema.read_plain({**plain, "reference": "doi:10.1000/1"}, Cited)
    assert schema.to_plain(cited) == {**plain, "reference": "doi:10.1000/1"}
