"""What artefacts remember: tags with their lineage, domains, the task, versions, a README."""

from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from taglm_core.encoders import alphabet_of
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Classification, Regression, Text
from taglm_core.store.artefact import Artefact
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.training.plan import DomainPlan, Plan, combinations


def _common(plan: Plan) -> dict[str, Any]:
    from taglm_core import __version__

    return {
        "taglm_version": __version__,
        "plugins": {
            loaded.source.name: f"{loaded.source.distribution} {loaded.source.version}"
            for loaded in plan.registry.plugins
            if loaded.source.name in {i.domain.source.name for i in plan.domains.values()}
            or loaded.source.name == plan.task.plugin
        },
        "backbone": {
            "name": plan.config.backbone,
            "fingerprint": attrs.asdict(plan.fingerprint),
        },
    }


def _domain(item: DomainPlan) -> dict[str, Any]:
    spec = item.domain.spec
    alphabet = attrs.asdict(alphabet_of(item.encoder)) if item.encoder is not None else None
    return {"field": spec.field, "encoder": spec.encoder, "alphabet": alphabet}


def domain_artefact(
    plan: Plan, item: DomainPlan, model: TaggedModel, record: Mapping[str, Any]
) -> tuple[Artefact, str]:
    """Return a domain tag as an artefact, and its README."""
    name = item.domain.name
    tensors = {f"tag:{item.tag}": model.tags[item.tag].detach().cpu().clone()}
    if plan.config.stages.domain.train_symbols and name in model.tables:
        tensors[f"table:{name}"] = model.tables[name].detach().cpu().clone()
    config = {
        **_common(plan),
        "tags": {
            item.tag: {
                "kind": "domain",
                "fingerprint": item.fingerprint,
                "lineage": dict(record),
                "settings": attrs.asdict(plan.config.stages.domain),
                "seed": plan.config.seed,
            }
        },
        "domains": {name: _domain(item)},
    }
    nats = record["held_out_nats_per_symbol"]
    readme = (
        f"# Domain tag <{item.tag}>\n\n"
        f"Trained by taglm {config['taglm_version']} on {record['corpus_rows']} rows of "
        f"{record['corpus']} for the frozen backbone {plan.config.backbone}.\n\n"
        f"Held-out nats per symbol: {nats['tag']} with the tag, {nats['no_tag']} without, "
        f"{nats['words']} with the domain's name in words.\n"
    )
    return Artefact(kind="tag", config=config, tensors=tensors), readme


def enriched_artefact(
    plan: Plan, item: DomainPlan, key: str, model: TaggedModel, record: Mapping[str, Any]
) -> tuple[Artefact, str]:
    """Return the tag `key` that a task made of a domain tag as an artefact, and its README."""
    table = f"table:{item.domain.name}"
    tensors = {f"tag:{key}": model.tags[key].detach().cpu().clone()}
    if item.stored is not None and table in item.stored.tensors:
        tensors[table] = item.stored.tensors[table]
    config = {
        **_common(plan),
        "tags": {
            key: {
                "kind": "domain",
                "fingerprint": enriched_fingerprint(plan, key),
                "enriched_from": {"tag": item.tag, "fingerprint": item.fingerprint},
                "lineage": dict(record),
                "settings": attrs.asdict(plan.config.stages.task),
            }
        },
        "domains": {item.domain.name: _domain(item)},
    }
    readme = (
        f"# Domain tag <{key}>\n\n"
        f"The domain tag <{item.tag}> enriched by the task {plan.task.name} on {record['rows']} "
        f"rows, by taglm {config['taglm_version']}, for the frozen backbone "
        f"{plan.config.backbone}.\n"
    )
    return Artefact(kind="tag", config=config, tensors=tensors), readme


def enriched_fingerprint(plan: Plan, key: str) -> str:
    """Return the fingerprint of a tag that the plan's task enriches."""
    return fingerprint_of({"task": plan.task_fingerprint, "tag": key})


