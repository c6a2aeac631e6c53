"""What artifacts remember: tags with their lineage, domains, the task, versions, a README."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from torch import Tensor

from taglm_core.encoders import alphabet_of
from taglm_core.inference.intervals import coverage_sentences
from taglm_core.model.ensemble import EnsembleMember
from taglm_core.model.kernel_head import KERNEL, KernelHead
from taglm_core.model.similarity import SimilarityRecord
from taglm_core.model.tag_forms import INPUT
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Classification, Target, Task
from taglm_core.store.artifact import Artifact, inner_names
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.store.schema import (
    ArtifactRecord,
    BackboneRecord,
    DomainLineage,
    DomainRecord,
    HeadRecord,
    MemberRecord,
    Origin,
    TagRecord,
    TaskLineage,
    TaskRecord,
)
from taglm_core.training.domain_plan import DomainPlan
from taglm_core.training.head_settings import CHOSEN_LATER
from taglm_core.training.plan import Plan
from taglm_core.training.splits import combinations


def _record(plan: Plan, kind: str, **more: Any) -> ArtifactRecord:
    from taglm_core import __version__

    used = {item.domain.source.name for item in plan.domains.values()} | {plan.task.plugin}
    return ArtifactRecord(
        kind=kind,
        taglm_version=__version__,
        plugins={
            loaded.source.name: f"{loaded.source.distribution} {loaded.source.version}"
            for loaded in plan.registry.plugins
            if loaded.source.name in used
        },
        backbone=BackboneRecord(
            name=plan.config.backbone, fingerprint=plan.fingerprint, precision=plan.precision
        ),
        **more,
    )


def _domain(item: DomainPlan) -> DomainRecord:
    spec = item.domain.spec
    alphabet = alphabet_of(item.encoder) if item.encoder is not None else None
    return DomainRecord(field=spec.field, encoder=spec.encoder, alphabet=alphabet)


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone()


def domain_artifact(
    plan: Plan,
    item: DomainPlan,
    model: TaggedModel,
    lineage: DomainLineage,
    offsets: Tensor | None = None,
) -> tuple[Artifact, str]:
    """Return a domain tag as an artifact, and its README."""
    name = item.domain.name
    tag = TagRecord(
        kind="domain",
        fingerprint=item.fingerprint,
        lineage=lineage,
        settings=attrs.asdict(plan.config.stages.domain),
        seed=plan.config.seed,
    )
    config = _record(plan, "tag", tags={item.tag: tag}, domains={name: _domain(item)})
    nats = lineage.held_out_nats_per_symbol
    readme = (
        f"# Domain tag <{item.tag}>\n\n"
        f"Trained by taglm {config.taglm_version} on {lineage.corpus_rows} rows of "
        f"{lineage.corpus} for the frozen backbone {plan.config.backbone}.\n\n"
        f"Held-out nats per symbol: {nats['tag']} with the tag, {nats['no_tag']} without, "
        f"{nats['words']} with the domain's name in words.\n"
    )
    tags = {item.tag: _copied(model.tags[item.tag])}
    kept = {} if offsets is None else {name: _copied(offsets)}
    tables = _own_tables(plan, [item], model)
    return Artifact(config=config, tags=tags, tables=tables, offsets=kept), readme


def enriched_artifact(
    plan: Plan, item: DomainPlan, key: str, model: TaggedModel, lineage: TaskLineage
) -> tuple[Artifact, str]:
    """Return the tag `key` that a task made of a domain tag as an artifact, and its README."""
    tag = TagRecord(
        kind="domain",
        fingerprint=enriched_fingerprint(plan, key),
        enriched_from=Origin(tag=item.tag, fingerprint=item.fingerprint),
        lineage=lineage,
        settings=attrs.asdict(plan.config.stages.task),
    )
    config = _record(plan, "tag", tags={key: tag}, domains={item.domain.name: _domain(item)})
    readme = (
        f"# Domain tag <{key}>\n\n"
        f"The domain tag <{item.tag}> enriched by the task {plan.task.name} on {lineage.rows} "
        f"rows, by taglm {config.taglm_version}, for the frozen backbone "
        f"{plan.config.backbone}.\n"
    )
    tags, tables = {key: _copied(model.tags[key])}, _own_tables(plan, [item], model)
    return Artifact(config=config, tags=tags, tables=tables), readme


def _own_tables(plan: Plan, items: Sequence[DomainPlan], model: TaggedModel) -> dict[str, Tensor]:
    """Return the symbol tables that cannot be made again from the backbone alone."""
    names = [item.domain.name for item in items if item.domain.name in model.tables]
    known = {name for item in items if item.stored is not None for name in item.stored.tables}
    is_changed = plan.config.stages.domain.changes_symbols
    made_here = {item.domain.name for item in items if item.stored is None and is_changed}
    return {name: _copied(model.tables[name]) for name in names if name in known | made_here}


def enriched_fingerprint(plan: Plan, key: str) -> str:
    """Return the fingerprint of a tag that the plan's task enriches."""
    return fingerprint_of({"task": plan.task_fingerprint, "tag": key})


