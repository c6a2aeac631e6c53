"""Putting common faults of rows right, by the domains' own rules, when the user asked for it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from taglm_core.data.missing import Content, is_missing
from taglm_core.data.table import Table
from taglm_core.errors import PluginError
from taglm_core.plugins import Registered
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Domain, Mended
from taglm_core.specs.reference import resolve

logger = logging.getLogger(__name__)


def mend_rows(
    rows: Sequence[Any], domain: Registered[Domain]
) -> tuple[list[Any], list[str | None]]:
    """Mend the filled rows of a domain that has a `mend`.

    Args:
        rows: Rows as read, `(rows,)`.
        domain: The domain they belong to.

    Returns:
        The rows, and None or what was changed in each.

    Raises:
        PluginError: when `mend` gives another number of rows.
    """
    made: list[Any] = list(rows)
    changes: list[str | None] = [None] * len(made)
    filled = [i for i, row in enumerate(made) if isinstance(row, str) and not is_missing(row)]
    if domain.spec.mend is None or not filled:
        return made, changes
    mend = resolve(domain.spec.mend, f"domain {domain.name}, mend")
    mended: Mended = mend([made[i].strip() for i in filled])
    if len(mended.values) != len(filled) or len(mended.changes) != len(filled):
        raise PluginError(
            f"{domain.source}: mend of {domain.name} gave {len(mended.values)} rows for "
            f"{len(filled)}."
        )
    for i, value, change in zip(filled, mended.values, mended.changes, strict=True):
        if change is not None:
            kept = Content(value) if isinstance(made[i], Content) else value
            made[i], changes[i] = kept, f"{domain.spec.field}: {change}"
    return made, changes


def mend_fields(
    values: Mapping[str, Sequence[Any]], task: ResolvedTask, table: Table
) -> tuple[dict[str, list[Any]], list[tuple[int, str]]]:
    """Mend the domain fields of a task's rows, and say in the log how many were changed.

    Args:
        values: Field -> values as read.
        task: Whose domains say what can be mended.
        table: What the rows were read from.

    Returns:
        Field -> values, and (row number, what was changed) of each changed row.
    """
    made: dict[str, list[Any]] = {}
    changes: dict[int, str] = {}
    for field, column in values.items():
        domain = task.domain_of_field(field)
        made[field] = list(column)
        if domain is not None:
            made[field], found = mend_rows(column, domain)
            for i, change in enumerate(found):
                if change is not None:
                    changes[i] = f"{changes[i]}; {change}" if i in changes else change
    listed = [(table.rows[i], changes[i]) for i in sorted(changes)]
    report_mended(table, listed)
    return made, listed


def report_mended(table: Table, mended: Sequence[tuple[int, str]]) -> str | None:
    """Log how many rows were changed, and how the first one was; return what was logged."""
    if not mended:
        return None
    said = (
        f"{table.source}: {len(mended)} of {table.num_rows} rows mended, the first is row "
        f"{mended[0][0]}: {mended[0][1]}"
    )
    logger.warning("%s", said)
    return said
