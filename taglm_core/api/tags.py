"""`taglm.tags`: what the tag store holds.

Example:
    taglm.tags.list()
    taglm.tags.show("SMILES")
    taglm.tags.get("SMILES").shape
"""

import builtins
import logging
from typing import Any

import numpy as np

from taglm_core.errors import CheckpointError, DuplicateNameError
from taglm_core.plugins import load_registry
from taglm_core.store.artifact import Artifact
from taglm_core.store.schema import TagRecord, to_plain
from taglm_core.store.tagstore import StoredTag, TagStore

logger = logging.getLogger(__name__)


def list() -> builtins.list[dict[str, Any]]:
    """List the trained tags of the store; a warning names each that cannot be read.

    Returns:
        One record for each with tag, kind, backbone, fingerprint, rows and steps of its training,
        and where it comes from: `store`, or the distribution and version of a plugin.
    """
    records, faults = read_all()
    for fault in faults:
        logger.warning("%s", fault)
    return records


def read_all() -> tuple[builtins.list[dict[str, Any]], builtins.list[CheckpointError]]:
    """Return the records of `list`, and why each of the other tags cannot be read."""
    loaded, faults = _store().load_all()
    return [_record(entry, artifact) for entry, artifact in loaded], faults


def show(name: str) -> builtins.list[dict[str, Any]]:
    """Return the lineage of a tag: backbone, corpus, settings, results.

    Args:
        name: Full or short name, or the beginning of a fingerprint (4 characters or more).

    Returns:
        One record for each entry of the store that fits.

    Raises:
        UnknownNameError: when the store holds no such tag.
    """
    records, store = [], _store()
    for entry in store.get(name):
        config = store.load(entry).config
        records.append(
            {
                "tag": entry.name,
                "fingerprint": entry.fingerprint,
                "from": entry.source,
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
    store = _store()
    entry = _only(name, store)
    rows: np.ndarray = store.load(entry).tag(entry.name).float().numpy()
    return rows


def remove(name: str) -> dict[str, Any]:
    """Remove a tag from the store; predictors hold their tags themselves and go on working.

    Args:
        name: As for `get`, or `NAME@FINGERPRINT` where the store holds several.

    Returns:
        The record of the tag, as `list` gives it; of a damaged one its name and fingerprint.

    Raises:
        UnknownNameError: when the store holds no such tag.
        DuplicateNameError: when it holds several; it lists their fingerprints.
        CheckpointError: when a plugin's package holds the tag.
    """
    store = _store()
    entry = _only(name, store)
    record = _record_of(entry, store)
    store.remove(entry)
    return record


def prune(dry_run: bool = False) -> builtins.list[dict[str, Any]]:
    """Remove every tag that was trained again later for the same backbone.

    Args:
        dry_run: True: nothing is removed.

    Returns:
        The records of the tags that are removed, or would be, as `remove` gives them.
    """
    store = _store()
    found = [(entry, _record_of(entry, store)) for entry in store.outdated()]
    for entry, _ in found:
        if not dry_run:
            store.remove(entry)
    return [record for _, record in found]


def _store() -> TagStore:
    return TagStore.of(load_registry())


def _only(name: str, store: TagStore) -> StoredTag:
    """Return the only entry that a name stands for; the store's own go before a package's."""
    entries = store.get(name)
    entries = [entry for entry in entries if not entry.is_packaged] or entries
    if len(entries) > 1:
        shown = ", ".join(f"{entry.name}@{entry.fingerprint[:8]}" for entry in entries)
        raise DuplicateNameError(
            f"the tag store holds {len(entries)} tags '{name}'. Name one of them: {shown}."
        )
    return entries[0]


def _shown(tag: TagRecord) -> dict[str, Any]:
    """Return what a tag's record says, without what it leaves open."""
    return {key: value for key, value in to_plain(tag).items() if value not in (None, {})}


def _record_of(entry: StoredTag, store: TagStore) -> dict[str, Any]:
    """Return the record of an entry that is to be removed, also of a damaged one."""
    try:
        return _record(entry, store.load(entry))
    except CheckpointError:
        unknown = dict.fromkeys(("kind", "backbone", "rows", "steps"))
        return {
            "tag": entry.name,
            "fingerprint": entry.fingerprint,
            **unknown,
            "from": entry.source,
        }


def _record(entry: StoredTag, artifact: Artifact) -> dict[str, Any]:
    tag = artifact.config.tags[entry.name]
    lineage = to_plain(tag.lineage) or {}
    return {
        "tag": entry.name,
        "kind": tag.kind,
        "backbone": artifact.backbone,
        "fingerprint": entry.fingerprint,
        "rows": lineage.get("corpus_rows", lineage.get("rows")),
        "steps": lineage.get("steps"),
        "from": entry.source,
    }