def task_artifact(
    plan: Plan, task_model: TaskModel, metrics: Mapping[str, Any], lineage: TaskLineage
) -> tuple[Artifact, str]:
    """Return a task with a copy of every tag that it uses, and its README.

    Args:
        plan: The run's plan.
        task_model: Trained.
        metrics: Contents of metrics.json, shown in the README; may be empty.
        lineage: That of the function tag.
    """
    model, items = task_model.model, list(plan.domains.values())
    tags = _tag_records(plan, task_model, lineage)
    config = _record(
        plan,
        "task",
        tags=tags,
        domains={item.domain.name: _domain(item) for item in items},
        task=_task(plan, task_model),
    )
    head = task_model.head.state_dict() if task_model.head is not None else {}
    artifact = Artifact(
        config=config,
        tags={name: _copied(model.tags[name]) for name in tags},
        inner={
            key: _copied(value)
            for name in tags
            for key, value in inner_names(name, model.inner.get(name, {})).items()
        },
        tables=_own_tables(plan, items, model),
        offsets={
            name: value
            for item in items
            if item.stored is not None
            for name, value in item.stored.offsets.items()
        },
        head={name: _copied(value) for name, value in head.items()},
        members=_members(task_model),
        similarity=task_model.similarity.tensors if task_model.similarity is not None else {},
        residuals=dict(task_model.intervals.residuals) if task_model.intervals is not None else {},
    )
    return artifact, _readme(plan, config, metrics)


def _tag_records(plan: Plan, task_model: TaskModel, lineage: TaskLineage) -> dict[str, TagRecord]:
    """Return what is said of the function tag and of each domain tag beside it, by name."""
    tags = {
        task_model.task.function_tag: TagRecord(
            kind="function",
            fingerprint=plan.task_fingerprint,
            form=plan.tag_form,
            lineage=lineage,
        )
    }
    for written, item in plan.domains.items():
        key = task_model.assembler.tag_of[written]
        origin = Origin(tag=item.tag, fingerprint=item.fingerprint) if key != item.tag else None
        fingerprint = item.fingerprint if origin is None else enriched_fingerprint(plan, key)
        tags[key] = TagRecord(kind="domain", fingerprint=fingerprint, enriched_from=origin)
    return tags