def task_artefact(
    plan: Plan,
    task_model: TaskModel,
    metrics: Mapping[str, Any],
    record: Mapping[str, Any] | None = None,
) -> tuple[Artefact, str]:
    """Return a task with a copy of every tag that it uses, and its README.

    Args:
        plan: The run's plan.
        task_model: Trained.
        metrics: Contents of metrics.json, shown in the README; may be empty.
        record: Lineage of the function tag; None: that of the stage in `metrics`.
    """
    task, model = task_model.task, task_model.model
    assembler = task_model.assembler
    if record is None:
        record = metrics["tasks"][task.name]["stages"][-1]
    tensors: dict[str, Tensor] = {
        f"tag:{task.function_tag}": model.tags[task.function_tag].detach().cpu().clone()
    }
    tags: dict[str, Any] = {
        task.function_tag: {
            "kind": "function",
            "fingerprint": plan.task_fingerprint,
            "lineage": dict(record),
        }
    }
    for written, item in plan.domains.items():
        key = assembler.tag_of[written]
        tensors[f"tag:{key}"] = model.tags[key].detach().cpu().clone()
        tags[key] = {"kind": "domain", "fingerprint": item.fingerprint}
        if key != item.tag:
            tags[key]["enriched_from"] = item.tag
        stored = item.stored
        if stored is not None and f"table:{item.domain.name}" in stored.tensors:
            tensors[f"table:{item.domain.name}"] = stored.tensors[f"table:{item.domain.name}"]
    if task_model.head is not None:
        for name, value in task_model.head.state_dict().items():
            tensors[f"head:{name}"] = value.detach().cpu().clone()
    config = {
        **_common(plan),
        "tags": tags,
        "domains": {i.domain.name: _domain(i) for i in plan.domains.values()},
        "task": _task(plan, task_model),
    }
    return Artefact(kind="task", config=config, tensors=tensors), _readme(plan, config, metrics)


def _task(plan: Plan, task_model: TaskModel) -> dict[str, Any]:
    task, scaling = task_model.task, task_model.scaling
    target = task.spec.target
    facts: dict[str, Any] = {"kind": target.kind}
    if isinstance(target, Text):
        facts["max_new_tokens"] = target.max_new_tokens
    if isinstance(target, Regression | Classification):
        facts |= {"names": list(target.names), "columns": list(target.columns or target.names)}
        facts["compute"] = target.compute
    if isinstance(target, Regression):
        facts |= {"unit": target.unit, "floor": target.floor}
    if isinstance(target, Classification):
        facts |= {"classes": list(task_model.classes), "multi_label": target.multi_label}
        facts["threshold"] = target.threshold
    if plan.num_outputs:
        held = attrs.asdict(scaling)
        facts["scaling"] = {key: value.tolist() for key, value in held.items() if value is not None}
    return {
        "name": task.name,
        "plugin": task.plugin,
        "function_tag": task.function_tag,
        "template": task.wording.text,
        "attention": "isolated" if task_model.is_isolated else "causal",
        "head": plan.config.stages.task.head,
        "head_options": dict(plan.config.stages.task.head_options),
        "num_read": plan.num_read,
        "target": facts,
        "metrics": [metric.name for metric in task.metrics],
        "aliases": {name: list(others) for name, others in task.spec.aliases.items()},
        "symmetric": [list(pair) for pair in task.symmetric],
        "domain_of": dict(task_model.assembler.domain_of),
        "tag_of": dict(task_model.assembler.tag_of),
        "columns": dict(plan.rows.columns),
        "decode": attrs.asdict(task_model.decoding),
        "trained_combinations": [list(tags) for tags in combinations(plan)],
    }


def _readme(plan: Plan, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    task = plan.task
    lines = [
        f"# {task.name}",
        "",
        f"A taglm predictor for the frozen backbone {plan.config.backbone}, written by taglm "
        f"{config['taglm_version']}.",
        "",
        f"Prompt: `{task.wording.text!r}`",
        "",
    ]
    splits = metrics.get("tasks", {}).get(task.name, {}).get("splits", {})
    if splits:
        lines += [f"Split: {plan.rows.rule}; data: {plan.rows.source}.", ""]
        for part, held in splits.items():
            shown = ", ".join(f"{k} {v}" for k, v in held.get("metrics", {}).items())
            lines.append(f"- {part} ({held.get('rows')} rows): {shown}")
        lines.append("")
    lines += ["Use it: `taglm predict FOLDER --input FILE --output FILE`", ""]
    return "\n".join(lines)


def put_task(artefact: Artefact, task_model: TaskModel) -> None:
    """Copy a stored task's function tag, head and scaling into a task model."""
    model, task = task_model.model, task_model.task
    for name in {task.function_tag, *task_model.assembler.tag_of.values()}:
        held = artefact.tensors.get(f"tag:{name}")
        if held is not None:
            with torch.no_grad():
                model.tags[name].copy_(held)
    if task_model.head is not None:
        prefix = "head:"
        state = {
            name.removeprefix(prefix): value
            for name, value in artefact.tensors.items()
            if name.startswith(prefix)
        }
        task_model.head.load_state_dict(state)
        held_scaling = artefact.config["task"]["target"]["scaling"]
        for key, values in held_scaling.items():
            setattr(task_model.scaling, key, torch.tensor(values))
