"""The fields of a task: found in a table and made canonical, invalid rows with a reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from taglm_core.data.characters import odd_characters
from taglm_core.data.columns import as_value, find_column
from taglm_core.data.kept import kept_result
from taglm_core.data.missing import missing_reason
from taglm_core.data.table import Table
from taglm_core.errors import DataError, counted
from taglm_core.plugins import Registered
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Domain
from taglm_core.specs.encoding import first_errors
from taglm_core.specs.reference import resolve


def read_fields(
    table: Table, task: ResolvedTask, mapping: Mapping[str, str]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Find the columns of a task's fields.

    Returns:
        Field -> values, and field -> column it came from.

    Raises:
        DataError: naming file, field and columns when one is missing.
    """
    values: dict[str, list[Any]] = {}
    columns: dict[str, str] = {}
    for field in task.fields:
        domain = task.domain_of_field(field)
        spec = domain.spec if domain is not None else None
        if spec is not None and spec.columns and field == spec.field:
            names = [find_column(table.columns, c, (), mapping, table.source) for c in spec.columns]
            values[field] = list(zip(*(table.columns[name] for name in names), strict=True))
            columns |= dict(zip(spec.columns, names, strict=True))
            continue
        aliases = task.spec.aliases.get(field, ())
        aliases += spec.aliases if spec is not None and field == spec.field else ()
        columns[field] = _field_column(table, field, aliases, mapping, domain)
        values[field] = table.columns[columns[field]]
    return values, columns


def _field_column(
    table: Table,
    field: str,
    aliases: Sequence[str],
    mapping: Mapping[str, str],
    domain: Registered[Domain] | None,
) -> str:
    """Return the column of a field; where there is none, say if a name is a row of the domain."""
    try:
        return find_column(table.columns, field, aliases, mapping, table.source)
    except DataError as error:
        canonical = domain.spec.canonical if domain is not None else None
        if canonical is None or field in mapping or "looks like a row" in str(error):
            raise
        check = resolve(canonical, f"domain {domain.name if domain else ''}, canonical")
        names = list(table.columns)
        rows = [n for n, bad in zip(names, check(names).errors, strict=True) if bad is None]
        if not rows:
            raise
        raise DataError(
            f"{error} If the first line is a row and not a header ({rows[0]!r} could be one), put "
            "a line with the names of the columns before it."
        ) from error


def canonical_fields(
    values: Mapping[str, Sequence[Any]], task: ResolvedTask
) -> tuple[dict[str, list[Any]], list[str | None]]:
    """Make the domain fields canonical and check that none is empty.

    Returns:
        Field -> canonical values (blank where a row is bad), and one error or None a row.
    """
    canonical: dict[str, list[Any]] = {}
    count = len(next(iter(values.values()))) if values else 0
    errors: list[list[str | None]] = [[None] * count]
    for field, column in values.items():
        domain = task.domain_of_field(field)
        rows = [as_value(value, reads_text(domain)) for value in column]
        errors.append(
            [
                f"{field}: {empty_reason(cell)}" if is_empty(row) else None
                for row, cell in zip(rows, column, strict=True)
            ]
        )
        if domain is not None and domain.spec.canonical is not None:
            rows, invalid = _canonical(rows, domain)
            errors.append([e and f"{field}: {e}" for e in invalid])
        canonical[field] = rows
    return canonical, first_errors(*errors)


def _canonical(
    rows: Sequence[Any], domain: Registered[Domain]
) -> tuple[list[Any], list[str | None]]:
    """Return the canonical form of each row, blank where it has none, and its error or None."""
    canonical = resolve(domain.spec.canonical or "", f"domain {domain.name}, canonical")
    # once for each distinct row: in pairs the same few recur thousands of times
    distinct = list(dict.fromkeys(row for row in rows if not is_empty(row)))
    title = f"canonicalizing {counted(len(distinct), 'row')} of <{domain.spec.tag}>"
    reference = domain.spec.canonical or ""
    checked = kept_result(reference, canonical, distinct, len(distinct), title)
    results = dict(zip(distinct, zip(checked.values, checked.errors, strict=True), strict=True))
    checked_rows = [(row, *results.get(row, (None, None))) for row in rows]
    values = [value if value is not None else _blank(row) for row, value, _ in checked_rows]
    return values, [error and with_place(error, row) for row, _, error in checked_rows]


def reads_text(domain: Registered[Domain] | None) -> bool:
    """Say whether the rows of a domain are sentences, which may consist of a word such as None."""
    return domain is not None and domain.spec.encoder == "text"


def with_place(error: str, row: Any) -> str:
    """Return what is wrong with a row, and where a character beyond ASCII stands in it."""
    odd = odd_characters(row) if isinstance(row, str) else ""
    return f"{error} ({odd})" if odd else error


def empty_reason(value: Any) -> str:
    """Say of a cell, or of a record, why it counts as empty."""
    reason = missing_reason(value)
    return "empty" if isinstance(value, tuple) or reason == "the cell is empty" else reason


def is_empty(row: Any) -> bool:
    """Say whether a row has no content: "", or a record whose cells are all empty."""
    return not any(row) if isinstance(row, tuple) else not row


def _blank(row: Any) -> Any:
    """Return an empty row of the same form, for encoders to refuse."""
    return ("",) * len(row) if isinstance(row, tuple) else ""