def refit_card(task: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    """Return what the README of a refitted predictor says of rows.

    Args:
        task: What metrics.json says of the task.
        counts: `rows` it was trained on.
    """
    test = task["splits"]["test"]
    members = task.get("num_members")
    whose = f"{members} predictors, each scored" if members else "a predictor that was scored"
    scored = "the first of them" if members else "the predictor that was scored"
    intervals = ""
    if test.get("intervals"):
        intervals = f" Its prediction intervals are those of {scored}."
    return f"""
## Which rows each number is from

The metrics above are those of {whose} on {test["rows"]:,} test rows that it had not seen (split:
{task["split"]}). The predictor in this folder was trained afterwards on {counts["rows"]:,} rows,
those of the train, valid and test splits together, for as many steps and with the head that the
valid split had selected before. It has seen every row, so its errors on them say nothing about new
data.{intervals}
"""


def _task(plan: Plan, task_model: TaskModel) -> TaskRecord:
    task, assembler = task_model.task, task_model.assembler
    has_head = task_model.head is not None
    shown = task_model.demonstrations
    return TaskRecord(
        spec=_spec(task_model),
        plugin=task.plugin,
        attention="isolated" if task_model.is_isolated else "causal",
        head=_head(plan, task_model.member()) if has_head else None,
        scaling=task_model.scaling.copy() if has_head else None,
        domain_of=dict(assembler.domain_of),
        tag_of=dict(assembler.tag_of),
        columns=dict(plan.rows.columns),
        decoding=task_model.decoding,
        trained_combinations=tuple(combinations(plan)),
        demonstrations=shown.record if shown is not None else None,
        ensemble=tuple(
            MemberRecord(head=_head(plan, other), scaling=other.scaling.copy())
            for other in task_model.others
        ),
        similarity=task_model.similarity.records if task_model.similarity is not None else (),
        intervals=task_model.intervals.records if task_model.intervals is not None else (),
    )


def _members(task_model: TaskModel) -> dict[str, Tensor]:
    """Return tag and head of each further member of an ensemble, by number and name."""
    found = {}
    for number, other in enumerate(task_model.others):
        found[f"{number}.tag"] = _copied(other.tag)
        for place, value in other.inner.items():
            found[f"{number}.inner.{place}"] = _copied(value)
        for name, value in other.head.state_dict().items():
            found[f"{number}.head.{name}"] = _copied(value)
    return found


def _head(plan: Plan, member: EnsembleMember) -> HeadRecord:
    settings = plan.config.stages.task
    features = member.features.records if member.features is not None else ()
    if isinstance(member.head, KernelHead):
        return HeadRecord(name=KERNEL, pooling=settings.pooling, features=features)
    name, options = (
        "linear" if settings.head in CHOSEN_LATER else settings.head,
        settings.head_options,
    )
    return HeadRecord(name=name, options=dict(options), pooling=settings.pooling, features=features)


def _spec(task_model: TaskModel) -> Task:
    """Return the task as it was trained; what only training asked for is left out."""
    task = task_model.task
    target: Target = task.spec.target
    if isinstance(target, Classification):
        target = attrs.evolve(target, classes=tuple(task_model.classes))
    return attrs.evolve(
        task.spec,
        template=task.prompt.text,
        function_tag=task.function_tag,
        target=target,
        metrics=tuple(metric.name for metric in task.metrics),
        symmetric=task.symmetric,
        dataset=None,
        split=None,
        settings={},
    )


def _similar(record: SimilarityRecord) -> str:
    """Return what the card says of how like a row has to be to the training rows."""
    fields = " and ".join(record.fields)
    all_of = f"the {record.distinct:,} distinct training values of {fields}"
    if record.kept < record.distinct:
        all_of = (
            f"{record.kept:,} of {all_of}, chosen so that each of the others is near one of them"
        )
    return (
        f"Each prediction comes with the largest similarity of its row to {all_of} (Tanimoto, "
        f"fingerprints of {record.domain}). A row below {record.threshold} is reported as unlike "
        f"the training rows: 95 % of the {record.basis} rows of the run reach that.\n"
    )


def _intervals(results: Mapping[str, Any]) -> list[str]:
    """Return what the card says of prediction intervals; [] where the task has none."""
    test = results.get("splits", {}).get("test", {})
    said = coverage_sentences(test, unit=results.get("target", {}).get("unit", ""))
    if not said:
        return []
    return [
        "Prediction intervals (`taglm predict FOLDER --input FILE --interval 0.9`) are "
        "split-conformal: the absolute residuals of the validation rows give their width, the same "
        "for every row. Rows whose value is missing or censored are left out.",
        "",
        *(f"- {line}" for line in said),
        "",
    ]


def _readme(plan: Plan, config: ArtifactRecord, metrics: Mapping[str, Any]) -> str:
    task = plan.task
    lines = [
        f"# {task.name}",
        "",
        f"A taglm predictor for the frozen backbone {plan.config.backbone}, written by taglm "
        f"{config.taglm_version}.",
        "",
        f"Prompt: `{task.prompt.text!r}`",
        "",
    ]
    if plan.tag_form != INPUT:
        lines += [f"Function tag: {plan.tag_form}; it acts in the layers too.", ""]
    results = metrics.get("tasks", {}).get(task.name, {})
    splits = results.get("splits", {})
    if splits:
        lines += [f"Split: {results['split']}; data: {plan.rows.source}.", ""]
        for split, held in splits.items():
            known = {k: v for k, v in held.get("metrics", {}).items() if v is not None}
            shown = ", ".join(f"{k} {v:.4g}" for k, v in known.items())
            lines.append(f"- {split} ({held.get('rows')} rows): {shown}")
        lines += [f"- note: {remark}" for remark in results.get("remarks", ())]
        lines.append("")
    lines += _intervals(results)
    task_record = config.task
    lines += [_similar(each) for each in (task_record.similarity if task_record else ())]
    lines += ["Use it: `taglm predict FOLDER --input FILE --output FILE`", ""]
    return "\n".join(lines)
