"""The stage scheduler: runs what the plans need in dependency order, evaluates and writes."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from taglm_core import __version__
from taglm_core.data.atomic import jsonable
from taglm_core.inference.loading import predictor_of
from taglm_core.progress import Progress, progress_bar
from taglm_core.specs import RunFinished
from taglm_core.store.artifact import Artifact, load_artifact, save_artifact
from taglm_core.store.runfolder import PREDICTOR, REFIT, RunFolder
from taglm_core.store.schema import TaskLineage, to_plain
from taglm_core.store.tagstore import TagStore
from taglm_core.training.build import build_task_model, domain_plans, untrained_model
from taglm_core.training.config import RunConfig
from taglm_core.training.datacheck import look_over
from taglm_core.training.domain_stages import run_domain_stages
from taglm_core.training.evaluation import early_baselines, evaluate_task
from taglm_core.training.lineage import refit_card, task_artifact
from taglm_core.training.member import Member
from taglm_core.training.paths import portable
from taglm_core.training.plan import Plan, by_function_tag
from taglm_core.training.similarity import fit_similarity
from taglm_core.training.splits import assemble_splits
from taglm_core.training.stages import run_task_stage


def execute(
    plans: Sequence[Plan], folder: RunFolder, store: TagStore, progress: Progress
) -> dict[str, Any]:
    """Run every stage that the plans need, evaluate, and write the run folder.

    Returns:
        The contents of metrics.json.
    """
    began = time.monotonic()
    plan = plans[0]
    for each in plans:
        if each.config.data.check:
            with progress_bar("checking the data"):
                reports = look_over(
                    each.task, each.rows, each.registry, each.config.seed, progress.say
                )
            if reports:
                _folder(plans, each, folder).write_json("data_check.json", jsonable(reports))
    if plan.budget is not None:
        plan.budget.num_tasks = sum(each.task.is_numeric for each in plans)
    for each in plans:
        if each.task.is_numeric and each.config.baselines != ("none",):
            each.baseline_note = early_baselines(each)
    _begin(plan)
    with progress_bar("encoding the rows"):
        members = _members(plans)
    stages, lineages = _run_stages(plans, members, folder, store, progress)
    metrics = _evaluate(members, stages, folder, progress)
    metrics["seconds"] = round(time.monotonic() - began, 1)
    predictors = {}
    for name, member in members.items():
        artifact, card = task_artifact(member.plan, member.task_model, metrics, lineages[name])
        save_artifact(_folder(plans, member.plan, folder).path / PREDICTOR, artifact, card)
        predictors[name] = predictor_of(member.task_model, artifact, plan.registry)
    folder.write_json("metrics.json", metrics)
    event = RunFinished(folder=folder.path, metrics=metrics, predictors=predictors)
    try:
        with progress_bar("writing reports"):
            plan.registry.send("on_run_finished", event)
    except KeyboardInterrupt:
        # a folder with this file counts as finished and would never get its reports
        (folder.path / "metrics.json").unlink()
        raise
    return metrics


def refit(
    plans: Sequence[Plan],
    folder: RunFolder,
    store: TagStore,
    metrics: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Train the predictor that a run keeps on all rows, and write it with its card.

    Its prediction intervals are those of the predictor that was scored: rows that are trained on
    have no residuals of new rows.

    Args:
        plans: Made with recipes.
        folder: Of the run, which has been evaluated.
        store: Where trained tags are.
        metrics: Results of the evaluation.
        progress: Receives progress.

    Returns:
        Task -> `rows` it was trained on.
    """
    _begin(plans[0])
    runs = metrics.get("members")
    scored = RunFolder(folder.path / runs[0]["folder"]) if runs else folder
    work = RunFolder(folder.path / REFIT)
    work.path.mkdir(exist_ok=True)
    members = _members(plans)
    counts = {name: {"rows": member.splits["train"].num_rows} for name, member in members.items()}
    _, lineages = _run_stages(plans, members, work, store, progress)
    for name, member in members.items():
        own = _folder(plans, member.plan, scored).path / PREDICTOR
        member.task_model.intervals = load_artifact(own).intervals
        artifact, card = task_artifact(member.plan, member.task_model, metrics, lineages[name])
        card += refit_card(metrics["tasks"][name], counts[name])
        save_artifact(_folder(plans, member.plan, folder).path / PREDICTOR, artifact, card)
    return counts


