"""One task of a run: its plan, its model and its rows, and what a stage trains of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from taglm_core.model.taskmodel import TaskModel
from taglm_core.training.fit import Group
from taglm_core.training.objectives import HeadObjective, TaskObjective, TextObjective
from taglm_core.training.plan import Plan
from taglm_core.training.splits import SplitData


@attrs.frozen
class Member:
    """One task of a run: its plan, its model and its rows."""

    plan: Plan
    task_model: TaskModel
    splits: dict[str, SplitData]


def task_objective(member: Member) -> TaskObjective:
    """Return what training minimizes for a task."""
    settings = member.plan.config.stages.task
    train, valid, recipe = member.splits["train"], member.splits["valid"], member.plan.recipe
    # every step runs whole rows where the domain tag moves, so like lengths save padding
    sorts_batches = settings.enrich
    if member.task_model.head is None:
        return TextObjective(
            member.task_model, train, valid, settings.batch_tokens, sorts_batches=sorts_batches
        )
    return HeadObjective(
        member.task_model,
        train,
        valid,
        settings.batch_tokens,
        fit_rows=settings.fit_rows if settings.head_init == "fit" else 0,
        seed=member.plan.config.seed,
        sorts_batches=sorts_batches,
        delta=settings.huber,
        fit_epochs=settings.fit_epochs,
        selects_by_loss=member.plan.selects_by_loss,
        recipe=recipe.heads[member.plan.task.name] if recipe is not None else None,
    )


def trained_names(task_model: TaskModel, enriched: Iterable[str]) -> dict[str, Any]:
    """Return name -> parameter or module of everything that a task stage trains."""
    task, model = task_model.task, task_model.model
    named: dict[str, Any] = {f"<{task.function_tag}>": model.tags[task.function_tag]}
    named |= {f"<{tag}>": model.tags[tag] for tag in enriched}
    if task_model.head is not None:
        named[f"head {task.name}"] = task_model.head
    return named


def task_groups(
    members: Sequence[Member],
    enriched: Mapping[str, Iterable[str]],
    objectives: Mapping[str, TaskObjective],
) -> list[Group]:
    """Return the parameters that gradient steps train, with their rates.

    Args:
        members: Tasks that share a function tag.
        enriched: Task -> names of the domain tags that are trained along.
        objectives: Task -> its objective.
    """
    plan, tags = members[0].plan, members[0].task_model.model.tags
    settings = plan.config.stages.task
    lr = settings.lr or settings.tag_lr * plan.backbone.embedding_scale()[1]
    groups: list[Group] = []
    if plan.given_function_tag is None and settings.tag_length:
        groups.append(Group(f"<{plan.task.function_tag}>", (tags[plan.task.function_tag],), lr))
    for name in [name for names in enriched.values() for name in names]:
        groups.append(Group(f"<{name}>", (tags[name],), lr * 0.5))
    for member in members:
        parameters = objectives[member.plan.task.name].head_parameters
        if parameters:
            head_lr = settings.lr or settings.head_lr
            groups.append(Group(f"head {member.plan.task.name}", parameters, head_lr))
    return groups
