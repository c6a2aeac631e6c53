"""Checks of splits."""

from collections.abc import Sequence
from typing import Any

from taglm_core.data.splits import SPLITS, splits_by_groups
from taglm_core.plugins import Registered
from taglm_core.specs import Domain
from taglm_core.specs.reference import resolve
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import NotApplicable, demand
from taglm_core.testing.contract.report import Rule


def rule_given(subject: Subject) -> None:
    """`groups` or `assign` is given."""
    spec = subject.spec
    demand(
        spec.groups is not None or spec.assign is not None,
        "the splitter gives neither groups nor assign; give one of them, or both for a rule that "
        "must see all rows at once.",
    )


def covers(subject: Subject) -> None:
    """Every row gets a key, or one of train, valid and test."""
    columns = _columns(subject)
    count = len(next(iter(columns.values())))
    splits = _apply(subject, columns, 0)
    demand(
        len(splits) == count,
        f"the splitter gives {len(splits)} splits for {count} rows; give one for each row.",
    )
    wrong = [
        value
        for value in splits
        if not isinstance(value, str)
        or (subject.spec.assign is not None and value not in (*SPLITS, ""))
    ]
    wanted = (
        'train, valid, test, or "" for none' if subject.spec.assign is not None else "a text key"
    )
    demand(
        not wrong,
        f"the splitter gives {wrong[0]!r} for a row; give {wanted}." if wrong else "",
    )


def deterministic(subject: Subject) -> None:
    """The same rows and the same seed are split the same way."""
    columns = _columns(subject)
    demand(
        _apply(subject, columns, 0) == _apply(subject, columns, 0),
        "the same rows are split otherwise at the second call. Take random numbers from a "
        "generator made of the seed only, and use no hash() of text, which differs by process.",
    )


def disjoint(subject: Subject) -> None:
    """Equal rows stay in one split."""
    columns = _columns(subject)
    count = len(next(iter(columns.values())))
    twice = {name: [*rows, *rows] for name, rows in columns.items()}
    splits = _splits(subject, twice)
    demand(
        splits[:count] == splits[count:],
        "two equal rows are put into two splits: the test split would hold rows that were trained "
        "on. Decide by the row's content, not by its place.",
    )


def row_alone(subject: Subject) -> None:
    """The key of a row does not depend on the rows beside it."""
    columns = _columns(subject)
    groups = resolve(subject.spec.groups or "", f"split {subject.item.name}")
    rows = next(iter(columns.values()))
    keys = list(groups(rows))
    for place in {0, len(rows) // 2, len(rows) - 1}:
        (alone,) = groups([rows[place]])
        demand(
            alone == keys[place],
            f"the key of {rows[place]!r} is {keys[place]!r} in a batch and {alone!r} alone. "
            "Stage 1 and the tasks split different rows: such a key would let test rows into "
            "training.",
        )


def all_splits(subject: Subject) -> None:
    """Rows of the domain fall into all of train, valid and test."""
    splits = _splits(subject, _columns(subject))
    missing = [split for split in SPLITS if split not in splits]
    demand(
        not missing,
        f"none of {len(splits)} rows falls into the {missing[0] if missing else ''} split. Make "
        "the groups finer: there should be some dozens of them at least.",
    )


CHECKS = (
    Rule(rule_given),
    Rule(covers),
    Rule(deterministic),
    Rule(disjoint),
    Rule(row_alone, lambda subject: subject.spec.groups is not None),
    Rule(all_splits),
)


def _apply(subject: Subject, columns: dict[str, list[Any]], seed: int) -> list[Any]:
    """Return keys of `groups`, or parts of `assign`."""
    spec = subject.spec
    if spec.assign is not None:
        return list(resolve(spec.assign, f"split {subject.item.name}")(columns, seed))
    groups = resolve(spec.groups or "", f"split {subject.item.name}")
    return list(groups(next(iter(columns.values()))))


def _splits(subject: Subject, columns: dict[str, list[Any]]) -> list[str]:
    splits = _apply(subject, columns, 0)
    return splits if subject.spec.assign is not None else splits_by_groups(splits)


def _columns(subject: Subject) -> dict[str, list[Any]]:
    """Return rows to splitter: of a task that names the splitter, of its domain, or made up."""
    spec, context = subject.spec, subject.context
    if spec.columns:
        return _rows_with(subject, spec.columns)
    for task in subject.registry.tasks:
        is_candidate = task.spec.split is not None or task.source == subject.item.source
        if task.spec.dataset and is_candidate:
            resolved = context.resolved(task)  # its splitter may be that of its domain
            if resolved.split is None or resolved.split.name != subject.item.name:
                continue
            fields = context.fields(task, resolved)
            if spec.groups is not None:
                field = spec.field or resolved.span_fields[0]
                return {field: fields[field]}
            return {name: fields[name] for name in resolved.span_fields} or fields
    domains = _domains(subject)
    if domains:
        return {domains[0].spec.field: context.rows_with_bucket(domains[0])}
    if spec.assign is not None and spec.field is None:
        return {"row": [f"row {i}" for i in range(60)]}
    raise NotApplicable(
        "no task and no domain uses the splitter, so there is no row to try. Name it as `split` of "
        "the domain or task that it is for."
    )


def _rows_with(subject: Subject, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the columns of a dataset that has all that the splitter demands of files."""
    for dataset in subject.registry.datasets:
        if dataset.source == subject.item.source and set(names) <= set(dataset.spec.columns):
            table = subject.context.table(dataset)
            return {name: list(table.column(name)) for name in table.columns}
    raise NotApplicable(
        f"no dataset of the plugin has the columns {', '.join(names)} that the splitter asks for."
    )


def _domains(subject: Subject) -> Sequence[Registered[Domain]]:
    """Return the domains that name the splitter, then those with its field."""
    names = (subject.item.short, subject.item.name)
    using = [domain for domain in subject.registry.domains if domain.spec.split in names]
    field = subject.spec.field
    return using + [d for d in subject.registry.domains if field and d.spec.field == field]
