"""From a plan to modules: tags, symbol tables and heads, those of the store or their start."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from taglm_core.data.answers import UNKNOWN, answer_texts
from taglm_core.data.censoring import has_sides
from taglm_core.data.rowkeys import row_keys
from taglm_core.errors import ConfigError
from taglm_core.model.demonstrations import MOST_ROWS, DemonstrationRecord, Demonstrations
from taglm_core.model.ensemble import EnsembleMember
from taglm_core.model.symbols import BARE
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.model.targets import Scaling
from taglm_core.model.taskmodel import TaskModel, build_assembler
from taglm_core.specs import Regression
from taglm_core.store.artifact import Artifact
from taglm_core.store.install import install_table, install_tag
from taglm_core.training.domain_plan import DomainPlan
from taglm_core.training.function_tag import FunctionTag, untrained_tag
from taglm_core.training.plan import Plan


def untrained_model(plans: Sequence[Plan]) -> TaggedModel:
    """Return a model with symbol tables and domain tags, those of the store or their start."""
    plan = plans[0]
    model = TaggedModel(plan.backbone)
    settings = plan.config.stages.domain
    for item in domain_plans(plans):
        # a tag that was trained before brings the table that it was trained with
        start = settings.symbol_init if item.stored is None else BARE
        install_table(model, item.domain.name, item.encoder, item.stored, start)
        rows = initial_tag(
            plan.backbone,
            item.tag,
            settings.tag_length,
            settings.tag_init,
            plan.config.domain_seed,
            f"{item.domain.spec.field}:",
        )
        model.add_tag(item.tag, rows)
        if item.stored is not None:
            take_stored(item, item.stored, model)
    return model


def domain_plans(plans: Sequence[Plan]) -> list[DomainPlan]:
    """Return what happens to each domain tag of the plans, each once."""
    return list({item.tag: item for plan in plans for item in plan.domains.values()}.values())


def take_stored(item: DomainPlan, stored: Artifact, model: TaggedModel) -> None:
    """Put a stored domain tag, and its symbol table if it was trained, into the model."""
    install_table(model, item.domain.name, item.encoder, stored)
    install_tag(model, stored, item.tag)


def _check_censoring(plan: Plan) -> None:
    """Refuse what the fit of a censored target does not cover."""
    settings = plan.config.stages.task
    if settings.head_init != "fit":
        raise ConfigError(
            f"task {plan.task.name}: censored values (cells such as <-5, or censored_below) need a "
            "fitted head. Set stages.task.head_init=fit, or leave these values out."
        )
    if settings.huber is not None:
        raise ConfigError(
            f"task {plan.task.name}: stages.task.huber and censored values (cells such as <-5, or "
            "censored_below) are not used together. Leave one out."
        )


def build_task_model(plan: Plan, model: TaggedModel) -> TaskModel:
    """Build the task model with untrained function tag and head on a model with domain tags."""
    settings = plan.config.stages.task
    task = plan.task
    if task.function_tag not in model.tags:
        tag = plan.given_function_tag or _untrained_tag(plan)
        model.add_tag(task.function_tag, tag.rows, tag.inner)
    tag_of = {written: item.tag for written, item in plan.domains.items()}
    if settings.enrich:
        for written, item in plan.domains.items():
            name = f"{item.tag}@{task.name}"
            model.add_tag(name, model.tags[item.tag])
            tag_of[written] = name
    encoders = {i.domain.name: i.encoder for i in plan.domains.values() if i.encoder is not None}
    domain_of = {written: item.domain.name for written, item in plan.domains.items()}
    target = task.spec.target
    head = None
    if plan.num_outputs:
        head = plan.make_head().to(plan.backbone.device)
        model.heads[task.name] = head
    if getattr(target, "censored_below", None) is not None or has_sides(plan.rows.targets):
        _check_censoring(plan)
    demonstrations = demonstrations_of(plan)
    return TaskModel(
        task=task,
        model=model,
        assembler=build_assembler(
            task,
            model,
            encoders,
            plan.is_isolated,
            domain_of,
            tag_of,
            settings.few_shot,
        ),
        is_isolated=plan.is_isolated,
        head=head,
        scaling=_scaling(plan),
        classes=plan.rows.classes,
        decoding=plan.config.decode,
        pooling=plan.pooling,
        demonstrations=demonstrations,
    )


def demonstrations_of(plan: Plan) -> Demonstrations | None:
    """Return the demonstrations that a run asks for, chosen from its training rows.

    Raises:
        ConfigError: when there are too few rows with different inputs.
    """
    settings, rows, task = plan.config.stages.task, plan.rows, plan.task
    if not settings.few_shot:
        return None
    targets: Any = rows.targets
    train = plan.train_rows
    if task.is_numeric:
        answers = answer_texts(task.spec.target, targets[train], rows.classes)
    else:
        answers = [targets[i] for i in train]
    fields = {name: [rows.fields[name][i] for i in train] for name in task.fields}
    # each input once, and none without any answer
    first = {
        key: i
        for i, key in reversed(list(enumerate(row_keys(task, fields))))
        if set(answers[i]) - set(f"{UNKNOWN}, ")
    }
    known = np.sort(np.array(list(first.values()), dtype=np.int64))
    if len(known) <= settings.few_shot:
        raise ConfigError(
            f"task {task.name}: stages.task.few_shot={settings.few_shot} needs more training rows "
            f"with different inputs than that; there are {len(known)}. Set a smaller number."
        )
    rng = np.random.default_rng([plan.config.seed, 6])
    chosen = np.sort(rng.permutation(known)[:MOST_ROWS])
    record = DemonstrationRecord(
        count=settings.few_shot,
        choice=settings.few_shot_by,
        seed=plan.config.seed,
        fields={name: [_plain(values[i]) for i in chosen] for name, values in fields.items()},
        answers=[answers[i] for i in chosen],
    )
    return Demonstrations(record, task, plan.backbone)


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    return list(value) if isinstance(value, tuple) else value


def _scaling(plan: Plan) -> Scaling:
    target = plan.task.spec.target
    if not isinstance(target, Regression):
        return Scaling.plain(plan.num_outputs)
    targets = plan.rows.targets[plan.train_rows]
    return Scaling.of_targets(targets, target.censored_below)


def start_again(plan: Plan, task_model: TaskModel) -> None:
    """Give a task model the untrained function tag, head and scaling of a plan's seed."""
    tag = _untrained_tag(plan)
    member = EnsembleMember(
        tag=tag.rows, inner=tag.inner, head=plan.seeded_head(), scaling=_scaling(plan)
    )
    task_model.become(member)


def _untrained_tag(plan: Plan) -> FunctionTag:
    """Return the start of a plan's function tag, by its settings and seed."""
    settings, seed = plan.config.stages.task, plan.config.seed
    return untrained_tag(plan.backbone, plan.task.function_tag, settings, seed)
