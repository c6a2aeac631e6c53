"""Checks of templates: those of tasks, and further prompts."""

from typing import Any

import attrs

from taglm_core.data.fields import read_fields
from taglm_core.data.table import Table
from taglm_core.data.targets import target_columns
from taglm_core.errors import nearest
from taglm_core.plugins import Registered
from taglm_core.plugins.resolved import ResolvedTask, domain_name, resolve_task
from taglm_core.specs import Task, Template, Text
from taglm_core.specs.prompt import Prompt, parse_template
from taglm_core.testing.contract.context import Subject, first
from taglm_core.testing.contract.outcomes import NotApplicable, demand
from taglm_core.testing.contract.report import Rule

_ROWS = 4


def parses(subject: Subject) -> None:
    """The template can be read, and holds its task's function tag once."""
    _prompt(subject)


def tags_exist(subject: Subject) -> None:
    """Every tag of the template is a registered domain."""
    for tag in _prompt(subject).domain_tags:
        if not tag.is_column:
            where = f"template of {_task(subject).name}"
            subject.registry.domains.get(domain_name(tag.name), subject.item.source.name, where)


def fields_exist(subject: Subject) -> None:
    """Every field of the template is a column of the task's dataset."""
    task, resolved = _task(subject), _resolved(subject)
    dataset = subject.context.dataset_of(task)
    columns = dataset.spec.columns
    table = Table(columns={name: [] for name in columns}, rows=[], source=dataset.name)
    read_fields(table, resolved, {})  # names the field that no column holds
    output = resolved.prompt.output
    demand(
        output is None or output.field in columns,
        f"the output field '{output.field if output else ''}' is not a column of {dataset.name}."
        f"{nearest(output.field if output else '', columns)}",
    )
    for column in target_columns(resolved).values():
        demand(
            column in columns,
            f"the target column '{column}' is not in {dataset.name} ({', '.join(columns)})."
            f"{nearest(column, columns)} Add it to the dataset, or give the target a `compute`.",
        )


def compiles(subject: Subject) -> None:
    """Rows become prompts of a tiny backbone, which gives a finite state for each."""
    import torch

    from taglm_core.model.collate import collate

    task, resolved = _task(subject), _resolved(subject)
    fields = first(_fields(subject, task, resolved), _ROWS)
    built = _task_model(subject, resolved, fields)
    rows = built.assembler.assemble(fields)
    bad = [error for error in rows.errors if error is not None]
    demand(not bad, f"a row of the task's own data cannot be assembled: {bad[0] if bad else ''}.")
    with torch.no_grad():
        states = built.model.read(collate(rows, rows.good, built.is_isolated))
    demand(bool(torch.isfinite(states).all()), "a tiny backbone gives NaN for the prompts.")


CHECKS = (Rule(parses), Rule(tags_exist), Rule(fields_exist), Rule(compiles))


def _task(subject: Subject) -> Registered[Task]:
    """Return the task that a template words; a task's own template words itself."""
    if isinstance(subject.spec, Task):
        return subject.item
    where = f"template {subject.item.short}"
    return subject.registry.tasks.get(subject.spec.task, subject.item.source.name, where)


def _text(subject: Subject) -> str:
    spec = subject.spec
    text: str = spec.text if isinstance(spec, Template) else spec.template
    return text


def _prompt(subject: Subject) -> Prompt:
    task = _task(subject).spec
    return parse_template(_text(subject), task.function_tag, isinstance(task.target, Text))


def _resolved(subject: Subject) -> ResolvedTask:
    task = _task(subject)
    spec = attrs.evolve(task.spec, template=_text(subject))
    return resolve_task(spec, task.source.name, subject.registry)


def _fields(
    subject: Subject, task: Registered[Task], resolved: ResolvedTask
) -> dict[str, list[Any]]:
    """Return fields of the task's dataset, or made of rows of its domains."""
    if task.spec.dataset is not None:
        return subject.context.fields(task, resolved)
    if resolved.prompt.tag_columns:
        raise NotApplicable("the task has no dataset that says which tag each row has")
    fields: dict[str, list[Any]] = {name: ["text"] * _ROWS for name in resolved.prompt.text_fields}
    for part in resolved.prompt.spans:
        rows = subject.context.rows(resolved.domains[part.tag.name])
        fields[part.field] = [rows[i % len(rows)] for i in range(_ROWS)]
    return fields


def _task_model(subject: Subject, task: ResolvedTask, fields: dict[str, list[Any]]) -> Any:
    """Put a task on a tiny backbone, with untrained tags and without a head."""
    from taglm_core.model.symbols import symbol_rows
    from taglm_core.model.tagged import TaggedModel
    from taglm_core.model.tags import initial_tag
    from taglm_core.model.targets import Scaling
    from taglm_core.model.taskmodel import TaskModel, build_assembler, written_tags
    from taglm_core.testing.tiny import tiny_backbone

    backbone = tiny_backbone()
    model = TaggedModel(backbone)
    encoders, domain_of, tag_of = {}, {}, {}
    for written in written_tags(task, fields):
        domain = task.domains.get(written) or subject.registry.domains.get(
            domain_name(written), task.plugin, f"task {task.name}"
        )
        if domain.spec.encoder != "text" and domain.name not in encoders:
            encoder = encoders[domain.name] = subject.context.encoder(domain)
            model.add_table(domain.name, symbol_rows(backbone, tuple(encoder.spellings)))
        domain_of[written], tag_of[written] = domain.name, f"{domain.name} as {written}"
        model.add_tag(tag_of[written], initial_tag(backbone, written, 3, "vocabulary", 0))
    model.add_tag(task.function_tag, initial_tag(backbone, task.function_tag, 3, "vocabulary", 0))
    assembler = build_assembler(task, model, encoders, task.is_numeric, domain_of, tag_of)
    return TaskModel(
        task=task,
        model=model,
        assembler=assembler,
        is_isolated=task.is_numeric,
        head=None,
        scaling=Scaling.plain(0),
    )
