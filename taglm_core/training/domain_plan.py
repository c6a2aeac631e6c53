"""What happens to one domain tag: trained in stage 1, taken from the store, or untrained."""

from collections.abc import Collection
from typing import Any

import attrs

from taglm_core.data.corpus import Corpus, read_corpus
from taglm_core.data.splits import NUM_BUCKETS
from taglm_core.encoders import alphabet_of, load_encoder
from taglm_core.errors import CheckpointError, ConfigError, UnknownNameError, nearest
from taglm_core.model.fingerprint import Fingerprint
from taglm_core.model.precision import BF16, FP32
from taglm_core.plugins import Registered, Registry
from taglm_core.plugins.resolved import ResolvedTask, domain_name
from taglm_core.specs import Domain, Encoder
from taglm_core.store.artifact import Artifact
from taglm_core.store.corpora import known_of
from taglm_core.store.fingerprint import fingerprint_of, has_effect, lean
from taglm_core.store.schema import Origin, TagRecord
from taglm_core.store.tagstore import TagStore
from taglm_core.training.config import RunConfig

TEXT = "text"
"""The encoder of a domain that the backbone's tokenizer reads."""


@attrs.define(kw_only=True)
class DomainPlan:
    """What happens to one domain tag."""

    tag: str
    """Key of the tag: `chem/SMILES`, `chem/SMILES@QED` named by the template, or
    `chem/SMILES+text` before rows that the backbone's tokenizer reads."""
    domain: Registered[Domain]
    encoder: Encoder | None
    corpus: Corpus | None = None
    """Rows for stage 1; None for a tag that stays untrained or is an enriched one."""
    fingerprint: str = ""
    stored: Artifact | None = None
    is_trained: bool = False
    """Whether stage 1 will train it in this run."""
    package: str = ""
    """Distribution and version of the plugin whose package holds the stored tag; "": none does."""

    @property
    def said(self) -> str:
        """A line for the reader of the run that says which package the tag comes from."""
        if not self.package:
            return ""
        return (
            f"<{self.tag}>: stage 1 is skipped, the trained tag of {self.package} is used "
            "(--set stages.domain.fresh=true trains it)"
        )


def plan_domain(
    tag: str,
    task: ResolvedTask,
    config: RunConfig,
    registry: Registry,
    backbone: Fingerprint,
    precision: str,
    store: TagStore,
    is_sketch: bool = False,
) -> DomainPlan:
    """Plan one domain tag: its corpus, its fingerprint, and what the store holds of it.

    Args:
        tag: The tag as written.
        task: The task.
        config: Settings of the run.
        registry: Where names are looked up.
        backbone: Fingerprint of the backbone.
        precision: Arithmetic of the backbone.
        store: Where trained tags are.
        is_sketch: Whether nothing will be trained by the plan: then rows of the domain's own
            corpus are not made where no stored tag could be of them.

    Raises:
        UnknownNameError: when the store lacks an enriched tag that the template names.
        ConfigError: when a domain cannot be read as text though the settings ask for it.
    """
    domain = task.domains.get(tag) or registry.domains.get(domain_name(tag), task.plugin)
    key = domain.name
    if config.stages.domain.encoder == TEXT and domain.spec.encoder != TEXT:
        # a key of its own, so that nothing takes it for a tag before symbols
        domain, key = _as_text(domain), f"{domain.name}+{TEXT}"
    encoder = None if domain.spec.encoder == TEXT else load_encoder(domain.spec, domain.name)
    _, _, enriched_for = tag.partition("@")
    plan = DomainPlan(tag=key, domain=domain, encoder=encoder)
    if enriched_for:
        plan.tag = f"{domain.name}@{enriched_for}"
        return _enriched(plan, backbone, store)
    settings = config.stages.domain
    alphabet = alphabet_of(encoder).fingerprint if encoder is not None else TEXT
    if not config.stages.task.domain_tags:
        start = {"length": settings.tag_length, "init": settings.tag_init}
        plan.fingerprint = fingerprint_of({"untrained": start, "alphabet": alphabet})
        return plan
    if _is_new(plan, task, config, backbone, store):
        if not settings.fresh and precision in (FP32, BF16):
            _take_packaged(plan, config, backbone.key, store)
        plan.is_trained = plan.stored is None
        if is_sketch or not plan.is_trained:
            return plan
    plan.corpus = _corpus_of(domain, config, registry)
    content = {
        "backbone": backbone.key,
        "precision": precision,
        "domain": domain.name,
        "alphabet": alphabet,
        "corpus": known_of(plan.corpus, store.corpora).fingerprint,
        "settings": lean(settings),
        "seed": config.domain_seed,
        "buckets": NUM_BUCKETS,
        "softmax": "calibrated" if encoder is not None else "plain",
    }
    plan.fingerprint = fingerprint_of(content)
    if not settings.fresh:
        _look_up(plan, content, config, backbone.key, store)
    plan.is_trained = plan.stored is None
    return plan


