"""One task of a run: its plan, its model and its rows, and what a stage trains of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from torch import nn

from taglm_core.model.tag_forms import inner_scales
from taglm_core.model.taskmodel import TaskModel
from taglm_core.training.fit import Group
from taglm_core.training.function_tag import inner_name
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


def trained_names(member: Member, enriched: Iterable[str]) -> dict[str, Any]:
    """Return name -> parameter or module of everything that a task stage trains.

    Args:
        member: The task.
        enriched: Names of the domain tags that are trained along.
    """
    plan, task_model, model = member.plan, member.task_model, member.task_model.model
    task, tag = task_model.task, task_model.task.function_tag
    named: dict[str, Any] = {}
    if plan.given_function_tag is None:
        named[f"<{tag}>"] = model.tags[tag]
        if tag in model.inner:
            name = inner_name(plan.tag_form, tag)
            named[name] = nn.ParameterList(model.inner[tag].values())
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
    plan, model = members[0].plan, members[0].task_model.model
    tags, name = model.tags, plan.task.function_tag
    settings = plan.config.stages.task
    lr = settings.lr or settings.tag_lr * plan.backbone.embedding_scale()[1]
    groups: list[Group] = []
    if plan.given_function_tag is None and settings.tag_length:
        groups.append(Group(f"<{name}>", (tags[name],), lr))
        groups += _inner_groups(plan, name, model.inner.get(name, {}))
    for name in [name for names in enriched.values() for name in names]:
        groups.append(Group(f"<{name}>", (tags[name],), lr * 0.5))
    for member in members:
        parameters = objectives[member.plan.task.name].head_parameters
        if parameters:
            head_lr = settings.lr or settings.head_lr
            groups.append(Group(f"head {member.plan.task.name}", parameters, head_lr, is_head=True))
    return groups


def _inner_groups(plan: Plan, name: str, inner: Mapping[str, nn.Parameter]) -> list[Group]:
    """Return what a function tag has in the layers, with rates that fit the size of each."""
    settings = plan.config.stages.task
    if not inner:
        return []
    scales = inner_scales(plan.backbone, inner)
    return [
        Group(f"<{name}> {place}", (value,), settings.lr or settings.tag_lr * scales[place])
        for place, value in inner.items()
    ]
