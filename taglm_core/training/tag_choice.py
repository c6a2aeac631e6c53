"""Whether the function tag is trained, and whether the trained one is kept, under a kernel head."""

from collections.abc import Mapping
from typing import Any

import attrs
from torch import Tensor

from taglm_core.model.ensemble import EnsembleMember
from taglm_core.model.kernel_head import KernelHead
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress, say_detail
from taglm_core.training import processes
from taglm_core.training.head_choice import Choice, choose_head
from taglm_core.training.head_settings import AUTO, CHOSEN_LATER
from taglm_core.training.kernel_fit import Fitted
from taglm_core.training.objectives import HeadObjective, TaskObjective
from taglm_core.training.plan import Plan
from taglm_core.training.recipe import UNTRAINED
from taglm_core.training.splits import SplitData

_GAIN_OF_TRAINING = 0.02
"""A trained tag is kept if its error on valid is lower by this share of the untrained tag's,"""
_SURE = 2.0
"""and by this many standard errors of the difference: the trained tag is the best of several
evaluations on the same rows, so that chance alone makes it look better there. It is trained at all
if the head of the untrained one gains as much over the features alone."""


@attrs.frozen(eq=False)
class Start:
    """The kernel head of the untrained function tag, which the trained one has to beat."""

    member: EnsembleMember
    choice: Choice


def start_of(
    plan: Plan,
    objective: TaskObjective,
    splits: Mapping[str, SplitData],
    progress: Progress,
    fitted: Fitted,
) -> Start | None:
    """Choose a head for the untrained tag and put everything back; None if that is linear.

    On few rows a trained tag may know its training rows rather than the task.
    """
    task_model = objective.task_model if isinstance(objective, HeadObjective) else None
    settings = plan.config.stages.task
    if task_model is None or settings.head not in CHOSEN_LATER:
        return None
    if settings.enrich or plan.given_function_tag is not None:
        return None  # a domain tag moves beside the function tag, or none of them does
    before, offset = task_model.member(), task_model.scaling.offset.clone()
    choice = choose_head(plan, objective, splits, progress, fitted, is_trained=False)
    if not isinstance(task_model.head, KernelHead):
        return None
    member = attrs.evolve(task_model.member(), scaling=task_model.scaling.copy())
    task_model.become(before)
    task_model.scaling.offset.copy_(offset)
    return Start(member, choice)


def choose_tag(
    start: Start | None, choice: Choice, task_model: TaskModel, progress: Progress
) -> dict[str, Any]:
    """Go back to the untrained tag and its head if training gained too little.

    Only the validation split can tell: the trained tag has seen all rows of cross-validation.

    Args:
        start: What the untrained tag reaches; None: no kernel head.
        choice: Of the trained tag.
        task_model: With the trained tag and its head.
        progress: Hears what was chosen.

    Returns:
        The facts of the choice, for the lineage.
    """
    if start is None or choice.valid_errors is None or start.choice.valid_errors is None:
        return choice.facts
    found = _compare(start.choice.valid_errors, choice.valid_errors)
    before, after, deviation = found.before, found.after, found.deviation
    compared = {"untrained": before, "trained": after, "standard_error": deviation}
    if found.is_sure:
        return {**choice.facts, "tag": "trained", "training": compared}
    task_model.become(start.member)
    progress.say("function tag: untrained, since training it gained too little")
    say_detail(
        progress,
        f"mean squared error on the valid split: {after:.4f} trained, {before:.4f} untrained, "
        f"standard error of the difference {deviation:.4f}",
    )
    return {**start.choice.facts, "tag": UNTRAINED, "training": compared}


def why_untrained(plan: Plan, start: Start | None, progress: Progress) -> dict[str, Any] | None:
    """Decide that a tag stays untrained, if its states add too little to what features tell.

    A trained tag has to pass the same test against the untrained one. Where the states as a whole,
    with features or without, do not pass it against the features alone, better states would hardly.

    Args:
        plan: Its settings; with `features: on` the tag is trained whatever its states add.
        start: What the untrained tag reaches; None: no kernel head.
        progress: Hears of it.

    Returns:
        The facts of the choice, for the lineage; None: the tag is to be trained.
    """
    if start is None or plan.config.stages.task.features != AUTO:
        return None
    if start.choice.valid_errors is None or start.choice.features_alone is None:
        return None
    found = _compare(start.choice.features_alone, start.choice.valid_errors)
    if processes.decided(lambda: found.is_sure):
        return None
    before, after, deviation = found.before, found.after, found.deviation
    progress.say(
        "function tag: not trained, since on the valid split its states are not surely better than "
        "the features alone (--set stages.task.features=on trains it)"
    )
    say_detail(
        progress,
        f"mean squared error on the valid split: {before:.4f} of the features alone, {after:.4f} "
        f"of the head with states, standard error of the difference {deviation:.4f}",
    )
    compared = {"without_states": before, "with_states": after, "standard_error": deviation}
    return {**start.choice.facts, "tag": UNTRAINED, "states": compared}


@attrs.frozen
class _Compared:
    """Mean errors of the same rows before and after a change."""

    before: float
    after: float
    gain: float
    """By how much the error of a row fell, in the mean of rows that have both."""
    deviation: float
    """Standard error of the gain."""

    @property
    def is_sure(self) -> bool:
        """Whether errors fell by more than the least share and than chance."""
        return self.gain > max(_GAIN_OF_TRAINING * self.before, _SURE * self.deviation)


def _compare(before: Tensor, after: Tensor) -> _Compared:
    """Compare the errors `(rows,)` of the same rows; NaN where one is missing."""
    gains = before - after
    gains = gains[~gains.isnan()]
    gain = deviation = 0.0
    if len(gains) >= 2:
        gain, deviation = float(gains.mean()), float(gains.std() / len(gains) ** 0.5)
    return _Compared(float(before.nanmean()), float(after.nanmean()), gain, deviation)
