"""Putting what an artifact holds into a model: the only place that does."""

from collections.abc import Mapping

from torch import Tensor, nn

from taglm_core.model.ensemble import EnsembleMember
from taglm_core.model.features import FeatureReader
from taglm_core.model.heads import make_head
from taglm_core.model.kernel_head import KERNEL, KernelHead
from taglm_core.model.similarity import SimilarityReader
from taglm_core.model.symbols import BARE, symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.targets import num_outputs
from taglm_core.model.taskmodel import TaskModel
from taglm_core.plugins import Registry
from taglm_core.specs import Encoder
from taglm_core.store.artifact import Artifact
from taglm_core.store.schema import HeadRecord, MemberRecord


def install_tag(model: TaggedModel, artifact: Artifact, name: str) -> None:
    """Give a model a tag of an artifact; one that is there keeps its place.

    Raises:
        UnknownNameError: when the artifact does not hold the tag.
    """
    model.set_tag(name, artifact.tag(name), artifact.inner_of(name))


def install_table(
    model: TaggedModel,
    domain: str,
    encoder: Encoder | None,
    artifact: Artifact | None = None,
    start: str = BARE,
) -> None:
    """Give a model the symbol table of a domain, the artifact's if it holds one.

    Args:
        model: The model.
        domain: Full name of the domain.
        encoder: Its symbol encoder; None: a text domain, which has no table.
        artifact: Where a table may be; None: nowhere.
        start: How a table is made that no artifact holds, see `model.symbols.STARTS`.
    """
    if encoder is None:
        return
    own = artifact.tables.get(domain) if artifact is not None else None
    table = model.tables.get(domain)
    if table is None:
        spellings = tuple(encoder.spellings)
        rows = symbol_rows(model.backbone, spellings, start) if own is None else own
        model.add_table(domain, rows)
    elif own is not None:
        table.data.copy_(own)


def install_task(task_model: TaskModel, artifact: Artifact, registry: Registry) -> None:
    """Give a task model the tags, the head with its features, and the scaling of a task's artifact.

    Its tags must have been added to the model before, since their places decide the ids.
    """
    for name in artifact.tags:
        if name in task_model.model.tags:
            install_tag(task_model.model, artifact, name)
    if artifact.task.similarity:
        task_model.similarity = SimilarityReader.of_records(
            artifact.task.similarity, artifact.similarity, registry
        )
    task_model.intervals = artifact.intervals
    record = artifact.task.head
    if record is None:
        return
    scaling = artifact.task.scaling
    assert scaling is not None, "a head has a scaling"
    task_model.scaling = scaling.copy()
    head = _head(record, artifact.head, task_model, registry)
    task_model.set_head(head, _features(record, registry))
    task_model.others = tuple(
        _member(number, record, task_model, artifact, registry)
        for number, record in enumerate(artifact.task.ensemble)
    )


def _member(
    number: int, record: MemberRecord, task_model: TaskModel, artifact: Artifact, registry: Registry
) -> EnsembleMember:
    state = artifact.of_member(number, "head")
    head = _head(record.head, state, task_model, registry)
    return EnsembleMember(
        tag=artifact.members[f"{number}.tag"],
        inner=artifact.of_member(number, "inner"),
        head=head.to(task_model.model.backbone.device),
        scaling=record.scaling.copy(),
        features=_features(record.head, registry),
    )


def _features(record: HeadRecord, registry: Registry) -> FeatureReader | None:
    return FeatureReader.of_records(record.features, registry) if record.features else None


def _head(
    record: HeadRecord,
    state: Mapping[str, Tensor],
    task_model: TaskModel,
    registry: Registry,
) -> nn.Module:
    """Return the head of a record, with these numbers."""
    if record.name == KERNEL:  # made from its numbers
        head: nn.Module = KernelHead.of_state(state)
    else:
        spec = registry.heads.get(record.name, task_model.task.plugin)
        outputs = num_outputs(task_model.task.spec.target, task_model.classes)
        head = make_head(spec, task_model.width, outputs, record.options, record.num_features)
        head.load_state_dict(state)
    return head
