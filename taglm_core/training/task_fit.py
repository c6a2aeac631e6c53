"""Stages 2 and 3: what is trained of a function tag and its heads, and what came of it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from taglm_core.model.tagged import parameter_counts
from taglm_core.progress import Progress, progress_bar
from taglm_core.specs import StageStarted
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.schema import TaskLineage
from taglm_core.training.estimate import task_estimate
from taglm_core.training.fit import FitSettings, Group
from taglm_core.training.head_choice import choose_head, compare_with_more, seconds_of_more
from taglm_core.training.head_cost import HeadSeconds, head_seconds
from taglm_core.training.kernel_fit import Fitted
from taglm_core.training.member import Member, task_groups, task_objective, trained_names
from taglm_core.training.objectives import JointObjective, Objective, TaskObjective
from taglm_core.training.recipe import UNTRAINED
from taglm_core.training.schedule import evaluation_seconds, fit_settings, in_time, num_steps
from taglm_core.training.splits import cached_rows, fill_cache
from taglm_core.training.stage_fit import checkpoint_folder, fit_stage, untrained_fit
from taglm_core.training.tag_choice import Start, choose_tag, start_of, why_untrained

_SHORTER = "--preset quick, --time 10m, or fewer rows (--set stages.task.rows=1000)"


def train_task(
    members: Sequence[Member],
    enriched: Mapping[str, Iterable[str]],
    folder: RunFolder,
    progress: Progress,
    number: int = 0,
) -> TaskLineage:
    """Train a function tag and the heads of the tasks that share it.

    Args:
        members: The tasks.
        enriched: Task -> domain tags that are trained along.
        folder: Of the run.
        progress: Hears of the steps.
        number: Of the member of an ensemble that is trained.
    """
    plan, model = members[0].plan, members[0].task_model.model
    settings = plan.config.stages.task
    began = time.monotonic()
    name = _stage_name(members, number)
    rows = sum(len(member.splits["train"].rows) for member in members)
    steps = num_steps(rows, settings.epochs, settings.batch_size, settings.max_steps)
    fitting = fit_settings(settings, steps, plan.config)
    _keep_segments(members, name, fitting, progress)
    prefix_seconds = round(time.monotonic() - began, 2)
    objectives = {member.plan.task.name: task_objective(member) for member in members}
    counts = _announced(members, enriched, folder, name)
    with progress_bar("reading the states of the untrained tag"):
        start = {task: each.start(settings.head_init) for task, each in objectives.items()}
    fitted = {task: Fitted() for task in objectives}
    untrained, stays, before = None, None, time.monotonic()
    if _chooses_tag(members):
        ((task, first),) = objectives.items()
        untrained = start_of(plan, first, members[0].splits, progress, fitted[task])
        stays = why_untrained(plan, untrained, progress)
    choosing = time.monotonic() - before
    if plan.budget is not None and untrained is not None:
        choosing += seconds_of_more(first, untrained.choice.facts)
    groups = task_groups(members, enriched, objectives) if stays is None else []
    fitting = _in_time(members, fitting, groups, rows, choosing, progress)
    fitting = _shown_with(members, fitting, number)
    names = "+".join(objectives)
    checkpoint = checkpoint_folder(folder, plan, f"task-{names}{f'-{number}' if number else ''}")
    objective = _joined(objectives)
    if untrained is None or stays is None:
        result = fit_stage(objective, groups, fitting, checkpoint, progress, name, model)
        choices = _choose_heads(members, objectives, untrained, progress, fitted)
    else:  # its head is there already
        result = untrained_fit(objective)
        members[0].task_model.become(untrained.member)
        choices = {plan.task.name: _with_more(members[0], objectives, stays, progress)}
        head = f"head {plan.task.name}"
        counts = {head: counts[head]}
    kept = [s for m in members if (s := m.splits["train"].cached) is not None]
    return TaskLineage(
        stage=plan.stage_number,
        tag=plan.task.function_tag,
        tasks=tuple(objectives),
        rows=rows,
        trained=counts,
        lora_rank_8_q_v_parameters=plan.planned.outline.lora_parameters(),
        steps=result.steps,
        planned_steps=fitting.steps,
        best_step=result.best_step,
        seconds=round(time.monotonic() - began, 2),
        step_seconds=result.step_seconds,
        prefix_seconds=prefix_seconds,
        prefix_rows_kept=sum(each.num_cached for each in kept),
        prefix_bytes=sum(held.num_bytes for held in kept),
        head_start=start,
        head_choice={task: choice for task, choice in choices.items() if choice},
        selected_by=_selected_by(members),
        history=result.history,
    )


def _announced(
    members: Sequence[Member],
    enriched: Mapping[str, Iterable[str]],
    folder: RunFolder,
    stage: str,
) -> dict[str, int]:
    """Tell plugins what a stage trains, and return its parameters by name."""
    trained: dict[str, Any] = {}
    for member in members:
        trained |= trained_names(member, enriched[member.plan.task.name])
    counts = parameter_counts(trained)
    event = StageStarted(stage=stage, trained=counts, folder=folder.path)
    members[0].plan.registry.send("on_stage_started", event)
    return counts


def _stage_name(members: Sequence[Member], number: int) -> str:
    plan = members[0].plan
    tasks = ", ".join(member.plan.task.name for member in members)
    name = f"stage {plan.stage_number} <{plan.task.function_tag}> for {tasks}"
    num_members = plan.config.stages.task.ensemble
    return f"{name}, {number + 1} of {num_members}" if num_members > 1 else name


def _chooses_tag(members: Sequence[Member]) -> bool:
    """Whether the trained tag has to beat the untrained one, under a head of its own."""
    return len(members) == 1 and members[0].plan.recipe is None


def _joined(objectives: Mapping[str, TaskObjective]) -> Objective:
    """Return the objective of one task, or that of several together."""
    return JointObjective(objectives) if len(objectives) > 1 else next(iter(objectives.values()))


def _in_time(
    members: Sequence[Member],
    fitting: FitSettings,
    groups: Sequence[Group],
    rows: int,
    choosing: float,
    progress: Progress,
) -> FitSettings:
    """Return the settings with the steps that the time of the run allows, if it has a limit."""
    plan = members[0].plan
    budget, recipe = plan.budget, plan.recipe
    if budget is None:
        return fitting
    if recipe is not None:
        steps = min(fitting.steps, max(1, round(recipe.steps_a_row * rows)))
        return attrs.evolve(fitting, steps=steps)
    share = 1.0 / max(1, budget.num_task_stages)
    budget.num_task_stages -= 1
    if not groups:
        return fitting
    trial = _joined({member.plan.task.name: task_objective(member) for member in members})
    heads = _head_seconds(members)
    return in_time(
        budget,
        f"<{plan.task.function_tag}>",
        fitting,
        trial,
        groups,
        members[0].task_model.model,
        progress,
        share,
        lambda speed: evaluation_seconds(members, speed, choosing, heads.states),
        heads.features,
    )


def _head_seconds(members: Sequence[Member]) -> HeadSeconds:
    """Return what the fits of the tasks' heads in passes take."""
    return sum((head_seconds(member) for member in members), HeadSeconds())


