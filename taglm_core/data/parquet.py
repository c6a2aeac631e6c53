"""Parquet: reading in batches, and writing in chunks whose types become known on the way."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taglm_core.data.records import check_names
from taglm_core.errors import DataError


class ParquetSink:
    """Appends chunks to a parquet file.

    A column without a value so far is written as text. When a later chunk shows that a column
    needs another or a wider type (integers first, then fractions), what is written is copied once
    with the new type, a row group at a time, so that memory stays flat.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None  # null stands for a column without a value so far
        path.touch(exist_ok=False)

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append a chunk."""
        table = pa.table({name: self._array(name, values) for name, values in columns.items()})
        known = self._schema
        if known is None:
            self._open(table.schema)
        elif known != table.schema:
            wider = self._unified(known, table.schema)
            if wider != known:
                self._rewrite(wider)
        assert self._writer is not None, "opened above"
        self._writer.write_table(_cast(table, self._writer.schema))

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _array(self, name: str, values: Sequence[Any]) -> pa.Array:
        try:
            return pa.array(values, from_pandas=True)  # NaN becomes null
        except (pa.ArrowException, TypeError) as error:
            kinds = sorted({type(value).__name__ for value in values if value is not None})
            raise self._mixed(name, " and ".join(kinds)) from error

    def _mixed(self, name: str, kinds: str) -> DataError:
        return DataError(
            f"{self._name}, column '{name}': holds values of different kinds ({kinds}), and a "
            "parquet column has one. Write a .jsonl or .csv file."
        )

    def _unified(self, known: pa.Schema, new: pa.Schema) -> pa.Schema:
        fields = []
        for old, field in zip(known, new, strict=True):
            try:
                both = pa.unify_schemas(
                    [pa.schema([old]), pa.schema([field])], promote_options="permissive"
                )
            except pa.ArrowException as error:
                raise self._mixed(field.name, f"{old.type} and {field.type}") from error
            fields.append(both.field(0))
        return pa.schema(fields)

    def _open(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(self._path, _storable(schema), compression="zstd")

    def _rewrite(self, schema: pa.Schema) -> None:
        self.close()
        old = self._path.with_name(self._path.name + ".old")
        self._path.rename(old)
        try:
            self._open(schema)
            assert self._writer is not None, "opened above"
            with pq.ParquetFile(old) as written:
                for group in range(written.num_row_groups):
                    table = written.read_row_group(group)
                    self._writer.write_table(_cast(table, self._writer.schema))
        finally:
            old.unlink()


def _storable(schema: pa.Schema) -> pa.Schema:
    """Give columns without any value the type of text."""
    return pa.schema(
        [
            field.with_type(pa.string()) if pa.types.is_null(field.type) else field
            for field in schema
        ]
    )


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for column, field in zip(table.columns, schema, strict=True):
        if column.null_count == len(column):  # text cannot be cast to every type, nulls can
            columns.append(pa.nulls(len(column), field.type))
        else:
            columns.append(column.cast(field.type))
    return pa.table(columns, schema=schema)


def parquet_batches(path: Path, batch_size: int) -> Iterator[dict[str, list[Any]]]:
    """Read a parquet file in batches.

    Raises:
        DataError: when it is damaged or is another format, or a text in bytes is not UTF-8.
    """
    try:
        with pq.ParquetFile(path) as file:
            check_names(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=batch_size):
                columns = batch.to_pydict()
                yield {name: _texts(path, name, cells) for name, cells in columns.items()}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not a readable parquet file ({reason}). Write or copy it again; if it is "
            "another format, rename it to end in .csv or whatever it is."
        ) from error


def _texts(path: Path, name: str, cells: list[Any]) -> list[Any]:
    """Return cells with bytes as text, as which some programs write it.

    Raises:
        DataError: naming column and bytes that are not UTF-8.
    """
    try:
        return [cell.decode("utf-8") if isinstance(cell, bytes) else cell for cell in cells]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: the column '{name}' holds bytes that are not UTF-8 text, such as "
            f"{error.object[:20]!r}. Write it as text."
        ) from error
