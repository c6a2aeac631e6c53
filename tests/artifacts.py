"""Artifacts made by hand, for tests that train nothing."""

from taglm_core.store.artifact import Artifact
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
