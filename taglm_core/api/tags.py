"""`taglm.tags`: what the tag store holds.

Example:
    taglm.tags.list()
    taglm.tags.show("SMILES")
    taglm.tags.get("SMILES").shape
"""

import builtins
from typing import Any

import numpy as np

from taglm_core.errors import DuplicateNameError
from taglm_core.store.artifact import load_artifact
from taglm_core.store.schema import TagRecord, to_plain
from taglm_core.store.tagstore import StoredTag, TagStore


def list() -> builtins.list[dict[str, Any]]:
    """List the trained tags of the store.

    Returns:
        One record for each with tag, kind, backbone, fingerprint, rows and steps of its training.
    """
    return [_record(entry) for entry in TagStore().entries()]


def show(name: str) -> builtins.list[dict[str, Any]]:
    """Return the lineage of a tag: backbone, corpus, settings, results.

    Args:
        name: Full or short name, or the beginning of a fingerprint (4 characters or more).

    Returns:
        One record for each entry of the store that fits.

    Raises:
        UnknownNameError: when the store holds no such tag.
    """
    records = []
    for entry in TagStore().get(name):
        config = load_artifact(entry.folder).config
        records.append(
            {
                "tag": entry.name,
                "fingerprint": entry.fingerprint,
                "folder": str(entry.folder),
                "taglm_version": config.taglm_version,
                "plugins": config.plugins,
                "backbone": config.backbone.name,
                **_shown(config.tags[entry.name]),
            }
        )
    return records


def get(name: str) -> np.ndarray:
    """Return the trained rows of a tag.

    Args:
        name: Full or short name, or the beginning of a fingerprint (4 characters or more).

    Returns:
        float32 `(tag_length, hidden)`.

    Raises:
        UnknownNameError: when the store holds no such tag.
        DuplicateNameError: when it holds several; it lists their fingerprints.
    """
    entry = _only(name)
    rows: np.ndarray = load_artifact(entry.folder).tag(entry.name).float().numpy()
    return rows


def remove(name: str) -> dict[str, Any]:
    """Remove a tag from the store; predictors hold their tags themselves and go on working.

    Args:
        name: As for `get`, or `NAME@FINGERPRINT` where the store holds several.

    Returns:
        The record of the tag, as `list` gives it.

    Raises:
        UnknownNameError: when the store holds no such tag.
        DuplicateNameError: when it holds several; it lists their fingerprints.
    """
    entry = _only(name)
    record = _record(entry)
    TagStore().remove(entry)
    return record


def prune(dry_run: bool = False) -> builtins.list[dict[str, Any]]:
    """Remove every tag that was trained again later for the same backbone.

    Args:
        dry_run: True: nothing is removed.

    Returns:
        The records of the tags that are removed, or would be.
    """
    store = TagStore()
    found = [(entry, _record(entry)) for entry in store.outdated()]
    for entry, _ in found:
        if not dry_run:
            store.remove(entry)
    return [record for _, record in found]


def _only(name: str) -> StoredTag:
    """Return the only entry that a name stands for."""
    entries = TagStore().get(name)
    if len(entries) > 1:
        shown = ", ".join(f"{entry.name}@{entry.fingerprint[:8]}" for entry in entries)
        raise DuplicateNameError(
            f"the tag store holds {len(entries)} tags '{name}'. Name one of them: {shown}."
        )
    return entries[0]


def _shown(tag: TagRecord) -> dict[str, Any]:
    """Return what a tag's record says, without what it leaves open."""
    return {key: value for key, value in to_plain(tag).items() if value not in (None, {})}


def _record(entry: StoredTag) -> dict[str, Any]:
    artifact = load_artifact(entry.folder)
    tag = artifact.config.tags[entry.name]
    lineage = to_plain(tag.lineage) or {}
    return {
        "tag": entry.name,
        "kind": tag.kind,
        "backbone": artifact.backbone,
        "fingerprint": entry.fingerprint,
        "rows": lineage.get("corpus_rows", lineage.get("rows")),
        "steps": lineage.get("steps"),
    }
