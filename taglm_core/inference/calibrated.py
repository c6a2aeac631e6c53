"""The calibration of `taglm identify` for some tags, made once and kept beside the tag store."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.atomic import kept_json, write_bytes
from taglm_core.data.digests import path_digest
from taglm_core.errors import DataError
from taglm_core.inference.domains import TrainedDomain, corpus_of
from taglm_core.inference.identify import (
    Calibration,
    Typical,
    bits_per_byte,
    calibrate,
    num_bytes,
)
from taglm_core.plugins import Registry
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.store.tagstore import TagStore

VALIDATION_ROWS = 120
"""Most held-out rows of each domain that a calibration uses."""

_FORMAT = 2


def calibrated(
    trained: Sequence[TrainedDomain],
    registry: Registry,
    store: TagStore,
    files: Mapping[str, Path],
    say: Callable[[str], None],
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Calibrate on the validation rows of each domain that has any, or take what was kept.

    Args:
        trained: Domains with their tags, on one backbone.
        registry: Where corpora are looked up.
        store: Beside which calibrations are kept.
        files: Full name of a domain -> table of its validation rows, instead of those held out of
            the tag's corpus.
        say: Is told which domains have no rows.
        on_progress: Called with the (row, domain) pairs done and in all.

    Raises:
        DataError: when one of `files` cannot be read.
    """
    file = store.folder.parent / "calibrations" / f"{_key(trained, files)}.json"
    calibration = _load(file)
    if calibration is not None:
        return calibration
    rows: list[str] = []
    truth: list[int] = []
    for k, item in enumerate(trained):
        try:
            _, held_out, _ = corpus_of(item, registry, files.get(item.name))
        except DataError as error:
            if item.name in files:  # which somebody named
                raise
            say(f"not calibrated for {item.name}: {error}")
            continue
        held_out = held_out[:VALIDATION_ROWS]
        rows += held_out
        truth += [k] * len(held_out)
    if not rows:
        return Calibration()
    pairs = len(rows) * len(trained)
    advance = None if on_progress is None else lambda done: on_progress(done, pairs)
    bits = bits_per_byte(trained, rows, on_progress=advance)
    calibration = calibrate(bits, num_bytes(rows), truth, [item.name for item in trained])
    if len(set(truth)) == len(trained):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, json.dumps(attrs.asdict(calibration), indent=1).encode())
    return calibration


def _key(trained: Sequence[TrainedDomain], files: Mapping[str, Path]) -> str:
    """Return what a calibration depends on: the tags and the rows that they are judged by."""
    backbone = [item.model.backbone.fingerprint().key for item in trained[:1]]
    asked: list[Any] = [_FORMAT, VALIDATION_ROWS, backbone]
    for item in trained:
        assert item.artifact is not None, "asked of trained tags"
        source = files.get(item.name) or Path(item.artifact.config.tags[item.name].corpus)
        rows = [str(source), path_digest(source)] if source.is_file() else [str(source)]
        asked.append([item.name, _content(item), rows])
    return fingerprint_of(asked)


def _content(item: TrainedDomain) -> str:
    assert item.artifact is not None, "asked of trained tags"
    tag = item.artifact.tag(item.name)
    return fingerprint_of(tag.detach().cpu().double().numpy().tolist())


def _load(file: Path) -> Calibration | None:
    """Read what was kept; None when there is nothing, or nothing that can be read."""
    try:
        stored = kept_json(file)
        limits = {name: Typical(**facts) for name, facts in stored.pop("limits").items()}
        return Calibration(**stored, limits=limits)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
