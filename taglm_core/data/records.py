"""Batches of columns from the records of a text file, for readers of any text format."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from taglm_core.data.characters import visible
from taglm_core.data.textfiles import LineEnds, open_text
from taglm_core.errors import DataError

Records = Callable[[TextIO, str], Iterator[Sequence[Any]]]
"""`(file, source) -> rows`: the names of the columns first, then one list of cells for each row."""

Numbered = tuple[int, list[Any]]
"""Number of a line in its file, from 1, and its cells."""


class Batch(dict[str, list[Any]]):
    """Column -> values, with the line of each row as an editor or a spreadsheet numbers it."""

    def __init__(self, columns: Mapping[str, list[Any]], lines: list[int]) -> None:
        super().__init__(columns)
        self.lines = lines


def record_batches(
    path: Path, read_records: Records, batch_size: int, ends: LineEnds = "any"
) -> Iterator[dict[str, list[Any]]]:
    """Read a text file in batches of columns.

    Args:
        path: The file, compressed by gzip or not.
        read_records: `(file, source) -> Iterator`: gives the names of the columns first, then one
            list of cells for each row; nothing at all for an empty file.
        batch_size: Most rows of a batch.
        ends: What ends a line, see `open_text`.

    Raises:
        DataError: when the file is empty, or two columns have one name.
    """
    with open_text(path, ends) as file:
        records = read_records(file, str(path))
        names = next(records, None)
        if not names:
            raise DataError(f"{path}: the file is empty. It needs a header line and rows.")
        names = [visible(name) for name in names]
        check_names(path, names)
        while chunk := list(islice(records, batch_size)):
            cells = zip(*chunk, strict=True)
            yield {name: list(column) for name, column in zip(names, cells, strict=True)}


def numbered_batches(
    path: Path, records: Iterator[Numbered], batch_size: int
) -> Iterator[dict[str, list[Any]]]:
    """Make batches that know the lines of their rows.

    Args:
        path: The file, for messages.
        records: The number of the header's line and the names of the columns first, then number
            and cells of each row; nothing at all for an empty file.
        batch_size: Most rows of a batch.

    Raises:
        DataError: when the file is empty, or two columns have one name.
    """
    _, header = next(records, (0, []))
    if not header:
        raise DataError(f"{path}: the file is empty. It needs a header line and rows.")
    names = [visible(name) for name in header]
    check_names(path, names)
    while chunk := list(islice(records, batch_size)):
        cells = zip(*(row for _, row in chunk), strict=True)
        columns = {name: list(column) for name, column in zip(names, cells, strict=True)}
        yield Batch(columns, [line for line, _ in chunk])


def check_names(path: Path, names: Sequence[str]) -> None:
    """Demand that each column has a name of its own.

    Raises:
        DataError: naming the columns.
    """
    names = list(names)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if "" in map(str.strip, twice):
        places = [str(i + 1) for i, name in enumerate(names) if not name.strip()]
        raise DataError(
            f"{path}: the columns {', '.join(places)} have no name. Give each a name in the first "
            "line, or delete them."
        )
    if twice:
        places = [str(i + 1) for i, name in enumerate(names) if name == twice[0]]
        raise DataError(
            f"{path}: the column name '{twice[0]}' occurs {len(places)} times (columns "
            f"{', '.join(places)}). Rename the columns so that each has its own name."
        )
