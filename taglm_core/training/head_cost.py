"""What the fits of a head in passes will take, before any of them is made."""

import attrs
import torch

from taglm_core.model.heads import LinearHead
from taglm_core.training.feature_choice import (
    candidate_seconds,
    candidates,
    may_choose,
    other_weights,
    some_of,
)
from taglm_core.training.head_fitter import fit_seconds
from taglm_core.training.head_loss import HeadLoss
from taglm_core.training.member import Member
from taglm_core.training.objectives.head import fitted_sample


@attrs.frozen(kw_only=True)
class HeadSeconds:
    """Seconds of the fits of one head, or of several together."""

    states: float = 0.0
    """Of one fit to the states: before the first step, and in each evaluation."""
    features: tuple[float, ...] = ()
    """Of the fits with features after the last step, in their order."""

    def __add__(self, other: "HeadSeconds") -> "HeadSeconds":
        """Return the seconds of both, one after the other."""
        return HeadSeconds(
            states=self.states + other.states, features=self.features + other.features
        )


def head_seconds(member: Member) -> HeadSeconds:
    """Time some steps of each fit that a task's head needs; closed forms and texts take none.

    Args:
        member: The task with its rows.
    """
    plan, task_model, splits = member.plan, member.task_model, member.splits
    settings = plan.config.stages.task
    if settings.head_init != "fit" or task_model.head is None:
        return HeadSeconds()
    loss = HeadLoss(task_model, settings.huber, plan.selects_by_loss)
    train, valid = splits["train"], splits["valid"]
    sample = fitted_sample(plan.config.seed, len(train.rows), settings.fit_rows)
    states = 0.0
    if not isinstance(task_model.head, LinearHead):
        targets = loss.targets(train.targets)[torch.from_numpy(sample)]
        epochs = settings.fit_epochs
        if plan.recipe is not None:
            epochs = int(plan.recipe.heads[plan.task.name].fit.get("fit_pass", epochs))
        head, width = plan.seeded_head(), task_model.width
        states = fit_seconds(loss, head, width, targets, valid.targets, epochs)
    if not may_choose(plan):
        return HeadSeconds(states=states)
    fields = some_of(train.fields, sample)
    features = [
        candidate_seconds(plan, loss, splits, sample, reader)
        for reader, _ in candidates(plan, task_model, fields)
    ]
    if features:  # the best one, once more with each other weight
        features += [max(features)] * len(other_weights(plan, task_model))
    return HeadSeconds(states=states, features=tuple(features))
