"""Domain tags that a task's artifact lacks, put beside its own: recombination without training."""

from collections.abc import Sequence
from pathlib import Path

from taglm_core.encoders import load_encoder
from taglm_core.errors import ConfigError, UnknownNameError
from taglm_core.inference.predictor import Predictor
from taglm_core.model.taskmodel import build_assembler
from taglm_core.plugins import Registry
from taglm_core.store.artifact import Artifact, check_backbone, read_artifact
from taglm_core.store.install import install_table, install_tag
from taglm_core.store.tagstore import TagStore


def add_tags(
    predictor: Predictor, words: Sequence[str], registry: Registry, store: TagStore
) -> None:
    """Give a predictor further domain tags that columns may name.

    Args:
        predictor: Its template names a tag by a column.
        words: `NAME`: the newest trained one of the store; `NAME=FOLDER`: of an artifact.
        registry: Must provide the domains.
        store: Where names are looked up.

    Raises:
        TaglmError: when a tag is not there or belongs to another backbone.
    """
    task_model = predictor.task_model
    task, assembler, model = task_model.task, task_model.assembler, task_model.model
    if words and not task.prompt.tag_columns:
        raise ConfigError(
            f"--tag {words[0]}: in the template of {task.name} no column names a tag. Leave --tag "
            "out."
        )
    domain_of, tag_of = dict(assembler.domain_of), dict(assembler.tag_of)
    encoders = dict(assembler.encoders)
    for word in words:
        name, _, folder = word.partition("=")
        domain = registry.domains.get(name, task.plugin, f"--tag {word}")
        artifact = stored_tag(domain.name, Path(folder) if folder else None, predictor, store)
        install_tag(model, artifact, domain.name)
        if domain.spec.encoder != "text" and domain.name not in encoders:
            encoders[domain.name] = load_encoder(domain.spec, domain.name)
            install_table(model, domain.name, encoders[domain.name], artifact)
        domain_of[name], tag_of[name] = domain.name, domain.name
    task_model.assembler = build_assembler(
        task,
        model,
        encoders,
        task_model.is_isolated,
        domain_of,
        tag_of,
        task_model.num_demonstrations,
    )


def stored_tag(name: str, folder: Path | None, predictor: Predictor, store: TagStore) -> Artifact:
    """Return the artifact that holds a domain tag.

    Raises:
        UnknownNameError: when the store or the artifact has no such tag for the backbone.
    """
    backbone = predictor.task_model.model.backbone
    fingerprint = backbone.fingerprint()
    if folder is None:
        entry = store.newest(fingerprint.key, name)
        if entry is None:
            raise UnknownNameError(
                f"the tag store {store.folder} holds no trained tag <{name}> for the backbone "
                f"'{backbone.name}'. Train it by a run whose rows (or task.tags) name it, or give "
                "the folder of a run or predictor that holds it: NAME=FOLDER."
            )
        return store.load(entry)
    artifact = read_artifact(folder)
    check_backbone(artifact, fingerprint, backbone.name)
    artifact.tag(name)  # says so where it is not held
    return artifact
