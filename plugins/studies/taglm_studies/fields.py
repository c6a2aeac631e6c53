"""Which columns of a data file hold the fields of a task, or of any registered domain."""

from collections.abc import Mapping, Sequence

import attrs

from taglm_core import Domain
from taglm_core.errors import DataError
from taglm_core.plugin import Registered, Registry, ResolvedTask, Table, find_column


@attrs.frozen
class Field:
    """A field of the data and the columns that hold it."""

    name: str
    columns: tuple[str, ...]
    domain: Registered[Domain] | None


def task_fields(table: Table, task: ResolvedTask, mapping: Mapping[str, str]) -> list[Field]:
    """Find the columns of a task's fields.

    Raises:
        DataError: naming the field that has no column.
    """
    fields = []
    for name in task.fields:
        domain = task.domain_of_field(name)
        fields.append(_field(table, name, domain, mapping, task.spec.aliases.get(name, ())))
    return fields


def _field(
    table: Table,
    name: str,
    domain: Registered[Domain] | None,
    mapping: Mapping[str, str],
    others: Sequence[str] = (),
) -> Field:
    spec = domain.spec if domain is not None and domain.spec.field == name else None
    wanted = spec.columns if spec is not None and spec.columns else (name,)
    aliases = (*others, *(spec.aliases if spec is not None and not spec.columns else ()))
    columns = [find_column(table.columns, one, aliases, mapping, table.source) for one in wanted]
    return Field(name, tuple(columns), domain)


def known_fields(
    table: Table,
    registry: Registry,
    mapping: Mapping[str, str],
    targets: Sequence[str],
    notes: list[str],
) -> list[Field]:
    """Find the columns of all registered domains, and further fields that the mapping names.

    A column that several domains claim is left out.

    Args:
        table: The file.
        registry: Gives the domains.
        mapping: Field -> column.
        targets: Names in the mapping that are no fields, beside "split".
        notes: Takes what was left out.

    Raises:
        DataError: when there is no field at all.
    """
    claims: dict[tuple[str, ...], list[Field]] = {}
    for domain in registry.domains:
        try:
            field = _field(table, domain.spec.field, domain, mapping)
        except DataError:
            if domain.spec.field in mapping:
                raise
            continue
        claims.setdefault(field.columns, []).append(field)
    all_fields = []
    for columns, fields in claims.items():
        if len(fields) > 1:
            names = ", ".join(field.domain.name for field in fields if field.domain is not None)
            notes.append(f"column {columns[0]} fits several domains ({names}); give --task")
        else:
            all_fields += fields
    named = {domain.spec.field for domain in registry.domains} | {"split", *targets}
    all_fields += [_field(table, name, None, mapping) for name in mapping if name not in named]
    if not all_fields:
        known = ", ".join(sorted({domain.spec.field for domain in registry.domains})) or "none"
        raise DataError(
            f"{table.source}: no column of a known field (fields: {known}). Columns: "
            f"{', '.join(table.columns)}. Name the task with --task, or a column with "
            "--column FIELD=NAME."
        )
    return all_fields
