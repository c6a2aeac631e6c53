"""From an artifact to a predictor: the backbone, its tags, symbol tables, head and scaling."""

import logging
from collections.abc import Mapping

from taglm_core.data.measured import computing_code
from taglm_core.encoders import alphabet_of, load_encoder
from taglm_core.errors import BackboneError, CheckpointError, ConfigError, UnknownNameError
from taglm_core.inference.predictor import Predictor
from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.model.demonstrations import Demonstrations
from taglm_core.model.precision import PRECISIONS
from taglm_core.model.precisionprobe import slowdown
from taglm_core.model.prefix_cache import PrefixCache, cache_setting
from taglm_core.model.tagged import LAST, Pooling, TaggedModel
from taglm_core.model.targets import Scaling
from taglm_core.model.taskmodel import TaskModel, build_assembler
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Encoder
from taglm_core.store.artifact import Artifact, check_backbone
from taglm_core.store.install import install_table, install_tag, install_task
from taglm_core.store.tagstore import TagStore

logger = logging.getLogger(__name__)

_SLOW = 2.0
"""Times as long as in fp32 from which on a machine is told to be slow in bf16."""


def load_predictor(
    artifact: Artifact,
    registry: Registry,
    backbone: str | None = None,
    device: str = "auto",
    cache: str = "auto",
    precision: str | None = None,
    on_doubt: str = "raise",
) -> Predictor:
    """Put a task artifact onto its backbone.

    Args:
        artifact: A task artifact.
        registry: Must provide the domains that the artifact uses.
        backbone: Another name, folder, GGUF file or Hub id of the same backbone; None: the
            artifact's.
        device: Where to run.
        cache: Memory limit for cached prompt segments: `auto`, `off` or a size such as `2GB`;
            `+disk` appended spills to disk.
        precision: fp32 or bf16; None: the one in which it was trained.
        on_doubt: "raise" refuses data most of whose rows look like another kind of data, "warn"
            only warns.

    Raises:
        ConfigError: when the precision is neither.
        CheckpointError: when the backbone or an encoder is not the one it was trained with.
    """
    check_plugins(artifact, registry)
    model = TaggedModel(backbone_of(artifact, registry, backbone, device, precision))
    check_backbone(artifact, model.backbone.fingerprint(), backbone or artifact.backbone)
    encoders = install_inputs(model, artifact, registry)
    task_model = task_model_on(model, artifact, encoders, registry)
    if task_model.head is not None:
        setting, folder = cache_setting(cache), TagStore().scratch
        task_model.prefix_cache, _ = PrefixCache.open(model, setting, folder)
    return predictor_of(task_model, artifact, registry, on_doubt)


def install_inputs(
    model: TaggedModel, artifact: Artifact, registry: Registry
) -> dict[str, Encoder]:
    """Give a model the symbol tables and tags of an artifact; return its encoders by domain."""
    encoders = _encoders(artifact, registry)
    for domain, encoder in encoders.items():
        install_table(model, domain, encoder, artifact)
    for tag in artifact.tags:
        install_tag(model, artifact, tag)
    return encoders


def task_model_on(
    model: TaggedModel, artifact: Artifact, encoders: Mapping[str, Encoder], registry: Registry
) -> TaskModel:
    """Return the task model of an artifact.

    Args:
        model: Holds the inputs of the artifact; what is added to it later moves their ids.
        artifact: A task artifact.
        encoders: As `install_inputs` gives them.
        registry: Must provide the task's head.
    """
    record = artifact.task
    task = resolve_task(record.spec, record.plugin, registry)
    is_isolated = record.attention == "isolated"
    shown = record.demonstrations
    pooling = LAST
    if record.head is not None:
        pooling = Pooling.of(record.head.pooling, len(artifact.tag(task.function_tag)))
    task_model = TaskModel(
        task=task,
        model=model,
        assembler=build_assembler(
            task,
            model,
            encoders,
            is_isolated,
            record.domain_of,
            record.tag_of,
            0 if shown is None else shown.count,
        ),
        is_isolated=is_isolated,
        head=None,  # installed below, as are tags and scaling
        scaling=Scaling.plain(0),
        classes=getattr(record.spec.target, "classes", None) or (),
        decoding=record.decoding,
        pooling=pooling,
        demonstrations=None if shown is None else Demonstrations(shown, task, model.backbone),
    )
    install_task(task_model, artifact, registry)
    return task_model


