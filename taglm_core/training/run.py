"""The stage scheduler: runs what a plan needs in dependency order, evaluates and writes."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from taglm_core.data.splits import hold_out
from taglm_core.model.tagged import TaggedModel, parameter_counts
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import RunFinished, StageStarted
from taglm_core.store.artefact import save_artefact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training.build import build_task_model, take_stored, untrained_model
from taglm_core.training.config import RunConfig
from taglm_core.training.domain_stage import DomainObjective
from taglm_core.training.evaluation import evaluate_run
from taglm_core.training.fit import FitSettings, Group, fit
from taglm_core.training.lineage import domain_artefact, put_task, task_artefact
from taglm_core.training.parts import PartData, assemble_parts, keep_prefixes
from taglm_core.training.plan import DomainPlan, Plan
from taglm_core.training.precision import autocast
from taglm_core.training.progress import Progress
from taglm_core.training.task_stage import (
    TaskObjective,
    head_parameters,
    resolve_head,
    start_head,
    trained_names,
)


def execute(plan: Plan, folder: RunFolder, store: TagStore, progress: Progress) -> dict[str, Any]:
    """Run every stage that the plan needs, evaluate, and write the run folder.

    Returns:
        The contents of metrics.json.
    """
    began = time.monotonic()
    torch.manual_seed(plan.config.seed)
    model = untrained_model(plan)
    task_model = build_task_model(plan, model)
    # every row is assembled before anything is trained, so that a row too long is found at once
    parts = assemble_parts(plan, task_model)
    with autocast(plan.precision, plan.backbone.device):
        stages = [
            _domain_stage(plan, item, model, folder, store, progress)
            for item in plan.domains.values()
        ]
        stages.append(_task_stage(plan, task_model, parts, folder, store, progress))
        progress.say("evaluating")
        metrics = evaluate_run(plan, task_model, folder)
    task = metrics["tasks"][plan.task.name]
    task["stages"] = [stage for stage in stages if stage]
    metrics["seconds"] = round(time.monotonic() - began, 1)
    artefact = task_artefact(plan, task_model, metrics)
    save_artefact(folder.path / "artefact", *artefact)
    folder.write_json("metrics.json", metrics)
    plan.registry.send("on_run_finished", RunFinished(folder=folder.path, metrics=metrics))
    return metrics


def _domain_stage(
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
                record = _train_domain(plan, item, model, folder, progress)
                artefact, readme = domain_artefact(plan, item, model, record)
                store.save(key, item.tag, item.fingerprint, artefact, readme)
                item.stored = artefact
                return record
        take_stored(item, item.stored, model)
    if item.stored is None:
        return {}
    held: dict[str, Any] = item.stored.config["tags"][item.tag]["lineage"]
    return {**held, "from_store": True}


def _train_domain(
    plan: Plan, item: DomainPlan, model: TaggedModel, folder: RunFolder, progress: Progress
) -> dict[str, Any]:
    settings = plan.config.stages.domain
    held_out, others = hold_out(len(item.corpus), plan.config.seed)
    chosen = others[: settings.rows]
    objective = DomainObjective(
        model,
        item.domain.name,
        item.tag,
        item.encoder,
        [item.corpus[i] for i in chosen],
        [item.corpus[i] for i in held_out],
        settings.batch_tokens,
    )
    tag = model.tags[item.tag]
    lr = settings.lr or settings.tag_lr * plan.backbone.embedding_scale()[1]
    groups = [Group(f"<{item.tag}>", (tag,), lr)]
    if settings.train_symbols and item.encoder is not None:
        groups.append(Group("symbols", (model.tables[item.domain.name],), lr * 0.1))
    parameters = [p for group in groups for p in group.parameters]
    model.train_only(parameters)
    counts = {group.name: sum(p.numel() for p in group.parameters) for group in groups}
    name = f"stage 1 <{item.tag}>"
    event = StageStarted(stage=name, trained=counts, folder=folder.path)
    plan.registry.send("on_stage_started", event)
    steps = _steps(len(chosen), settings.epochs, settings.batch_rows, settings.max_steps)
    checkpoint = folder.path / "checkpoints" / f"domain-{item.tag.replace('/', '-')}"
    result = fit(
        objective,
        groups,
        _fit_settings(settings, steps, plan.config.seed),
        checkpoint,
        progress,
        name,
    )
    model.train_only([])
    compared = {
        "tag": objective.nats("tag", skip=1),
        "no_tag": objective.nats("none", skip=1),
        "words": objective.nats("words", skip=1),
    }
    record = {
        "stage": 1,
        "tag": item.tag,
        "corpus": item.corpus_source,
        "corpus_rows": len(chosen),
        "held_out_rows": len(held_out),
        "test_bucket_rows_left_out": item.num_bucket,
        "rows_cut_to_backbone_length": objective.num_cut,
        "trained": counts,
        "steps": result.steps,
        "seconds": result.seconds,
        "held_out_nats_per_symbol": {k: round(v, 4) for k, v in compared.items()},
        "history": result.history,
    }
    folder.log(record)
    return record


def _steps(rows: int, epochs: float, batch_rows: int, most: int | None) -> int:
    steps = max(1, math.ceil(rows * epochs / batch_rows))
    return min(steps, most) if most is not None else steps


def _fit_settings(settings: Any, steps: int, seed: int) -> FitSettings:
    return FitSettings(
        steps=steps,
        batch_rows=settings.batch_rows,
        batch_tokens=settings.batch_tokens,
        schedule=settings.schedule,
        warmup_ratio=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        clip=settings.clip,
        evals=settings.evals,
        patience=settings.patience,
        seed=seed,
    )


def _task_stage(
    plan: Plan,
    task_model: TaskModel,
    parts: dict[str, PartData],
    folder: RunFolder,
    store: TagStore,
    progress: Progress,
) -> dict[str, Any]:
    """Train function tag and head, and the enriched domain tag if asked for."""
    settings = plan.config.stages.task
    model = task_model.model
    enriched = _start_enriched(plan, task_model)
    if plan.stored_task is not None:
        put_task(plan.stored_task, task_model)
        held = plan.stored_task.config["tags"][plan.task.function_tag]["lineage"]
        return {**held, "from_store": True}
    began = time.monotonic()
    if not settings.enrich:
        keep_prefixes(plan, task_model, parts, progress)
    prefix_seconds = round(time.monotonic() - began, 2)
    objective = TaskObjective(task_model, parts["train"], parts["valid"], settings.batch_tokens)
    named = trained_names(task_model, enriched)
    counts = parameter_counts(named)
    name = f"stage {plan.stage_number} <{plan.task.function_tag}> for {plan.task.name}"
    event = StageStarted(stage=name, trained=counts, folder=folder.path)
    plan.registry.send("on_stage_started", event)
    start = start_head(objective, settings.head_init, settings.ridge_rows, plan.config.seed)
    groups = _task_groups(plan, task_model, enriched)
    model.train_only([p for group in groups for p in group.parameters])
    rows = len(parts["train"].rows)
    steps = _steps(rows, settings.epochs, settings.batch_rows, settings.max_steps)
    checkpoint = folder.path / "checkpoints" / f"task-{plan.task.name}"
    result = fit(
        objective,
        groups,
        _fit_settings(settings, steps, plan.config.seed),
        checkpoint,
        progress,
        name,
    )
    model.train_only([])
    again: Mapping[str, Any] = {}
    if settings.head_init == "ridge":
        again = resolve_head(objective, settings.ridge_rows, plan.config.seed)
    kept = parts["train"].store
    record = {
        "stage": plan.stage_number,
        "tag": plan.task.function_tag,
        "rows": rows,
        "trained": counts,
        "lora_rank_8_q_v_parameters": plan.lora_parameters(),
        "steps": result.steps,
        "seconds": round(time.monotonic() - began, 2),
        "prefix_seconds": prefix_seconds,
        "prefix_rows_kept": kept.num_held if kept is not None else 0,
        "prefix_bytes": kept.num_bytes if kept is not None else 0,
        "head_start": start,
        "head_solved_again": again,
        "history": result.history,
    }
    folder.log(record)
    artefact, readme = task_artefact(plan, task_model, {}, record)
    key = plan.fingerprint.key
    with store.lock(key, plan.task.function_tag, plan.task_fingerprint):
        store.save(key, plan.task.function_tag, plan.task_fingerprint, artefact, readme)
    return record


def _start_enriched(plan: Plan, task_model: TaskModel) -> list[str]:
    """Give each enriched tag the value of its trained domain tag; return their names."""
    names = []
    for written, item in plan.domains.items():
        name = task_model.assembler.tag_of[written]
        if name != item.tag:
            task_model.model.tags[name].data.copy_(task_model.model.tags[item.tag])
            names.append(name)
    return names


def _task_groups(plan: Plan, task_model: TaskModel, enriched: list[str]) -> list[Group]:
    settings = plan.config.stages.task
    lr = settings.lr or settings.tag_lr * plan.backbone.embedding_scale()[1]
    tag = plan.task.function_tag
    groups = [Group(f"<{tag}>", (task_model.model.tags[tag],), lr)]
    groups += [Group(f"<{name}>", (task_model.model.tags[name],), lr * 0.5) for name in enriched]
    if task_model.head is not None:
        head_lr = settings.lr or settings.head_lr
        groups.append(Group("head", head_parameters(task_model.head), head_lr))
    return groups


def resolved(config: RunConfig, outside: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings as plain data for run.yaml, with fingerprints of the files they name."""
    plain = attrs.asdict(config)
    return {**plain, "files": dict(outside)}


def fingerprint_files(config: RunConfig) -> dict[str, str]:
    """Return a hash of each file that the settings name, so that changed data count as changed."""
    import hashlib

    given = config.data.options.get("files", [])
    names = [config.data.file, config.data.split.file, *config.data.domain.values()]
    names += [given] if isinstance(given, str) else given
    found = {}
    for name in names:
        if name is not None and Path(name).is_file():
            found[name] = hashlib.sha256(Path(name).read_bytes()).hexdigest()[:16]
    return found
