"""Running one stage: what is trained, with what rate, and what is written of it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from torch import Tensor

from taglm_core.data.splits import hold_out
from taglm_core.errors import counted
from taglm_core.model.tagged import TaggedModel, parameter_counts
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress, progress_bar
from taglm_core.specs import StageStarted
from taglm_core.store.install import install_task
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.schema import DomainLineage, TaskLineage, to_plain
from taglm_core.store.tagstore import TagStore
from taglm_core.training.budget import STAGE_ONE
from taglm_core.training.build import start_again, take_stored
from taglm_core.training.domain_plan import DomainPlan
from taglm_core.training.estimate import domain_estimate, task_estimate
from taglm_core.training.fit import FitResult, FitSettings, Group, fit
from taglm_core.training.head_choice import choose_head, choose_tag, start_of
from taglm_core.training.lineage import (
    domain_artifact,
    enriched_artifact,
    enriched_fingerprint,
    task_artifact,
)
from taglm_core.training.member import Member, task_groups, task_objective, trained_names
from taglm_core.training.objectives import DomainObjective, JointObjective, Objective
from taglm_core.training.peak_memory import peak_memory
from taglm_core.training.plan import Plan
from taglm_core.training.schedule import evaluation_seconds, fit_settings, in_time, num_steps
from taglm_core.training.splits import cached_rows, fill_cache, prepare_cache

_SHORTER_DOMAIN = "--preset quick, --time 10m, or --set stages.domain.max_steps=60"
_SHORTER_TASK = "--preset quick, --time 10m, or fewer rows (--set stages.task.rows=1000)"

_SEEDS_APART = 10_007
"""Between the seeds of members, so that ensembles of neighboring seeds share none."""


def run_domain_stage(
    plan: Plan,
    item: DomainPlan,
    model: TaggedModel,
    folder: RunFolder,
    store: TagStore,
    progress: Progress,
) -> dict[str, Any]:
    """Train one domain tag unless the store holds it or it is to stay untrained."""
    settings = plan.config.stages.domain
    key = plan.fingerprint.key
    if item.is_trained:
        with store.lock(key, item.tag, item.fingerprint):
            if not settings.fresh:  # another run may have trained it while this one waited
                item.stored = store.find(key, item.tag, item.fingerprint)
            if item.stored is None:
                lineage, offsets = _train_domain(plan, item, model, folder, progress)
                artifact, readme = domain_artifact(plan, item, model, lineage, offsets)
                store.save(key, item.tag, item.fingerprint, artifact, readme)
                item.stored = artifact
                return _said(dict(to_plain(lineage)), item, progress)
        take_stored(item, item.stored, model)
    if item.stored is None:
        return {}
    held = item.stored.config.tags[item.tag].lineage
    return _said({**to_plain(held), "from_store": True}, item, progress)


def _said(record: dict[str, Any], item: DomainPlan, progress: Progress) -> dict[str, Any]:
    """Say, and put into the record of stage 1, that a tag is worse than none."""
    nats = record.get("held_out_nats_per_symbol") or {}
    with_tag, without = nats.get("tag"), nats.get("no_tag")
    if with_tag is None or without is None or with_tag < without:
        return record
    rows = counted(record["held_out_rows"], "held-out row")
    remark = (
        f"the domain tag <{item.tag}> is worse than no tag: {with_tag:.4g} nats per symbol with "
        f"it, {without:.4g} without, on {rows}. Train it longer "
        "(--set stages.domain.epochs=3), or on data nearer to yours "
        f"(--domain-data {item.domain.short}=FILE)"
    )
    progress.say(f"note: {remark}")
    return {**record, "remark": remark}


def _train_domain(
    plan: Plan, item: DomainPlan, model: TaggedModel, folder: RunFolder, progress: Progress
) -> tuple[DomainLineage, Tensor | None]:
    settings = plan.config.stages.domain
    assert item.corpus is not None, "a tag that is trained has a corpus"
    with progress_bar(f"reading the rows of <{item.tag}>"):
        corpus = item.corpus.rows
        held_out, others = hold_out(len(corpus), plan.config.domain_seed)
        chosen = others[: settings.rows]
        objective = DomainObjective(
            model,
            item.domain.name,
            item.tag,
            item.encoder,
            [corpus[i] for i in chosen],
            [corpus[i] for i in held_out],
            settings.batch_tokens,
        )
    tag = model.tags[item.tag]
    lr = settings.lr or settings.tag_lr * plan.backbone.embedding_scale()[1]
    groups = [Group(f"<{item.tag}>", (tag,), lr)]
    if settings.train_symbols and item.encoder is not None:
        groups.append(Group("symbols", (model.tables[item.domain.name],), lr * 0.1))
    counts = {group.name: sum(p.numel() for p in group.parameters) for group in groups}
    name = f"stage 1 <{item.tag}>"
    event = StageStarted(stage=name, trained=counts, folder=folder.path)
    plan.registry.send("on_stage_started", event)
    steps = num_steps(len(chosen), settings.epochs, settings.batch_size, settings.max_steps)
    checkpoint = _checkpoint(folder, plan, f"domain-{item.tag.replace('/', '-')}")
    fitting = attrs.evolve(
        fit_settings(settings, steps, plan.config),
        seed=plan.config.domain_seed,
        series=item.domain.short,
    )
    if plan.budget is None:
        domain_estimate(name, plan.backbone, objective, fitting).say(progress, _SHORTER_DOMAIN)
    else:
        count = sum(each.is_trained for each in plan.domains.values())
        share = STAGE_ONE / max(1, count)
        fitting = in_time(plan.budget, name, fitting, objective, groups, model, progress, share)
    result = _fit(objective, groups, fitting, checkpoint, progress, name, model)
    with progress_bar(f"comparing <{item.tag}> with no tag and with words"):
        ways = [("tag", "tag"), ("no_tag", "none"), ("words", "words")]
        compared = {name: objective.nats(way, skip=1) for name, way in ways}
    lineage = DomainLineage(
        tag=item.tag,
        corpus=item.corpus.source,
        corpus_rows=len(chosen),
        held_out_rows=len(held_out),
        test_bucket_rows_left_out=item.corpus.num_bucket,
        rows_cut_to_backbone_length=objective.num_cut,
        trained=counts,
        steps=result.steps,
        seconds=result.seconds,
        held_out_nats_per_symbol=compared,
        history=result.history,
    )
    folder.log(to_plain(lineage))
    return lineage, objective.softmax.offsets


def _checkpoint(folder: RunFolder, plan: Plan, name: str) -> Path:
    """Return where a stage's checkpoint is; the other precision does not go on from it."""
    return folder.path / "checkpoints" / f"{name}-{plan.precision}"