def predictor_of(
    task_model: TaskModel, artifact: Artifact, registry: Registry, on_doubt: str = "raise"
) -> Predictor:
    """Return the predictor of a task model and the artifact that holds it."""
    record = artifact.task
    domains = {
        written: registry.domains.get(name, where=str(artifact.folder))
        for written, name in record.domain_of.items()
    }
    return Predictor(
        task_model,
        record.columns,
        combinations=frozenset(record.trained_combinations),
        artifact=artifact,
        domains=domains,
        on_doubt=on_doubt,
        known_code=computing_code(registry),
    )


def backbone_of(
    artifact: Artifact,
    registry: Registry,
    backbone: str | None = None,
    device: str = "auto",
    precision: str | None = None,
) -> Backbone:
    """Load the backbone in a precision, by default the artifact's; say if that is slow here."""
    if precision not in (None, *PRECISIONS):
        raise ConfigError(f"precision must be fp32, bf16, int8 or nf4, not {precision}.")
    loaded = _loaded(artifact, backbone, registry, device, precision or artifact.precision)
    factor = slowdown(loaded) if precision is None else 1.0
    if factor > _SLOW:
        logger.info(
            "predicting in bf16, as trained, which takes %.1f times as long as fp32 on this "
            "machine; fp32 (--precision fp32) is faster and gives slightly different values",
            factor,
        )
    return loaded


def _loaded(
    artifact: Artifact, backbone: str | None, registry: Registry, device: str, precision: str
) -> Backbone:
    """Load the backbone; where the artifact's own is gone, say how to name another copy."""
    if backbone is not None:
        return load_backbone(backbone, registry, device, precision)
    try:
        return load_backbone(artifact.backbone, registry, device, precision)
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{artifact.folder} was trained on the backbone '{artifact.backbone}', which was not "
            f"found. Name its folder or another copy of it: --backbone FOLDER. ({error})"
        ) from error
    except BackboneError as error:
        if str(error).startswith("device "):
            raise
        raise BackboneError(
            f"{error} {artifact.folder} was trained on it; another copy is named by --backbone "
            "FOLDER."
        ) from error


def check_plugins(artifact: Artifact, registry: Registry) -> None:
    """Demand the plugins that wrote the artifact's task and domains.

    Raises:
        CheckpointError: naming the distribution to install.
    """
    there = {loaded.source.name for loaded in registry.plugins}
    missing = {
        name: distribution
        for name, distribution in artifact.config.plugins.items()
        if name not in there
    }
    if missing:
        name, distribution = next(iter(missing.items()))
        package = distribution.split(" ")[0]
        raise CheckpointError(
            f"{artifact.folder} needs the plugin '{name}' of {distribution}, which is not "
            "installed or failed to load (`taglm plugins` shows why). Install it: pip install "
            f"{package}"
        )


def _encoders(artifact: Artifact, registry: Registry) -> dict[str, Encoder]:
    encoders: dict[str, Encoder] = {}
    for domain, record in artifact.config.domains.items():
        registered = registry.domains.get(domain, where=str(artifact.folder))
        alphabet = record.alphabet
        if alphabet is None:
            continue
        encoder = load_encoder(registered.spec, registered.name)
        now = alphabet_of(encoder)
        if (now.symbols, now.version) != (alphabet.symbols, alphabet.version):
            raise CheckpointError(
                f"{artifact.folder}: trained with version {alphabet.version} of the encoder of "
                f"{domain} ({len(alphabet.symbols)} symbols); {registered.source} has version "
                f"{now.version} ({len(now.symbols)} symbols). Install the plugin version that "
                f"wrote it: {artifact.config.plugins.get(registered.source.name, 'unknown')}."
            )
        encoders[domain] = encoder
    return encoders
