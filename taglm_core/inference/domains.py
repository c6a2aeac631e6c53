"""Trained domain tags put onto their backbone, for sampling from them and for comparing them."""

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from taglm_core.data.corpus import corpus_rows, read_corpus
from taglm_core.data.splits import hold_out
from taglm_core.encoders import TextEncoder, encode_checked, load_encoder
from taglm_core.errors import DataError, UnknownNameError
from taglm_core.model.backbone import Backbone
from taglm_core.model.divided import change_precision
from taglm_core.model.likelihood import DomainSoftmax
from taglm_core.model.tagged import TaggedModel
from taglm_core.plugins import Registered, Registry
from taglm_core.specs import Domain, Encoded, Encoder
from taglm_core.specs.reference import resolve
from taglm_core.store.artifact import Artifact, check_backbone, read_artifact
from taglm_core.store.install import install_table, install_tag
from taglm_core.store.tagstore import TagStore


@attrs.define
class TrainedDomain:
    """A domain on a model that holds its symbol table and its tag."""

    domain: Registered[Domain]
    encoder: Encoder | None
    """None: the LM's tokenizer."""
    model: TaggedModel
    softmax: DomainSoftmax
    artifact: Artifact | None
    """Where the tag came from; None: without a tag."""
    conditions: tuple[str, ...] = ()
    """Keys of tags in the model that stand between the domain tag and a row."""

    @property
    def name(self) -> str:
        """Full name of the domain."""
        return self.domain.name

    @property
    def base(self) -> int:
        """First id of the domain's symbols in the common space, 0 for text."""
        return self.model.layout.symbols[self.name][0] if self.encoder is not None else 0

    def before(self, with_conditions: bool = True) -> np.ndarray:
        """Return what stands before a row, int32 `(tokens,)`.

        The tag behind the BOS, if the backbone has one. Without a tag the BOS, or the end of a
        text: something has to stand there for the first symbol to be predicted.
        """
        bos = np.asarray(self.model.backbone.bos_ids, dtype=np.int32)
        if self.artifact is not None:
            layout = self.model.layout
            conditions = self.conditions if with_conditions else ()
            tags = [layout.tag_ids(name) for name in (self.name, *conditions)]
            return np.concatenate([bos, *tags])
        return bos if len(bos) else np.array([self.model.backbone.end_id], dtype=np.int32)

    def encode(self, rows: Sequence[str]) -> Encoded:
        """Encode rows; those that are not of this domain get an error.

        A row is not of the domain when its alphabet lacks a symbol or the domain's own check
        refuses it.
        """
        if self.encoder is None:
            return TextEncoder(self.model.backbone.tokenizer).encode_batch(rows)
        encoded = encode_checked(self.encoder, rows, self.name)
        spec = self.domain.spec
        if spec.canonical is None:
            return encoded
        fine = [i for i, error in enumerate(encoded.errors) if error is None]
        checked = resolve(spec.canonical, f"domain {self.name}, canonical")([rows[i] for i in fine])
        errors = list(encoded.errors)
        for i, error in zip(fine, checked.errors, strict=True):
            errors[i] = error
        return encoded._replace(errors=errors)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the row that symbol ids spell."""
        if self.encoder is None:
            return TextEncoder(self.model.backbone.tokenizer).decode(ids)
        text: str = self.encoder.decode(ids)
        return text


def load_domain(
    name: str,
    backbone: Backbone,
    registry: Registry,
    store: TagStore,
    folder: Path | None = None,
    with_tag: bool = True,
    model: TaggedModel | None = None,
) -> TrainedDomain:
    """Put a domain and its newest trained tag onto a backbone.

    Args:
        name: Full or short name of the domain.
        backbone: The backbone.
        registry: Must provide the domain.
        store: Where the tag is looked up.
        folder: Run or artifact that holds the tag instead; None: the store.
        with_tag: False: the symbols alone.
        model: A model on the backbone to add to; None: a new one.

    Raises:
        UnknownNameError: when no trained tag is found.
        CheckpointError: when the tag of `folder` belongs to another backbone.
    """
    domain = registry.domains.get(name)
    artifact = _tag_of(domain, backbone, store, folder) if with_tag else None
    model = model or TaggedModel(backbone)
    encoder = None if domain.spec.encoder == "text" else load_encoder(domain.spec, domain.name)
    install_table(model, domain.name, encoder, artifact)
    if artifact is not None:
        install_tag(model, artifact, domain.name)
    offsets = artifact.offsets.get(domain.name) if artifact is not None else None
    softmax = DomainSoftmax.of(backbone, encoder, offsets)
    return TrainedDomain(domain, encoder, model, softmax, artifact)


def _tag_of(
    domain: Registered[Domain], backbone: Backbone, store: TagStore, folder: Path | None
) -> Artifact:
    fingerprint = backbone.fingerprint()
    if folder is not None:
        artifact = read_artifact(folder)
        check_backbone(artifact, fingerprint, backbone.name)
        artifact.tag(domain.name)  # says so where it is not held
        return artifact
    entry = store.newest(fingerprint.key, domain.name)
    if entry is None:
        raise UnknownNameError(
            f"the tag store {store.folder} holds no trained tag <{domain.name}> for the backbone "
            f"'{backbone.name}'. `taglm run` of a task that names it trains it; or give a run that "
            "holds it by its folder."
        )
    return store.load(entry)


def compute_as_trained(trained: Sequence[TrainedDomain]) -> None:
    """Put the backbone of some domains, loaded in fp32, into the precision of all their tags.

    Where they differ, or without a tag, it stays in fp32.
    """
    precisions = {item.artifact.precision for item in trained if item.artifact is not None}
    if len(precisions) == 1:
        change_precision(trained[0].model.backbone, precisions.pop())


def trained_domains(
    backbone: Backbone, registry: Registry, store: TagStore
) -> tuple[list[str], list[str]]:
    """Return the domains of which the store holds a tag for the backbone.

    Returns:
        Names of those whose rows are texts, and of those whose rows are records of columns, which
        no text is of.
    """
    key = backbone.fingerprint().key
    stored = {entry.name for entry in store.entries() if entry.backbone_key == key}
    domains = [domain for domain in registry.domains if domain.name in stored]
    texts = [domain.name for domain in domains if not domain.spec.columns]
    return texts, [domain.name for domain in domains if domain.spec.columns]


def rows_of_file(trained: TrainedDomain, registry: Registry, file: Path) -> list[str]:
    """Return the canonical rows of a table; invalid ones are skipped, and counted in the log.

    Raises:
        TaglmError: when there is no such file, no column of the domain, or no valid row.
    """
    return read_corpus(trained.domain, registry, str(file), 0, None, "skip").all_rows


def corpus_of(
    trained: TrainedDomain, registry: Registry, file: Path | None = None
) -> tuple[list[str], list[str], str]:
    """Return the rows that a tag was trained on and those held out of it, as stage 1 divides them.

    Args:
        trained: With a tag.
        registry: Where the corpus is looked up.
        file: A table instead of the tag's own corpus; all of it counts as held out.

    Returns:
        Trained rows, held-out rows, and the corpus's name.

    Raises:
        DataError: when the corpus is a file that is gone.
    """
    if file is not None:
        rows, source, _ = corpus_rows(trained.domain, registry, str(file), 0, None, "skip")
        return [], rows, source
    assert trained.artifact is not None, "asked of a trained tag"
    record = trained.artifact.config.tags[trained.name]
    source, seed, settings = record.corpus, record.seed or 0, record.settings
    is_dataset = any(dataset.name == source for dataset in registry.datasets)
    if not is_dataset and not Path(source).is_file():
        raise DataError(
            f"the corpus of <{trained.name}>, '{source}', is not on this machine. Give rows of "
            "this domain in a file."
        )
    path = None if is_dataset else source
    rows, _, _ = corpus_rows(trained.domain, registry, path, seed, settings.get("size"), "skip")
    held_out, used = hold_out(len(rows), seed)
    used = used[: settings.get("rows")]
    return [rows[i] for i in used], [rows[i] for i in held_out], source
