"""The function tag of a run: untrained in the form that the settings ask for, or a given one."""

import attrs
from torch import Tensor

from taglm_core.errors import CheckpointError, ConfigError
from taglm_core.inference.outline import Outline
from taglm_core.model.backbone import Backbone
from taglm_core.model.fingerprint import Fingerprint
from taglm_core.model.tag_forms import ADAPTER, AUTO, INPUT, inner_tensors
from taglm_core.model.tags import initial_tag
from taglm_core.store.artifact import check_backbone, read_artifact
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.training.config import TaskStageConfig

_CLOSED_FORM = ("auto", "linear", "kernel")
"""Heads that are fitted to states in closed form."""


@attrs.frozen(eq=False)
class FunctionTag:
    """The numbers of a function tag."""

    rows: Tensor
    """`(tag_length, hidden)`."""
    inner: dict[str, Tensor]
    """What it has in the layers, by place."""
    form: str
    """input or adapter."""

    @property
    def fingerprint(self) -> str:
        """Return a hash of the numbers."""
        rows = self.rows.tolist()
        inner = {place: value.tolist() for place, value in self.inner.items()}
        return fingerprint_of([rows, inner] if inner else rows)


def given_tag(settings: TaskStageConfig, backbone: Fingerprint) -> FunctionTag | None:
    """Return the function tag of the run or artifact that `function_tag_from` names, if it does.

    Raises:
        CheckpointError: when there is none, or it belongs to another backbone.
    """
    path = settings.function_tag_from
    if path is None:
        return None
    artifact = read_artifact(path)
    check_backbone(artifact, backbone, "the backbone of this run")
    for name, record in artifact.config.tags.items():
        if record.kind == "function":
            return FunctionTag(artifact.tag(name), artifact.inner_of(name), record.form)
    raise CheckpointError(
        f"{path} holds no function tag. Give the folder of a task's run, not of a domain tag."
    )


def untrained_tag(
    backbone: Backbone, name: str, settings: TaskStageConfig, seed: int
) -> FunctionTag:
    """Return the start of a function tag by the settings of its stage and a seed."""
    rows = initial_tag(backbone, name, settings.tag_length, settings.tag_init, seed)
    inner = inner_tensors(backbone, settings.tag, name, settings.adapter_rank, seed)
    return FunctionTag(rows, inner, settings.tag)


def tag_counts(
    outline: Outline, name: str, settings: TaskStageConfig, given: FunctionTag | None
) -> dict[str, int]:
    """Return how many numbers a function tag has at the input and in the layers, by their names."""
    if given is not None:
        form, length = given.form, given.rows.numel()
        count = sum(value.numel() for value in given.inner.values())
    else:
        form, length = settings.tag, settings.tag_length * outline.hidden_size
        sizes = outline.maps.values() if form == ADAPTER else ()
        count = sum(settings.adapter_rank * (width + height) for width, height in sizes)
    found = {f"<{name}>": length}
    if count:
        found[inner_name(form, name)] = count
    return found


def with_form(settings: TaskStageConfig, is_numeric: bool, outline: Outline) -> TaskStageConfig:
    """Return settings that say where the function tag acts, where they leave it open.

    An adapter pays where a linear or kernel head is fitted to its states in closed form. Under a
    head with hidden layers it gained nothing, and for text it has not been measured.

    Args:
        settings: Of the stage.
        is_numeric: Whether the task predicts numbers or classes.
        outline: Of the backbone in whose layers an adapter would act.
    """
    if settings.tag != AUTO:
        return settings
    can_act = is_numeric and settings.head in _CLOSED_FORM and settings.head_init == "fit"
    has_own = settings.function_tag_from is None and settings.tag_length > 0
    form = INPUT
    if can_act and has_own and not settings.enrich and not outline.refusal:
        form = ADAPTER
    return attrs.evolve(settings, tag=form)


def check_form(settings: TaskStageConfig) -> None:
    """Refuse a form that has nothing to act at, or that a given tag has already decided.

    Raises:
        ConfigError: naming the setting that stands in the way.
    """
    if settings.tag in (INPUT, AUTO):
        return
    reason = None
    if settings.function_tag_from is not None:
        reason = "stages.task.function_tag_from gives a tag, which keeps its own form"
    elif settings.tag_length == 0:
        reason = "stages.task.tag_length=0 leaves the function tag out"
    if reason is not None:
        raise ConfigError(f"stages.task.tag={settings.tag} is not possible: {reason}.")


def inner_name(form: str, tag: str) -> str:
    """Return how the part of a tag that acts in the layers is named, such as `<QED> adapter`."""
    return f"<{tag}> {form}"
