"""Artifacts made by hand, for tests that train nothing."""

import json
import shutil
from pathlib import Path

import attrs
import numpy as np
from safetensors.torch import load_file, save_file

from taglm_core.model.intervals import Intervals
from taglm_core.store.artifact import Artifact, load_artifact, save_artifact
from taglm_core.store.schema import ArtifactRecord, BackboneRecord, DomainLineage, TagRecord


def tag_artifact(backbone, corpus="", **tags):
    """Return an artifact of domain tags on a backbone.

    Args:
        backbone: The backbone.
        corpus: What the tags are said to have been trained on.
        **tags: Name -> rows; `plugin__tag` stands for `plugin/tag`.
    """
    rows = {name.replace("__", "/"): value for name, value in tags.items()}
    records = {
        name: TagRecord(
            kind="domain", fingerprint="made", lineage=DomainLineage(tag=name, corpus=corpus)
        )
        for name in rows
    }
    place = BackboneRecord(name=backbone.name, fingerprint=backbone.fingerprint())
    return Artifact(config=ArtifactRecord(kind="tag", backbone=place, tags=records), tags=rows)


KEPT = Path(__file__).parent / "data" / "artifacts" / "v2"
"""Predictors on the random llama of `taglm_core.testing`: censored, classes, layers, pair, text."""


def kept_predictor(kind, target, task=None, shift=0.0):
    """Copy a kept predictor to a folder, with another name of its task and another function tag.

    Args:
        kind: Name of the kept predictor.
        target: Folder to write.
        task: Other name of the task; None: as it is.
        shift: Added to the numbers of its tags.
    """
    shutil.copytree(KEPT / kind, target)
    record = (target / "config.json").read_text(encoding="utf-8")
    spec = json.loads(record)["task"]["spec"]
    old, tag = spec["name"], spec["function_tag"]
    new, new_tag = (task or old), tag.replace(old, task or old)
    for before, after in ((f'"{old}"', f'"{new}"'), (tag, new_tag), (f"<{old}>", f"<{new}>")):
        record = record.replace(before, after)
    if task is not None:  # its prompt has words of its own behind the spans
        record = record.replace(f"<{new}>", f"{new.lower()}: <{new}>")
    (target / "config.json").write_text(record, encoding="utf-8")
    tensors = load_file(target / "tags.safetensors")
    moved = {name.replace(tag, new_tag): value for name, value in tensors.items()}
    if shift:
        for name in moved:
            if name.startswith("tag:"):
                moved[name] = moved[name] + shift
    save_file(moved, target / "tags.safetensors")
    return target


def give_intervals(folder, rows=15):
    """Give a predictor of one number the intervals of residuals 0.1, 0.2 and so on.

    Args:
        folder: Of the predictor.
        rows: Validation rows.
    """
    artifact = load_artifact(folder)
    residuals = np.arange(1, rows + 1)[:, None] / 10
    made = Intervals.of_rows(artifact.task.spec.target.names, residuals, 0 * residuals)
    task = attrs.evolve(artifact.task, intervals=made.records)
    config = attrs.evolve(artifact.config, task=task)
    made = attrs.evolve(artifact, config=config, residuals=dict(made.residuals))
    save_artifact(folder, made, "")
