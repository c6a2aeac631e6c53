"""Which head a run asks for, and when it can be a kernel head."""

from taglm_core.errors import ConfigError
from taglm_core.model.kernel_head import KERNEL
from taglm_core.specs import Target
from taglm_core.training.config import TaskStageConfig

AUTO = "auto"
LINEAR = "linear"
CHOSEN_LATER = (AUTO, KERNEL)
"""Values of `stages.task.head` that train the tag with the linear head and choose afterwards."""


def check_head(task: str, settings: TaskStageConfig, target: Target) -> None:
    """Refuse a kernel head where it cannot be fitted, and features without one.

    Raises:
        ConfigError: naming the setting that stands in the way.
    """
    asked = "head=kernel" if settings.head == KERNEL else "features=on"
    if settings.head != KERNEL and settings.features != "on":
        return
    if settings.head == LINEAR:
        raise ConfigError(
            f"task {task}: stages.task.features=on needs stages.task.head=auto, kernel or mlp; "
            "linear uses the hidden states only."
        )
    reason = (why_not if settings.head in CHOSEN_LATER else why_no_features)(settings, target)
    if reason is not None:
        raise ConfigError(f"task {task}: stages.task.{asked} is not possible: {reason}.")


def check_ensemble(task: str, settings: TaskStageConfig, target: Target) -> None:
    """Refuse an ensemble of what has no head of its own seed.

    Raises:
        ConfigError: naming the setting that stands in the way.
    """
    if settings.ensemble == 1:
        return
    reason = None
    if target.kind == "text":
        reason = "the task writes text"
    elif settings.enrich:
        reason = "stages.task.enrich trains a domain tag too"
    elif settings.function_tag_from is not None:
        reason = "stages.task.function_tag_from gives one function tag"
    if reason is not None:
        raise ConfigError(
            f"task {task}: stages.task.ensemble is not possible: {reason}. "
            "Set stages.task.ensemble=1."
        )


def why_no_features(settings: TaskStageConfig, target: Target) -> str | None:
    """Return why a head that is fitted in passes can read no features, None when it can."""
    if target.kind == "text":
        return "the task writes text"
    if settings.head_init != "fit":
        return "it needs stages.task.head_init=fit"
    return None


def why_not(settings: TaskStageConfig, target: Target) -> str | None:
    """Return why no kernel head can be fitted, None when it can."""
    if (reason := why_no_features(settings, target)) is not None:
        return reason
    if settings.huber is not None:
        return "it minimizes squares, and stages.task.huber is set"
    if getattr(target, "censored_below", None) is not None:
        return "the target is left-censored"
    return None
