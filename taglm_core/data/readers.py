"""Reading tables from files, whole or in chunks; writing is in `writers.py`."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from taglm_core.data.records import RECORDS
from taglm_core.data.table import FileFormat, Table, file_format
from taglm_core.errors import DataError, nearest

_GZIP_MAGIC = b"\x1f\x8b"


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
    _check_exists(path)
    found = file_format(path, format)
    return _numbered(path, _chunks(path, found, chunk_rows))


def _check_exists(path: Path) -> None:
    if path.is_dir():
        names = sorted(p.name for p in path.iterdir() if p.is_file() and p.suffix)
        inside = f", such as '{path / names[0]}'" if names else ""
        raise DataError(f"{path} is a folder; name a file in it{inside}.")
    if path.exists():
        return
    if not path.parent.is_dir():
        raise DataError(
            f"{path}: no such file; the folder '{path.parent}' does not exist either "
            f"(working folder: {Path.cwd()})."
        )
    near = nearest(path.name, os.listdir(path.parent))
    raise DataError(f"{path}: no such file in '{path.parent.resolve()}'.{near}")


def _numbered(path: Path, chunks: Iterator[dict[str, list[Any]]]) -> Iterator[Table]:
    """Give tables with row numbers; demand at least one row."""
    done = 0
    with _explained(path):
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
        yield from _parquet_chunks(path, chunk_rows)
        return
    with _opened(path, found) as file:
        records = RECORDS[found.name](file, str(path))
        names = next(records, None)
        if not names:
            raise DataError(f"{path}: the file is empty. It needs a header line and rows.")
        _check_names(path, names)
        while chunk := list(islice(records, chunk_rows)):
            cells = zip(*chunk, strict=True)
            yield {name: list(column) for name, column in zip(names, cells, strict=True)}


def _check_names(path: Path, names: list[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
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
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path}: not a readable parquet file ({reason}). Write or copy it again; if it is "
            "another format, name it: --format csv."
        ) from error


@contextmanager
def _opened(path: Path, found: FileFormat) -> Iterator[io.TextIOWrapper]:
    """Open a text format as UTF-8, with or without byte order mark, line ends untouched."""
    with path.open("rb") as raw:
        start = raw.read(2)
        raw.seek(0)
        if start == _GZIP_MAGIC and not found.is_gzip:
            raise DataError(
                f"{path}: the file is compressed by gzip. Name it '{path.name}.gz', or give "
                f"--format {found.name}.gz."
            )
        binary: Any = gzip.GzipFile(fileobj=raw, mode="rb") if found.is_gzip else raw
        # csv finds line ends itself (quoted ones too); the others end lines at "\n" alone
        newline = "" if found.name == "csv" else "\n"
        with io.TextIOWrapper(binary, encoding="utf-8-sig", newline=newline) as file:
            yield file


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what reading can raise into a `DataError` that names the file and the mend."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {_bad_bytes(path)}") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path}: the gzip compression is broken ({error}). Copy the file again; "
            "`gzip -t` checks it."
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _bad_bytes(path: Path) -> str:
    """Say where the first bytes stand that are not UTF-8."""
    mend = "Save the file as UTF-8, for example: iconv -f latin1 -t utf-8 OLD > NEW"
    with path.open("rb") as raw:
        start = raw.read(2)
        raw.seek(0)
        if start in (b"\xff\xfe", b"\xfe\xff"):
            return f"the text is UTF-16, not UTF-8. {mend.replace('latin1', 'utf-16')}."
        file: BinaryIO | gzip.GzipFile = raw
        if start == _GZIP_MAGIC:
            file = gzip.GzipFile(fileobj=raw, mode="rb")
        position = 0
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                return (
                    f"line {number}, byte {position + error.start}: 0x{byte:02x} is not UTF-8. "
                    f"{mend}."
                )
            position += len(line)
    return f"the text is not UTF-8. {mend}."