def _shown_with(members: Sequence[Member], fitting: FitSettings, number: int) -> FitSettings:
    """Return the settings with what bars and loggers show beside the scores."""
    plan = members[0].plan
    series = "+".join(member.plan.task.name for member in members)
    if plan.config.stages.task.ensemble > 1:
        series += f"-{number + 1}"
    return attrs.evolve(
        fitting,
        remark=_remark(members),
        series=series,
        beside=plan.baseline_scores if _chooses_tag(members) else {},
        keeps=plan.recipe.steps(fitting.steps) if plan.recipe is not None else None,
    )


def _choose_heads(
    members: Sequence[Member],
    objectives: Mapping[str, TaskObjective],
    untrained: Start | None,
    progress: Progress,
    fitted: Mapping[str, Fitted],
) -> dict[str, dict[str, Any]]:
    """Give every task its head, and a task alone the better one of its tags.

    Args:
        members: The tasks.
        objectives: Task -> its objective.
        untrained: What the tag of a task alone reached before it was trained.
        progress: Hears what is chosen.
        fitted: Task -> what was fitted before.

    Returns:
        Task -> what was compared.
    """
    heads = {
        task: choose_head(m.plan, objectives[task], m.splits, progress, fitted[task])
        for m in members
        for task in [m.plan.task.name]
    }
    choices = {task: head.facts for task, head in heads.items()}
    if _chooses_tag(members):
        (task,) = heads
        choices[task] = choose_tag(untrained, heads[task], members[0].task_model, progress)
        if choices[task].get("tag") == UNTRAINED:
            objectives[task].moved()
    return {
        m.plan.task.name: _with_more(m, objectives, choices[m.plan.task.name], progress)
        for m in members
    }


def _with_more(
    member: Member,
    objectives: Mapping[str, TaskObjective],
    facts: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Let the kernel head of a run that chooses compare with more rows; return its facts."""
    plan = member.plan
    if plan.recipe is not None:
        return facts
    return compare_with_more(plan, objectives[plan.task.name], member.splits, facts, progress)


def _keep_segments(
    members: Sequence[Member], stage: str, fitting: FitSettings, progress: Progress
) -> None:
    """Say what the stage will take, then compute once what stands before the function tag."""
    plan = members[0].plan
    settings = plan.config.stages.task
    keeps = not settings.enrich and bool(settings.tag_length)
    cached = [
        cached_rows(m.plan, m.task_model, m.splits, progress) if keeps else {} for m in members
    ]
    if plan.budget is None:
        tokens = sum(int(rows.segments.sizes.sum()) for each in cached for rows in each.values())
        estimate = task_estimate(stage, members, fitting, tokens, _head_seconds(members))
        estimate.say(progress, _SHORTER)
    if keeps:
        for member, rows in zip(members, cached, strict=True):
            fill_cache(member.plan, member.task_model, member.splits, rows, progress)


def _remark(members: Sequence[Member]) -> str:
    """Return what is shown behind each score of the training."""
    plan = members[0].plan
    if plan.recipe is not None:
        return "of rows that are trained on"
    return plan.baseline_note if len(members) == 1 else ""


def _selected_by(members: Sequence[Member]) -> str:
    """Return what early stopping judged by."""
    if members[0].plan.recipe is not None:
        return "the validation split of the run that was scored; trained on all rows"
    if len(members) > 1:
        return "the mean loss of the tasks on their validation splits"
    plan = members[0].plan
    if not plan.task.is_numeric:
        return "nats per token on the validation split"
    name = "loss" if plan.selects_by_loss else plan.task.metrics[0].name
    return f"{name} on the validation split"
