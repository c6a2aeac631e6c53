"""Which head a run asks for, and when it can be a kernel head."""

from typing import TYPE_CHECKING

from taglm_core.errors import ConfigError
from taglm_core.model.kernel_head import KERNEL

if TYPE_CHECKING:
    from taglm_core.training.plan import Plan

AUTO = "auto"
CHOSEN_LATER = (AUTO, KERNEL)
"""Values of `stages.task.head` that train the tag with the linear head and choose afterwards."""


def check_head(plan: "Plan") -> None:
    """Refuse a kernel head where it cannot be fitted, or features that no field offers.

    Raises:
        ConfigError: naming the setting that stands in the way.
    """
    settings = plan.config.stages.task
    if settings.head == KERNEL and (reason := why_not(plan)) is not None:
        raise ConfigError(
            f"task {plan.task.name}: stages.task.head=kernel is not possible: {reason}."
        )
    if settings.features == "on":
        if settings.head not in CHOSEN_LATER:
            raise ConfigError(
                f"task {plan.task.name}: stages.task.features=on needs stages.task.head=kernel or "
                f"auto; {settings.head} reads states alone."
            )
        if (reason := why_not(plan)) is not None:
            raise ConfigError(
                f"task {plan.task.name}: stages.task.features=on is not possible: {reason}."
            )


def why_not(plan: "Plan") -> str | None:
    """Return why no kernel head can be fitted, None when it can."""
    settings, target = plan.config.stages.task, plan.task.spec.target
    if not plan.num_outputs:
        return "the task writes text"
    if settings.head_init != "fit":
        return "it needs stages.task.head_init=fit"
    if settings.huber is not None:
        return "it minimizes squares, and stages.task.huber is set"
    if getattr(target, "censored_below", None) is not None:
        return "the target is left-censored"
    return None