def train_only(
    plans: Sequence[Plan], folder: RunFolder, store: TagStore, progress: Progress
) -> list[Artifact]:
    """Run every stage that the plans need, evaluate nothing.

    Returns:
        The artifact of each task.
    """
    plan = plans[0]
    _begin(plan)
    members = _members(plans)
    _, lineages = _run_stages(plans, members, folder, store, progress)
    return [
        task_artifact(member.plan, member.task_model, {}, lineages[name])[0]
        for name, member in members.items()
    ]


def _begin(plan: Plan) -> None:
    """Open the backbone, which may draw random numbers, and only then set the seed."""
    if not plan.planned.is_open:
        with progress_bar("reading the backbone"):
            plan.planned.open()
    torch.manual_seed(plan.config.seed)


def _members(plans: Sequence[Plan]) -> dict[str, Member]:
    """Build the model of each task and assemble its rows.

    Every row is assembled before anything is trained, so that a row too long is found at once.
    """
    model = untrained_model(plans)
    members: dict[str, Member] = {}
    for each in plans:
        task_model = build_task_model(each, model)
        task_model.similarity = fit_similarity(each)
        members[each.task.name] = Member(each, task_model, assemble_splits(each, task_model))
    return members


def _run_stages(
    plans: Sequence[Plan],
    members: Mapping[str, Member],
    folder: RunFolder,
    store: TagStore,
    progress: Progress,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, TaskLineage]]:
    """Train domain tags, then function tags and heads.

    Returns:
        Task -> the records of its stages, and task -> lineage of its function tag.
    """
    model = next(iter(members.values())).task_model.model
    items = domain_plans(plans)
    domains = run_domain_stages(plans[0], items, model, folder, store, progress)
    budget = plans[0].budget
    if budget is not None:
        budget.num_task_stages = sum(
            group[0].config.stages.task.ensemble
            for group in by_function_tag(plans)
            if group[0].stored_task is None
        )
    stages: dict[str, list[dict[str, Any]]] = {}
    lineages: dict[str, TaskLineage] = {}
    for group in by_function_tag(plans):
        together = [members[each.task.name] for each in group]
        lineage = run_task_stage(together, folder, store, progress)
        record = to_plain(lineage)
        if group[0].stored_task is not None:
            record["from_store"] = True
        for member in together:
            lineages[member.plan.task.name] = lineage
            own = [domains[item.tag] for item in member.plan.domains.values()]
            stages[member.plan.task.name] = [stage for stage in [*own, record] if stage]
    return stages, lineages


def _evaluate(
    members: Mapping[str, Member],
    stages: Mapping[str, list[dict[str, Any]]],
    folder: RunFolder,
    progress: Progress,
) -> dict[str, Any]:
    plans = [member.plan for member in members.values()]
    tasks: dict[str, Any] = {}
    warnings: list[str] = []
    for name, member in members.items():
        own = _folder(plans, member.plan, folder)
        with progress_bar("evaluating" if len(members) == 1 else f"evaluating {name}"):
            facts = evaluate_task(member.plan, member.task_model, own)
        warnings += facts.pop("warnings", [])
        said = [stage["remark"] for stage in stages[name] if "remark" in stage]
        if said:
            facts["remarks"] = [*facts.get("remarks", ()), *said]
        tasks[name] = {**facts, "stages": stages[name]}
    plan = plans[0]
    return {
        "taglm": __version__,
        "backbone": {"name": plan.backbone.name, "fingerprint": plan.fingerprint.key},
        "precision": plan.precision,
        "seed": plan.config.seed,
        "warnings": warnings,
        **({"time": {"seconds": plan.budget.seconds, **plan.budget.plan}} if plan.budget else {}),
        "tasks": tasks,
    }


def _folder(plans: Sequence[Plan], plan: Plan, folder: RunFolder) -> RunFolder:
    """Return where a task's own files go: the run folder, or one inside when there are several."""
    return folder if len(plans) == 1 else folder.of_task(plan.task.name)


def resolved(config: RunConfig, folder: Path | None = None) -> dict[str, Any]:
    """Return the settings as plain data for run.yaml.

    Args:
        config: The settings.
        folder: Where run.yaml is written, to which its paths are relative; None: they stay.
    """
    plain: dict[str, Any] = json.loads(json.dumps(attrs.asdict(config)))
    if folder is not None:
        portable(plain, folder)
    return plain
