"""Reading tables from files, whole or in chunks; writing is in `writers.py`."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from taglm_core.data.characters import visible
from taglm_core.data.inputs import note_read
from taglm_core.data.records import LINE_ENDS, RECORDS
from taglm_core.data.table import FileFormat, Table, file_format
from taglm_core.data.textfiles import check_exists, open_text
from taglm_core.errors import DataError


def read_table(path: str | Path, format: str | None = None) -> Table:
    """Read a whole file.

    Args:
        path: A csv, tsv, jsonl, smi, fasta (each also .gz) or parquet file.
        format: Such as "csv" or "csv.gz"; None: the extension decides.

    Raises:
        DataError: naming file and row when it cannot be read, or has no rows.
    """
    chunks = iter_tables(path, format=format)
    table = next(chunks)
    for chunk in chunks:
        table.rows.extend(chunk.rows)
        for name, values in chunk.columns.items():
            table.columns[name].extend(values)
    return table


def iter_tables(
    path: str | Path, chunk_rows: int = 50_000, format: str | None = None
) -> Iterator[Table]:
    """Read a file in chunks, so that memory stays flat.

    The file is looked for at once; what is wrong inside is raised on the way. Row numbers count
    on from chunk to chunk.

    Args:
        path: A csv, tsv, jsonl, smi, fasta (each also .gz) or parquet file.
        chunk_rows: Rows of each chunk but the last.
        format: Such as "csv" or "csv.gz"; None: the extension decides.

    Raises:
        DataError: naming file and row when it cannot be read, or has no rows.
    """
    path = Path(path)
    check_exists(path)
    found = file_format(path, format)
    return _numbered(path, _chunks(path, found, chunk_rows))


def _numbered(path: Path, chunks: Iterator[dict[str, list[Any]]]) -> Iterator[Table]:
    """Give tables with row numbers; demand at least one row."""
    done = 0
    for columns in chunks:
        count = len(next(iter(columns.values()), []))
        if count:
            rows = list(range(done + 1, done + count + 1))
            yield Table(columns=columns, rows=rows, source=str(path))
        done += count
    if not done:
        raise DataError(f"{path}: there is a header but no row below it (0 rows).")


def _chunks(path: Path, found: FileFormat, chunk_rows: int) -> Iterator[dict[str, list[Any]]]:
    if found.name == "parquet":
        note_read(path)
        yield from _parquet_chunks(path, chunk_rows)
        return
    with open_text(path, LINE_ENDS[found.name]) as file:
        records = RECORDS[found.name](file, str(path))
        names = next(records, None)
        if not names:
            raise DataError(f"{path}: the file is empty. It needs a header line and rows.")
        names = [visible(name) for name in names]
        _check_names(path, names)
        while chunk := list(islice(records, chunk_rows)):
            cells = zip(*chunk, strict=True)
            yield {name: list(column) for name, column in zip(names, cells, strict=True)}


def _check_names(path: Path, names: list[str]) -> None:
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
            f"{path}: the column name '{twice[0]}' stands {len(places)} times (columns "
            f"{', '.join(places)}). Rename the columns so that each has its own name."
        )


def _parquet_chunks(path: Path, chunk_rows: int) -> Iterator[dict[str, list[Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_names(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=chunk_rows):
                yield batch.to_pydict()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not a readable parquet file ({reason}). Write or copy it again; if it is "
            "another format, rename it to end in .csv or whatever it is."
        ) from error
