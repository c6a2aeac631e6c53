"""Tags in the packages of plugins: read like those of the store, never written to."""

import json
import os
import shutil

import pytest
import torch
from artifacts import tag_artifact

from taglm_core.errors import CheckpointError
from taglm_core.store.tagstore import PackagedTags, TagStore
from taglm_core.testing.tiny import tiny_backbone

KEY, NAME, MARK = "key", "toy/Word", "1a2b3c4d"


def saved(store, value):
    """Put a tag whose numbers are all alike into a store."""
    made = tag_artifact(tiny_backbone("llama"), toy__Word=torch.full((2, 8), value))
    return store.save(KEY, NAME, MARK, made, "")


@pytest.fixture
def package(tmp_path):
    """Return the folder of a package with one tag, which nobody may write to."""
    saved(TagStore(tmp_path / "made"), 1.0)
    folder = tmp_path / "site-packages" / "toy"
    shutil.copytree(tmp_path / "made" / "tags", folder)
    places = [folder, *folder.rglob("*")]
    before = {place: place.stat().st_mtime_ns for place in places}
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    yield folder
    for place in places:
        place.chmod(0o755 if place.is_dir() else 0o644)
    assert sorted(places) == sorted([folder, *folder.rglob("*")])
    assert {place: place.stat().st_mtime_ns for place in places} == before


@pytest.fixture
def store(tmp_path, package):
    """Return a store of its own beside the package."""
    return TagStore(tmp_path / "home", [PackagedTags(package, "toy-tags 1.2")])


def value_of(artifact):
    """Return the number of which a tag consists."""
    return float(artifact.tag(NAME)[0, 0])


def test_a_packaged_tag_is_found_and_listed(store):
    """By its fingerprint, as the newest of its name, and with the package that it comes from."""
    assert value_of(store.find(KEY, NAME, MARK)) == 1.0
    assert store.find(KEY, NAME, "other") is None
    assert store.find("other", NAME, MARK) is None
    (entry,) = store.entries()
    assert (entry.source, entry.is_packaged) == ("toy-tags 1.2", True)
    assert store.newest(KEY, NAME) == entry
    assert store.get("Word") == [entry]


def test_the_own_store_goes_first(store):
    """What the user trained is what a run takes, and it is listed once."""
    saved(store, 2.0)
    assert value_of(store.find(KEY, NAME, MARK)) == 2.0
    (entry,) = store.entries()
    assert entry.source == "store"
    assert store.newest(KEY, NAME) == entry
    store.remove(entry)
    assert value_of(store.find(KEY, NAME, MARK)) == 1.0


def test_a_packaged_tag_is_never_removed(store):
    """Neither by its name nor as one that was trained again later."""
    (entry,) = store.entries()
    with pytest.raises(CheckpointError, match=r"belongs to toy-tags 1\.2 and is not removed"):
        store.remove(entry)
    saved(store, 2.0)
    assert store.outdated() == []


def test_a_damaged_one_counts_as_missing(store, package, caplog):
    """A run trains the tag then; a list names what is to be done."""
    (config,) = package.rglob("config.json")
    config.chmod(0o644)
    content = config.read_text()
    stamp = config.stat().st_mtime_ns
    config.write_text(json.dumps({"format": 2}))
    try:
        assert store.find(KEY, NAME, MARK) is None
        assert "It belongs to toy-tags 1.2: reinstall that package. It is not used." in caplog.text
        loaded, faults = store.load_all()
        assert (loaded, len(faults)) == ([], 1)
    finally:
        config.write_text(content)
        os.utime(config, ns=(stamp, stamp))