def run_task_stage(
    members: Sequence[Member], folder: RunFolder, store: TagStore, progress: Progress
) -> TaskLineage:
    """Train a function tag and the heads of the tasks that share it, or take them from the store.

    An enriched domain tag is trained along if that is asked for.
    """
    plan, model = members[0].plan, members[0].task_model.model
    enriched = {m.plan.task.name: _start_enriched(m.plan, m.task_model) for m in members}
    if not plan.config.stages.task.enrich:
        own = [member.task_model for member in members]
        prepare_cache([m.plan for m in members], own, store.scratch, progress)
    if plan.stored_task is not None:
        for member in members:
            assert member.plan.stored_task is not None, "a group is stored whole or not at all"
            install_task(member.task_model, member.plan.stored_task, member.plan.registry)
        held = plan.stored_task.config.tags[plan.task.function_tag].lineage
        assert isinstance(held, TaskLineage), "a function tag is trained by stage 2 or 3"
        return held
    with peak_memory() as peak:
        lineage = _train_task(members, enriched, folder, progress)
        if plan.config.stages.task.ensemble > 1:
            lineage = _train_others(members[0], lineage, folder, progress)
    lineage = attrs.evolve(lineage, peak_bytes=peak.num_bytes)
    for member in members:
        member.splits.clear()  # what was kept for training makes room for the next tag
    folder.log(to_plain(lineage))
    key = plan.fingerprint.key
    for member in members:
        plan = member.plan
        artifact, readme = task_artifact(plan, member.task_model, {}, lineage)
        with store.lock(key, plan.task.function_tag, plan.task_fingerprint):
            store.save(key, plan.task.function_tag, plan.task_fingerprint, artifact, readme)
        for name, item in enriched[plan.task.name].items():
            fingerprint = enriched_fingerprint(plan, name)
            with store.lock(key, name, fingerprint):
                made = enriched_artifact(plan, item, name, model, lineage)
                store.save(key, name, fingerprint, *made)
    return lineage


def _train_others(
    member: Member, lineage: TaskLineage, folder: RunFolder, progress: Progress
) -> TaskLineage:
    """Train the further members of an ensemble; the first one has been trained.

    Returns:
        The lineage with the seconds of all.
    """
    plan, task_model = member.plan, member.task_model
    trained = [task_model.member()]
    seconds = lineage.seconds
    for number in range(1, plan.config.stages.task.ensemble):
        config = attrs.evolve(plan.config, seed=plan.config.seed + number * _SEEDS_APART)
        own = attrs.evolve(plan, config=config)
        start_again(own, task_model)
        again = Member(own, task_model, member.splits)
        made = _train_task([again], {plan.task.name: ()}, folder, progress, number)
        seconds += made.seconds
        trained.append(task_model.member())
    task_model.become(trained[0])
    task_model.others = tuple(trained[1:])
    return attrs.evolve(lineage, seconds=round(seconds, 2))


