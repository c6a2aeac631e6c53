"""Running a task stage: taken from the tag store or trained, and what is written of it."""

from collections.abc import Sequence

import attrs

from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress
from taglm_core.store.install import install_task
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.schema import TaskLineage, to_plain
from taglm_core.store.tagstore import TagStore
from taglm_core.training import processes
from taglm_core.training.build import start_again
from taglm_core.training.domain_plan import DomainPlan
from taglm_core.training.lineage import (
    enriched_artifact,
    enriched_fingerprint,
    task_artifact,
)
from taglm_core.training.member import Member
from taglm_core.training.peak_memory import peak_memory
from taglm_core.training.plan import Plan
from taglm_core.training.splits import prepare_cache
from taglm_core.training.task_fit import train_task

_SEEDS_APART = 10_007
"""Between the seeds of members, so that ensembles of neighboring seeds share none."""


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
    for member in members:
        member.plan.stored_task = processes.known(member.plan.stored_task)
    if plan.stored_task is not None:
        for member in members:
            assert member.plan.stored_task is not None, "a group is stored whole or not at all"
            install_task(member.task_model, member.plan.stored_task, member.plan.registry)
        held = plan.stored_task.config.tags[plan.task.function_tag].lineage
        assert isinstance(held, TaskLineage), "a function tag is trained by stage 2 or 3"
        return held
    with peak_memory() as peak:
        lineage = train_task(members, enriched, folder, progress)
        if plan.config.stages.task.ensemble > 1:
            lineage = _train_others(members[0], lineage, folder, progress)
    lineage = attrs.evolve(lineage, peak_bytes=peak.num_bytes)
    for member in members:
        member.splits.clear()  # what was kept for training makes room for the next tag
    folder.log(to_plain(lineage))
    key = plan.fingerprint.key
    for member in members if processes.is_first() else ():
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
        The lineage with the seconds and the choices of all.
    """
    plan, task_model = member.plan, member.task_model
    trained, choices = [task_model.member()], []
    seconds = lineage.seconds
    for number in range(1, plan.config.stages.task.ensemble):
        config = attrs.evolve(plan.config, seed=plan.config.seed + number * _SEEDS_APART)
        own = attrs.evolve(plan, config=config)
        start_again(own, task_model)
        task_model.others = (trained[0],)  # all members read the same features
        again = Member(own, task_model, member.splits)
        made = train_task([again], {plan.task.name: ()}, folder, progress, number)
        seconds += made.seconds
        choices.append(made.head_choice.get(plan.task.name, {}))
        trained.append(task_model.member())
    task_model.become(trained[0])
    task_model.others = tuple(trained[1:])
    own_choice = lineage.head_choice
    if any(choices):
        first = own_choice.get(plan.task.name, {})
        own_choice = {**own_choice, plan.task.name: {**first, "others": choices}}
    return attrs.evolve(lineage, seconds=round(seconds, 2), head_choice=own_choice)


def _start_enriched(plan: Plan, task_model: TaskModel) -> dict[str, DomainPlan]:
    """Give each enriched tag the value of its trained domain tag; return them by name."""
    enriched = {}
    for written, item in plan.domains.items():
        name = task_model.assembler.tag_of[written]
        if name != item.tag:
            task_model.model.tags[name].data.copy_(task_model.model.tags[item.tag])
            enriched[name] = item
    return enriched
