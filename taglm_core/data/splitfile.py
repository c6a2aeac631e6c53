"""What a split file means: a table that names a split for each row of another table by its number.

Every row is named once; a number may be written 3 or 3.0. An empty cell in the column of the splits
skips its row.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from taglm_core.data.columns import find_column
from taglm_core.data.readers import read_table
from taglm_core.data.splits import parse_splits
from taglm_core.data.table import Table
from taglm_core.errors import DataError, counted

SKIPPED = ""
"""Split of a row that is put nowhere."""

_WHOLE = re.compile(r"\+?(\d{1,18})(?:\.0*)?")
_FIX = "A split file names each row of the data once, by its number from 1 on, and its split."

_ADVICE = "A split file has the columns row (from 1) and split (train, valid or test)."

_SPLIT_COLUMNS = ("part", "partition", "subset")
"""Other names that files use for the column of the splits; its cells are checked in any case."""


def find_split_column(
    table_columns: Iterable[str],
    mapping: Mapping[str, str],
    source: str,
    advice: str = "Name the column: {option}.",
) -> str:
    """Find the column that holds the split of each row: `split`, or another usual name of it.

    Args:
        table_columns: The columns there are.
        mapping: Field -> column, as the user gave with `--column`; its key is `split`.
        source: The file, for messages.
        advice: What to do when there is none.

    Raises:
        DataError: when no column fits, or two fit equally well.
    """
    return find_column(table_columns, "split", _SPLIT_COLUMNS, mapping, source, advice)


def splits_from_file(
    path: str, numbers: Sequence[int], table_rows: Sequence[int], test_file: str | None = None
) -> list[str]:
    """Return the split of some rows, `SKIPPED` for those whose cell is empty.

    Args:
        path: The split file, with the columns `row` and `split`.
        numbers: Numbers of the rows that are asked for.
        table_rows: Numbers of all rows of the data.
        test_file: Another file that is the test split; rows that the column `file` gives to it
            are passed over, as in the split.csv that a run writes.

    Raises:
        DataError: naming file, row and cell when a row is blank, is no number, is named twice, is
            beyond the data or is missing.
    """
    table = read_table(path)
    row_column = find_column(table.columns, "row", (), {}, table.source, _ADVICE)
    split_column = find_split_column(table.columns, {}, table.source, _ADVICE)
    table = _own_rows(table, test_file)
    named = _row_numbers(table, row_column)
    _check_known(table, named, row_column, table_rows)
    by_row = {number: i for i, number in enumerate(named)}
    missing = [n for n in numbers if n not in by_row]
    if missing:
        raise DataError(
            f"{path} names no split for row {missing[0]} of the data "
            f"({counted(len(missing), 'row')} missing). {_FIX}"
        )
    cells = [table.columns[split_column][by_row[n]] for n in numbers]
    places = [i for i, cell in enumerate(cells) if str(cell or "").strip()]
    named_splits = parse_splits(
        [cells[i] for i in places],
        [table.rows[by_row[numbers[i]]] for i in places],
        table.source,
        split_column,
    )
    splits = [SKIPPED] * len(cells)
    for i, split in zip(places, named_splits, strict=True):
        splits[i] = split
    return splits


def _own_rows(table: Table, test_file: str | None) -> Table:
    """Leave out the rows of a test file, which are numbered by themselves."""
    if test_file is None or "file" not in table.columns:
        return table
    files = table.columns["file"]
    return table.select([i for i, file in enumerate(files) if str(file) != test_file])


def _row_numbers(table: Table, column: str) -> list[int]:
    numbers = []
    for cell, row in zip(table.columns[column], table.rows, strict=True):
        number = _row_number(cell)
        if number is None:
            shown = "is empty" if not str(cell or "").strip() else f"holds {_short(cell)}"
            raise DataError(
                f"{table.source}, row {row}: column '{column}' {shown}, where a row number of the "
                f"data is expected. {_FIX}"
            )
        numbers.append(number)
    return numbers


def _row_number(cell: Any) -> int | None:
    """Return a row number, None for a cell that holds none."""
    if isinstance(cell, bool) or cell is None:
        return None
    match = _WHOLE.fullmatch(str(cell).strip())
    return int(match[1]) if match else None


def _check_known(
    table: Table, named: Sequence[int], column: str, table_rows: Sequence[int]
) -> None:
    """Refuse rows that are named twice, and rows that the data do not hold."""
    first: dict[int, int] = {}
    for number, row in zip(named, table.rows, strict=True):
        if number in first:
            raise DataError(
                f"{table.source}, row {row}: column '{column}' names row {number}, which row "
                f"{first[number]} of the file names already. {_FIX}"
            )
        first[number] = row
    known = set(table_rows)
    beyond = [(number, row) for number, row in first.items() if number not in known]
    if beyond:
        number, row = beyond[0]
        raise DataError(
            f"{table.source}, row {row}: column '{column}' names row {number}, but the data hold "
            f"{len(known)} rows ({len(beyond)} of the {len(first)} named rows are not in the "
            "data). Give the split file of this table."
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
