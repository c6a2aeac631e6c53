"""Writing tables to files in chunks, whole or not at all; parquet's types are in `parquet.py`."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from taglm_core.data.atomic import check_not_read, check_writable, jsonable, replace_file
from taglm_core.data.formats import FileFormat, writable_format
from taglm_core.errors import DataError, ShapeError

Columns = Mapping[str, Sequence[Any]]


class Sink(Protocol):
    """Something that takes chunks of one file."""

    def write(self, columns: Columns) -> None:
        """Append a chunk."""
        ...

    def close(self) -> None:
        """End the file."""
        ...


class TableWriter:
    """Write a table chunk by chunk; the file appears when the `with` block ends well.

    Format, folder and file name are checked when the writer is made, so that a mistake is found
    before any work is done. Numbers are written so that reading them gives the same number; None
    and NaN become empty cells (null in jsonl and parquet).

    Args:
        path: The file, with the extension of a known format.
        format: Such as "csv" or "csv.gz"; None: the extension decides.
        reads: Files that are read for it, none of which may be the file itself.

    Raises:
        DataError: for an unknown extension, a missing folder, a file that is read, or a cell that
            the format cannot hold.

    Example:
        with TableWriter("out.csv") as writer:
            writer.write({"text": ["one"], "length": [3]})
    """

    def __init__(
        self,
        path: str | Path,
        format: str | None = None,
        reads: Sequence[str | Path | None] = (),
    ) -> None:
        self.path = Path(path)
        self._format = writable_format(self.path, format)
        check_writable(self.path)
        check_not_read(self.path, reads)
        if self._format.name == "xlsx":
            from taglm_core.data.excel import library

            library(self.path)
        self._stack = ExitStack()
        self._sink: Sink | None = None
        self._names: list[str] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replace_file(self.path))
            self._sink = _open_sink(temporary, self._format, str(self.path))
            stack.callback(self._sink.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sink = None
        if error is None and self._names is None:
            error = DataError(f"{self.path}: no rows were given, so no file was written.")
            self._stack.__exit__(type(error), error, None)
            raise error
        self._stack.__exit__(kind, error, traceback)

    def write(self, columns: Columns) -> None:
        """Append a chunk: column -> values, the same columns in the same order every time.

        Raises:
            ShapeError: when the columns differ in length, or from those of the first chunk.
            DataError: when a cell cannot be written in this format.
        """
        if self._sink is None:
            raise RuntimeError("TableWriter.write works inside its `with` block only")
        names = list(columns)
        if self._names is None:
            _check_header(names, self.path)
            self._names = names
        if names != self._names:
            raise ShapeError(
                f"{self.path}: a chunk with the columns {', '.join(names)} after one with "
                f"{', '.join(self._names)}."
            )
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"{self.path}: columns of different lengths: {lengths}.")
        self._sink.write(columns)


def write_table(path: str | Path, columns: Columns, format: str | None = None) -> None:
    """Write a whole table; the file appears at once or, after an error, not at all.

    Args:
        path: The file, with the extension of a known format.
        columns: Column -> values, all of one length.
        format: Such as "csv" or "csv.gz"; None: the extension decides.

    Raises:
        DataError: for an unknown extension, a missing folder, or a cell that the format cannot
            hold.
        ShapeError: when the columns differ in length.
    """
    with TableWriter(path, format) as writer:
        writer.write(columns)


def _check_header(names: list[str], path: Path) -> None:
    if not names:
        raise DataError(f"{path}: a table needs at least one column.")


def _open_sink(temporary: Path, format: FileFormat, name: str) -> Sink:
    if format.name == "parquet":
        from taglm_core.data.parquet import ParquetSink

        return ParquetSink(temporary, name)
    if format.name == "xlsx":
        from taglm_core.data.excel import ExcelSink

        return ExcelSink(temporary, name)
    return _TextSink(temporary, format, name)


class _TextSink:
    """Writes a text format line by line, UTF-8, lines ended by a newline."""

    def __init__(self, temporary: Path, format: FileFormat, name: str) -> None:
        self._raw = temporary.open("wb")
        binary: Any = self._raw
        if format.is_gzip:  # no name and no time inside: equal tables give equal files
            binary = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0)
        self._file = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        self._lines = _LINES[format.name]
        self._name = name
        self._num_rows = 0
        self._has_header = format.name in ("csv", "tsv")

    def write(self, columns: Columns) -> None:
        """Append a chunk, behind the header if it is the first."""
        if self._has_header:
            self._write_rows([list(columns)], list(columns))
            self._has_header = False
        rows = list(zip(*columns.values(), strict=True))
        self._write_rows(rows, list(columns))
        self._num_rows += len(rows)

    def _write_rows(self, rows: Sequence[Sequence[Any]], names: list[str]) -> None:
        place = f"{self._name}, row {{row}}"
        try:
            self._lines(self._file, rows, names)
        except _CellError as error:
            where = place.format(row=self._num_rows + error.index + 1)
            raise DataError(f"{where}, column '{error.column}': {error.reason}") from error

    def close(self) -> None:
        """End the compressed stream, if there is one, and the file."""
        self._file.close()
        self._raw.close()


class _CellError(Exception):
    def __init__(self, index: int, column: str, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.column = column
        self.reason = reason


def cell_text(value: Any) -> str:
    """Return a value as a text cell: the shortest text that reads as the same number."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # NaN is the value that differs from itself
        return ""
    if isinstance(value, float):  # numpy.float64 too, whose own repr names its type
        return float.__repr__(value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(jsonable(value), ensure_ascii=False, default=str)
    return str(value)


def _csv_lines(file: TextIO, rows: Sequence[Sequence[Any]], names: list[str]) -> None:
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [cell_text(value) for value in row]
        # csv leaves "\r" unquoted before Python 3.13, and readers take it for a line end
        (quoted if any("\r" in cell for cell in cells) else plain).writerow(cells)


def _tsv_lines(file: TextIO, rows: Sequence[Sequence[Any]], names: list[str]) -> None:
    for index, row in enumerate(rows):
        cells = [cell_text(value) for value in row]
        line = "\t".join(cells)
        if line.count("\t") >= len(cells) or "\n" in line or "\r" in line or not line:
            column, cell = _first_bad(cells, names)
            what = "a tab or newline" if cell else "only an empty cell"
            raise _CellError(
                index, column, f"a tsv row cannot hold {what}: {cell[:60]!r}. Write a .csv file."
            )
        file.write(line + "\n")


def _first_bad(cells: list[str], names: list[str]) -> tuple[str, str]:
    bad = (i for i, cell in enumerate(cells) if any(char in cell for char in "\t\n\r"))
    index = next(bad, 0)
    return names[index], cells[index]


def _jsonl_lines(file: TextIO, rows: Sequence[Sequence[Any]], names: list[str]) -> None:
    for row in rows:
        plain = jsonable(dict(zip(names, row, strict=True)))
        file.write(json.dumps(plain, ensure_ascii=False, allow_nan=False, default=str) + "\n")


_LINES: dict[str, Callable[[TextIO, Sequence[Sequence[Any]], list[str]], None]] = {
    "csv": _csv_lines,
    "tsv": _tsv_lines,
    "jsonl": _jsonl_lines,
}