def _look_up(
    plan: DomainPlan, content: dict[str, Any], config: RunConfig, key: str, store: TagStore
) -> None:
    """Take a tag of the store, else one of a package, into a plan.

    A package's tag is trained in fp32 and its rows are float32, so that it serves bf16 too. It
    keeps its own fingerprint, by which function tags name the tag that they were trained with.
    """
    if store.path(key, plan.tag, plan.fingerprint).is_dir():
        plan.stored = store.find(key, plan.tag, plan.fingerprint)
        return
    precisions = [content["precision"]] + [FP32] * (content["precision"] == BF16)
    for precision in precisions:
        fingerprint = fingerprint_of({**content, "precision": precision})
        packaged = store.find_packaged(key, plan.tag, fingerprint)
        if packaged is not None:
            entry, plan.stored = packaged
            plan.fingerprint, plan.package = fingerprint, entry.source
            return
    if config.time is not None:  # one with fewer steps is another tag
        plan.fingerprint = fingerprint_of([plan.fingerprint, config.time])
        plan.stored = store.find(key, plan.tag, plan.fingerprint)


def _take_packaged(plan: DomainPlan, config: RunConfig, key: str, store: TagStore) -> None:
    """Take a package's tag of these settings; rows that nobody gives are not made to compare.

    That would take longer than some runs. The tests of the package make them.
    """
    for entry in store.packaged_entries():
        if (entry.backbone_key, entry.name) != (key, plan.tag):
            continue
        found = store.find_packaged(key, entry.name, entry.fingerprint)
        if found is not None and _is_as_asked(found[1].config.tags[plan.tag], config):
            plan.stored, plan.fingerprint = found[1], entry.fingerprint
            plan.package = entry.source


def check_domain_files(config: RunConfig, tags: Collection[str]) -> None:
    """Demand that each file of stage 1 is of a domain tag that the run trains on.

    Args:
        config: Settings of the run.
        tags: The domain tags of its tasks, without their plugins.

    Raises:
        UnknownNameError: naming the tag, and those of the run.
    """
    for job in config.jobs():
        for name in job.data.domain:
            if name.rpartition("/")[2] not in tags:
                known = sorted(tags)
                raise UnknownNameError(
                    f"--domain-data {name}=FILE (data.domain): the run has no domain tag '{name}'."
                    f"{nearest(name, known)} Its domain tags: {', '.join(known)}."
                )


def _is_new(
    plan: DomainPlan, task: ResolvedTask, config: RunConfig, backbone: Fingerprint, store: TagStore
) -> bool:
    """Whether no tag of the store can be of the rows of a domain's own corpus, whatever they are.

    Tags of packages aside.
    """
    spec = plan.domain.spec
    if spec.corpus is None or any(n.rpartition("/")[2] == spec.tag for n in config.data.domain):
        return False
    entries = [entry for entry in store.own_entries() if entry.backbone_key == backbone.key]
    packaged = store.packaged_entries()
    known = {entry.fingerprint for entry in packaged if entry.name == plan.tag}
    try:
        for entry in entries:
            if entry.name == plan.tag:
                if _is_as_asked(store.load(entry).config.tags[plan.tag], config):
                    return False
                known.add(entry.fingerprint)
        # a function tag outlives the domain tag that it was trained with
        artifacts = [store.load(entry) for entry in entries if entry.name == task.function_tag]
    except CheckpointError:  # which one is damaged is said when it is needed
        return False
    origins = [
        tag.enriched_from or Origin(tag=name, fingerprint=tag.fingerprint)
        for artifact in artifacts
        for name, tag in artifact.config.tags.items()
    ]
    return all(each.fingerprint in known for each in origins if each.tag == plan.tag)


def _is_as_asked(tag: TagRecord, config: RunConfig) -> bool:
    """Whether a stored tag was trained with these settings, those that it does not name aside."""
    domain = config.stages.domain
    own = tag.settings.get("seed")
    if (tag.seed if own is None else own) != config.domain_seed:
        return False
    wanted = {f.name: getattr(domain, f.name) for f in attrs.fields(type(domain)) if has_effect(f)}
    return all(tag.settings.get(key, value) == value for key, value in wanted.items())


def _corpus_of(domain: Registered[Domain], config: RunConfig, registry: Registry) -> Corpus:
    files = {name.rpartition("/")[2]: path for name, path in config.data.domain.items()}
    return read_corpus(
        domain,
        registry,
        files.get(domain.spec.tag),
        config.domain_seed,
        config.stages.domain.size,
        config.data.on_error,
        config.data.fix,
        config.data.on_doubt,
    )


def _as_text(domain: Registered[Domain]) -> Registered[Domain]:
    """Return a domain whose rows the backbone's tokenizer reads.

    Raises:
        ConfigError: when a row of it is a record of several columns.
    """
    if domain.spec.columns:
        raise ConfigError(
            f"stages.domain.encoder=text: a row of <{domain.spec.tag}> is a record of the columns "
            f"{', '.join(domain.spec.columns)}, which no tokenizer reads. Leave the setting out."
        )
    return attrs.evolve(domain, spec=attrs.evolve(domain.spec, encoder=TEXT))


def _enriched(plan: DomainPlan, backbone: Fingerprint, store: TagStore) -> DomainPlan:
    newest = store.newest(backbone.key, plan.tag)
    if newest is None:
        raise UnknownNameError(
            f"the tag store holds no enriched tag <{plan.tag}> for this backbone. Train its task "
            "first with --set stages.task.enrich=true."
        )
    plan.stored = store.load(newest)
    plan.fingerprint = newest.fingerprint
    return plan
