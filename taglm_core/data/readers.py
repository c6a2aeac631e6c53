"""Reading tables from files, whole or in chunks; writing is in `writers.py`."""

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from taglm_core.data import records
from taglm_core.data.formats import find_reader
from taglm_core.data.inputs import note_read
from taglm_core.data.table import Table
from taglm_core.data.textfiles import check_exists
from taglm_core.errors import DataError, PluginError, TaglmError
from taglm_core.plugins import Registered, Registry
from taglm_core.specs import Reader
from taglm_core.specs.isolation import reason_of, shown
from taglm_core.specs.reference import resolve

Batch = dict[str, list[Any]]


def read_table(
    path: str | Path,
    format: str | None = None,
    registry: Registry | None = None,
    sheet: str | None = None,
) -> Table:
    """Read a whole file.

    Args:
        path: A csv, tsv, jsonl (each also .gz) or parquet file, or of a format that a plugin reads.
        format: Name of a reader, such as "csv"; None: the extension decides.
        registry: Where readers of plugins are looked up; None: all installed plugins.
        sheet: Name or number of a sheet of a workbook; None: its first sheet.

    Raises:
        DataError: naming file and row when it cannot be read, or has no rows.
    """
    chunks = iter_tables(path, format=format, registry=registry, sheet=sheet)
    table = next(chunks)
    for chunk in chunks:
        table.rows.extend(chunk.rows)
        if table.lines is not None:
            table.lines.extend(chunk.lines or [])
        for name, values in chunk.columns.items():
            table.columns[name].extend(values)
    return table


def iter_tables(
    path: str | Path,
    chunk_rows: int = 50_000,
    format: str | None = None,
    registry: Registry | None = None,
    sheet: str | None = None,
) -> Iterator[Table]:
    """Read a file in chunks, so that memory stays flat.

    The file is looked for at once; what is wrong inside is raised on the way. Row numbers count
    on from chunk to chunk.

    Args:
        path: A csv, tsv, jsonl (each also .gz) or parquet file, or of a format that a plugin reads.
        chunk_rows: Rows of each chunk but the last.
        format: Name of a reader, such as "csv"; None: the extension decides.
        registry: Where readers of plugins are looked up; None: all installed plugins.
        sheet: Name or number of a sheet of a workbook; None: its first sheet.

    Raises:
        DataError: naming file and row when it cannot be read, or has no rows.
    """
    path = Path(path)
    check_exists(path)
    reader = find_reader(path, format, registry)
    note_read(path)
    return _numbered(path, _batches(path, reader, chunk_rows, sheet))


def _batches(
    path: Path, reader: Registered[Reader], batch_size: int, sheet: str | None
) -> Iterator[Batch]:
    """Read batches by a plugin's reader; whatever it raises is charged to the plugin."""
    read = resolve(reader.spec.read_batches, f"reader {reader.name}")
    if sheet is not None:
        if "sheet" not in inspect.signature(read).parameters:
            raise DataError(
                f"{path}: sheet {sheet!r} was asked for, but the file is not a workbook. Leave "
                "--sheet (sheet) out."
            )
        read = functools.partial(read, sheet=sheet)
    batches = iter(_charged(reader, path, lambda: iter(read(path, batch_size))))
    first: list[str] | None = None
    while True:
        batch = _charged(reader, path, lambda: next(batches, None))
        if batch is None:
            return
        problem = _problem(batch, first)
        if problem is not None:
            raise PluginError(f"{reader.source}: the reader '{reader.name}', {path}: {problem}.")
        first = list(batch)
        yield batch


def _problem(batch: Any, names: list[str] | None) -> str | None:
    """Return what is wrong with the form of a batch; `names` are the columns of the one before."""
    if not isinstance(batch, dict) or not all(isinstance(v, list) for v in batch.values()):
        return f"it gave {shown(batch)}, expected a dictionary of column name -> list"
    lengths = {str(name): len(values) for name, values in batch.items()}
    if len(set(lengths.values())) > 1:
        return f"the columns have different lengths: {lengths}"
    if names is not None and list(batch) != names:
        return f"a batch has the columns {list(batch)} after one with {names}"
    return None


def _charged(reader: Registered[Reader], path: Path, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except TaglmError:  # says what a user can fix
        raise
    except Exception as error:
        raise PluginError(
            f"{reader.source}: the reader '{reader.name}' failed on {path}: {reason_of(error)}"
        ) from error


def _numbered(path: Path, batches: Iterator[Batch]) -> Iterator[Table]:
    """Give tables with row numbers; demand at least one row."""
    done = 0
    for columns in batches:
        count = len(next(iter(columns.values()), []))
        if count:
            rows = list(range(done + 1, done + count + 1))
            lines = columns.lines if isinstance(columns, records.Batch) else None
            yield Table(columns=columns, rows=rows, source=str(path), lines=lines)
        done += count
    if not done:
        raise DataError(
            f"{path}: there is a header but no row below it (0 rows). Give a table with rows."
        )
