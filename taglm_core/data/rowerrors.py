"""What happens to rows with errors: named with their file and raised, or skipped and counted."""

import logging
from collections.abc import Sequence

from taglm_core.data.columns import check_on_error
from taglm_core.data.table import Table
from taglm_core.errors import RowError, counted

logger = logging.getLogger(__name__)

_SHOWN = 5
_LEAVES_NONE = "Correct the rows; skipping them would leave none."


def raise_rows(source: str, bad: Sequence[tuple[int, str]], total: int, fix: str) -> None:
    """Raise one error that names the first invalid rows and counts them all.

    Args:
        source: File or dataset.
        bad: Row number and reason of each invalid row.
        total: Number of rows of the source.
        fix: What to do.

    Raises:
        RowError: always.
    """
    shown = "\n".join(f"  row {row}: {reason}" for row, reason in bad[:_SHOWN])
    more = f"\n  and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    rows = counted(total, "row")
    raise RowError(f"{source}: {len(bad)} of {rows} cannot be used:\n{shown}{more}", fix)


def check_errors(
    table: Table,
    errors: Sequence[str | None],
    on_error: str,
    skip: str = "skip them with --on-error skip (on_error='skip')",
    needs_rows: bool = True,
) -> list[tuple[int, str]]:
    """Raise the errors of a table's rows, or return those of the rows to skip.

    Args:
        table: What the rows were read from.
        errors: None or what is wrong with each row.
        on_error: "raise", or "skip" to skip invalid rows.
        skip: How to go on without the rows, for the message.
        needs_rows: Whether it is an error, too, that no row is left.

    Returns:
        Row number and reason of each invalid row.

    Raises:
        RowError: naming the first invalid rows.
    """
    check_on_error(on_error)
    bad = [(row, e) for row, e in zip(table.rows, errors, strict=True) if e is not None]
    is_empty = needs_rows and len(bad) == table.num_rows
    if bad and (on_error == "raise" or is_empty):
        fix = _LEAVES_NONE if is_empty else f"Correct the rows, or {skip}."
        raise_rows(table.source, bad, table.num_rows, fix)
    return bad


def skip_errors(table: Table, errors: Sequence[str | None], on_error: str) -> str | None:
    """Do as `check_errors`, and log how many rows are skipped.

    Returns:
        What was logged, None when every row is valid.
    """
    bad = check_errors(table, errors, on_error)
    if not bad:
        return None
    remark = (
        f"{table.source}: {len(bad)} of {counted(table.num_rows, 'row')} skipped, the first is row "
        f"{bad[0][0]}: {bad[0][1]}"
    )
    logger.warning("%s", remark)
    return remark
