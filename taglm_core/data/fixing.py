"""Putting common faults of rows right, by the domains' own rules, when the user asked for it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from taglm_core.data.missing import Content, is_missing
from taglm_core.data.table import Table
from taglm_core.errors import PluginError, counted
from taglm_core.plugins import Registered
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Domain, Fixed
from taglm_core.specs.reference import resolve

logger = logging.getLogger(__name__)


def fix_rows(rows: Sequence[Any], domain: Registered[Domain]) -> tuple[list[Any], list[str | None]]:
    """Fix the filled rows of a domain that has a `fix`.

    Args:
        rows: Rows as read, `(rows,)`.
        domain: The domain they belong to.

    Returns:
        The rows, and None or what was changed in each.

    Raises:
        PluginError: when `fix` gives another number of rows.
    """
    values: list[Any] = list(rows)
    changes: list[str | None] = [None] * len(values)
    filled = [i for i, row in enumerate(values) if isinstance(row, str) and not is_missing(row)]
    if domain.spec.fix is None or not filled:
        return values, changes
    fix = resolve(domain.spec.fix, f"domain {domain.name}, fix")
    fixed: Fixed = fix([values[i].strip() for i in filled])
    if len(fixed.values) != len(filled) or len(fixed.changes) != len(filled):
        raise PluginError(
            f"{domain.source}: fix of {domain.name} gave {len(fixed.values)} rows for "
            f"{len(filled)}."
        )
    for i, value, change in zip(filled, fixed.values, fixed.changes, strict=True):
        if change is not None:
            fixed_value = Content(value) if isinstance(values[i], Content) else value
            values[i], changes[i] = fixed_value, f"{domain.spec.field}: {change}"
    return values, changes


def fix_fields(
    values: Mapping[str, Sequence[Any]], task: ResolvedTask, table: Table
) -> tuple[dict[str, list[Any]], list[tuple[int, str]]]:
    """Fix the domain fields of a task's rows, and say in the log how many were changed.

    Args:
        values: Field -> values as read.
        task: Whose domains say what can be fixed.
        table: What the rows were read from.

    Returns:
        Field -> values, and (row number, what was changed) of each changed row.
    """
    fixed: dict[str, list[Any]] = {}
    changes: dict[int, str] = {}
    for field, column in values.items():
        domain = task.domain_of_field(field)
        fixed[field] = list(column)
        if domain is not None:
            fixed[field], own_changes = fix_rows(column, domain)
            for i, change in enumerate(own_changes):
                if change is not None:
                    changes[i] = f"{changes[i]}; {change}" if i in changes else change
    listed = [(table.rows[i], changes[i]) for i in sorted(changes)]
    report_fixed(table, listed)
    return fixed, listed


def report_fixed(table: Table, fixed: Sequence[tuple[int, str]]) -> str | None:
    """Log how many rows were changed, and how the first one was; return what was logged."""
    if not fixed:
        return None
    said = (
        f"{table.source}: {len(fixed)} of {counted(table.num_rows, 'row')} fixed, the first is row "
        f"{fixed[0][0]}: {fixed[0][1]}"
    )
    logger.warning("%s", said)
    return said
