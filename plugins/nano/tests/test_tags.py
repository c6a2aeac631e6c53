"""The tags in the package are those that a default run of today would train."""

import importlib.metadata
from pathlib import Path

import pytest

import taglm_nano

CONSTRAINTS = Path(__file__).parents[3] / "constraints.txt"
STALE = """the package holds no tag <{tag}> that a default run of today would take: its training,
its settings or its generated rows have changed. Train it again as CARD.md says ("Trained tags"),
and put the folder that `taglm tags show` prints in the place of {old}."""


def is_pinned(name):
    """Whether a library that makes rows is the one that the tags were made with."""
    return f"{name}=={importlib.metadata.version(name)}" in CONSTRAINTS.read_text().split()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return an empty home, which keeps what is known of generated rows from test to test."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("task", "tag", "library"),
    [("chem/QED", "chem/SMILES", "rdkit"), ("protein/Descriptor", "protein/Protein", "biopython")],
)
def test_a_default_run_takes_the_packaged_tag(task, tag, library, precision, home, monkeypatch):
    """A run takes the tag by its settings alone; here its rows are made, and compared."""
    if not is_pinned(library):
        pytest.skip(f"rows may differ with another {library} than that of constraints.txt")
    from taglm_core.model.backbone_loading import load_backbone
    from taglm_core.plugins import load_registry
    from taglm_core.plugins.resolved import resolve_task
    from taglm_core.store.tagstore import TagStore
    from taglm_core.training.domain_plan import plan_domain
    from taglm_core.training.settings import run_config

    monkeypatch.setenv("TAGLM_HOME", str(home))
    registry = load_registry()
    store = TagStore.of(registry)
    item = registry.tasks.get(task)
    resolved = resolve_task(item.spec, item.source.name, registry)
    backbone = load_backbone("nano", registry, "cpu").fingerprint()

    def planned(fresh, precision):
        data = {"task": task, "stages": {"domain": {"fresh": fresh}}}
        place = (registry, backbone, precision, store)
        return plan_domain(tag, resolved, run_config(task, data), *place)

    (old,) = [folder.parent for folder in taglm_nano.tags().glob(f"*/{tag}/*/config.json")]
    found = planned(False, precision)
    assert not found.is_trained, STALE.format(tag=tag, old=old)
    assert planned(True, "fp32").fingerprint == found.fingerprint, STALE.format(tag=tag, old=old)
    assert found.package.startswith("taglm-backbone-nano ")
    assert found.said.startswith(f"<{tag}>: stage 1 is skipped")
    assert not (home / "tags").exists()


def test_it_is_taken_without_making_rows(tmp_path, monkeypatch):
    """A machine that has never run anything begins in seconds."""
    pytest.importorskip("taglm_chem")
    import taglm_core.training.domain_plan as planning
    from taglm_core.model.backbone_loading import load_backbone
    from taglm_core.plugins import load_registry
    from taglm_core.plugins.resolved import resolve_task
    from taglm_core.store.tagstore import TagStore
    from taglm_core.training.settings import run_config

    monkeypatch.setenv("TAGLM_HOME", str(tmp_path))
    monkeypatch.delattr(planning, "read_corpus")
    registry = load_registry()
    item = registry.tasks.get("chem/QED")
    task = resolve_task(item.spec, item.source.name, registry)
    backbone = load_backbone("nano", registry, "cpu").fingerprint()
    place = (registry, backbone, "fp32", TagStore.of(registry))
    for more, package in (({}, "taglm-backbone-nano"), ({"fresh": True}, ""), ({"epochs": 2}, "")):
        config = run_config("QED", {"task": "chem/QED", "stages": {"domain": more}})
        plan = planning.plan_domain("chem/SMILES", task, config, *place, is_sketch=True)
        assert plan.package.partition(" ")[0] == package
        assert plan.is_trained == (not package)
    plan = planning.plan_domain("chem/SMILES", task, run_config("QED", {"task": "QED"}), *place)
    assert plan.package.partition(" ")[0] == "taglm-backbone-nano"