def _train_task(
    members: Sequence[Member],
    enriched: Mapping[str, Iterable[str]],
    folder: RunFolder,
    progress: Progress,
    number: int = 0,
) -> TaskLineage:
    plan, model = members[0].plan, members[0].task_model.model
    settings = plan.config.stages.task
    names = [member.plan.task.name for member in members]
    began = time.monotonic()
    name = f"stage {plan.stage_number} <{plan.task.function_tag}> for {', '.join(names)}"
    if settings.ensemble > 1:
        name += f", {number + 1} of {settings.ensemble}"
    rows = sum(len(member.splits["train"].rows) for member in members)
    steps = num_steps(rows, settings.epochs, settings.batch_size, settings.max_steps)
    fitting = fit_settings(settings, steps, plan.config)
    _keep_segments(members, name, fitting, progress)
    prefix_seconds = round(time.monotonic() - began, 2)
    objectives = {member.plan.task.name: task_objective(member) for member in members}
    trained: dict[str, Any] = {}
    for member in members:
        trained |= trained_names(member, enriched[member.plan.task.name])
    counts = parameter_counts(trained)
    event = StageStarted(stage=name, trained=counts, folder=folder.path)
    plan.registry.send("on_stage_started", event)
    with progress_bar("reading the states of the untrained tag"):
        start = {name: each.start(settings.head_init) for name, each in objectives.items()}
    first = next(iter(objectives.values()))
    recipe, untrained = plan.recipe, None
    before = time.monotonic()
    if len(members) == 1 and recipe is None:
        untrained = start_of(plan, first, members[0].splits, progress)
    choosing = time.monotonic() - before
    groups = task_groups(members, enriched, objectives)
    budget = plan.budget
    if budget is not None and recipe is not None:
        steps = min(steps, max(1, round(recipe.steps_a_row * rows)))
        fitting = attrs.evolve(fitting, steps=steps)
    elif budget is not None and groups:
        again = {member.plan.task.name: task_objective(member) for member in members}
        trial = next(iter(again.values())) if len(again) == 1 else JointObjective(again)
        share = 1.0 / max(1, budget.num_task_stages)
        fitting = in_time(
            budget,
            f"<{plan.task.function_tag}>",
            fitting,
            trial,
            groups,
            model,
            progress,
            share,
            lambda speed: evaluation_seconds(members, speed, choosing),
        )
        steps = fitting.steps
        budget.num_task_stages -= 1
    result = _fit(
        first if len(members) == 1 else JointObjective(objectives),
        groups,
        attrs.evolve(
            fitting,
            remark=_remark(members),
            series="+".join(names) + (f"-{number + 1}" if settings.ensemble > 1 else ""),
            beside=plan.baseline_scores if len(members) == 1 and recipe is None else {},
            keeps=recipe.steps(steps) if recipe is not None else None,
        ),
        _checkpoint(folder, plan, f"task-{'+'.join(names)}{f'-{number}' if number else ''}"),
        progress,
        name,
        model,
    )
    heads = {
        member.plan.task.name: choose_head(
            member.plan, objectives[member.plan.task.name], member.splits, progress
        )
        for member in members
    }
    choices = {task: head.facts for task, head in heads.items()}
    if len(members) == 1 and recipe is None:
        (task,) = heads
        choices[task] = choose_tag(untrained, heads[task], members[0].task_model, progress)
    kept = [s for m in members if (s := m.splits["train"].cached) is not None]
    return TaskLineage(
        stage=plan.stage_number,
        tag=plan.task.function_tag,
        tasks=tuple(names),
        rows=rows,
        trained=counts,
        lora_rank_8_q_v_parameters=plan.lora_parameters(),
        steps=result.steps,
        planned_steps=steps,
        best_step=result.best_step,
        seconds=round(time.monotonic() - began, 2),
        prefix_seconds=prefix_seconds,
        prefix_rows_kept=sum(each.num_cached for each in kept),
        prefix_bytes=sum(held.num_bytes for held in kept),
        head_start=start,
        head_choice={task: choice for task, choice in choices.items() if choice},
        selected_by=_selected_by(members),
        history=result.history,
    )


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
        task_estimate(stage, members, fitting, tokens).say(progress, _SHORTER_TASK)
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


def _fit(
    objective: Objective,
    groups: Sequence[Group],
    settings: FitSettings,
    checkpoint: Path,
    progress: Progress,
    name: str,
    model: TaggedModel,
) -> FitResult:
    """Fit with gradients for the groups alone; without any, solve what has a closed form."""
    if not groups:
        objective.refine()
        score, record = objective.evaluate()
        return FitResult(0, score, [{"step": 0, **record}], 0, 0.0)
    model.train_only([p for group in groups for p in group.parameters])
    result = fit(objective, groups, settings, checkpoint, progress, name)
    model.train_only([])
    return result


def _start_enriched(plan: Plan, task_model: TaskModel) -> dict[str, DomainPlan]:
    """Give each enriched tag the value of its trained domain tag; return them by name."""
    enriched = {}
    for written, item in plan.domains.items():
        name = task_model.assembler.tag_of[written]
        if name != item.tag:
            task_model.model.tags[name].data.copy_(task_model.model.tags[item.tag])
            enriched[name] = item
    return enriched
