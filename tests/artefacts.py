"""Artefacts made by hand, for tests that train nothing."""

from taglm_core.store.artefact import Artefact
from taglm_core.store.schema import ArtefactRecord, BackboneRecord, DomainLineage, TagRecord


def tag_artefact(backbone, corpus="", **tags):
    """Return an artefact of domain tags on a backbone.

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
    return Artefact(config=ArtefactRecord(kind="tag", backbone=place, tags=records), tags=rows)
