"""Running one stage: taken from the tag store or trained, and what is written of it."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from taglm_core.errors import counted
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress
from taglm_core.store.install import install_task
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.schema import TaskLineage, to_plain
from taglm_core.store.tagstore import TagStore
from taglm_core.training import processes
from taglm_core.training.build import start_again, take_stored
from taglm_core.training.domain_fit import train_domain
from taglm_core.training.domain_plan import DomainPlan
from taglm_core.training.lineage import (
    domain_artifact,
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
        with _locked(store, key, item.tag, item.fingerprint):
            if not settings.fresh:  # another run may have trained it while this one waited
                item.stored = processes.known(store.find(key, item.tag, item.fingerprint))
            if item.stored is None:
                lineage, offsets = train_domain(plan, item, model, folder, progress)
                artifact, readme = domain_artifact(plan, item, model, lineage, offsets)
                if processes.is_first():
                    store.save(key, item.tag, item.fingerprint, artifact, readme)
                item.stored = artifact
                return _said(dict(to_plain(lineage)), item, progress)
        take_stored(item, item.stored, model)
    if item.stored is None:
        return {}
    held = item.stored.config.tags[item.tag].lineage
    return _said({**to_plain(held), "from_store": True}, item, progress)


@contextlib.contextmanager
def _locked(store: TagStore, key: str, tag: str, fingerprint: str) -> Iterator[None]:
    """Hold an entry of the store, which the first process of a run does for all."""
    if not processes.is_first():
        yield
        return
    with store.lock(key, tag, fingerprint):
        yield


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
        made = train_task([again], {plan.task.name: ()}, folder, progress, number)
        seconds += made.seconds
        trained.append(task_model.member())
    task_model.become(trained[0])
    task_model.others = tuple(trained[1:])
    return attrs.evolve(lineage, seconds=round(seconds, 2))


def _start_enriched(plan: Plan, task_model: TaskModel) -> dict[str, DomainPlan]:
    """Give each enriched tag the value of its trained domain tag; return them by name."""
    enriched = {}
    for written, item in plan.domains.items():
        name = task_model.assembler.tag_of[written]
        if name != item.tag:
            task_model.model.tags[name].data.copy_(task_model.model.tags[item.tag])
            enriched[name] = item
    return enriched
