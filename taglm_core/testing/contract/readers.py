"""Checks of readers: the example is read whole and in batches, and odd files are errors."""

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taglm_core.data.formats import find_reader
from taglm_core.data.readers import iter_tables
from taglm_core.data.table import Table
from taglm_core.errors import DataError, counted
from taglm_core.plugins.builtin import TABLE_READERS
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import NotApplicable, demand
from taglm_core.testing.contract.report import Rule

_ODD = {
    "empty": b"",
    "binary": bytes(range(256)) * 4,
    "other text": "?? no such format ??\n\u00e4 \u2028 1;2\n".encode(),
}


def extensions_free(subject: Subject) -> None:
    """No extension belongs to a table format of the core or to a reader of another plugin."""
    words = set(subject.spec.words)
    if subject.context.source.name != "core":
        taken = words & {word for reader in TABLE_READERS for word in reader.words}
        demand(not taken, f"the core reads {sorted(taken)} itself; choose other words.")
    for other in subject.context.registry.readers:
        shared = words & set(other.spec.words)
        demand(
            other.name == subject.item.name or not shared,
            f"{other.name} reads {sorted(shared)} too, so that such files need a choice at each "
            "use. Leave these words out.",
        )


def example_read(subject: Subject) -> None:
    """The example is read as a table with two rows or more."""
    with _file(subject) as path:
        (table,) = _tables(subject, path, 1000)
    demand(
        table.num_rows >= 2,
        f"the example holds {counted(table.num_rows, 'row')}; give two or more.",
    )
    demand(
        all(isinstance(name, str) and name.strip() for name in table.columns),
        f"the columns {list(table.columns)} are not all named.",
    )


def batches_agree(subject: Subject) -> None:
    """Batches of one row hold the same columns and cells as one batch of all rows."""
    with _file(subject) as path:
        (whole,) = _tables(subject, path, 1000)
        single = _tables(subject, path, 1)
    demand(
        all(table.num_rows == 1 for table in single),
        "a batch holds more rows than `batch_size` allows.",
    )
    joined = {n: [v for table in single for v in table.columns[n]] for n in single[0].columns}
    demand(joined == whole.columns, "batches of one row give other columns or cells.")


def compressed_read(subject: Subject) -> None:
    """The example compressed by gzip is read as the same table."""
    with _file(subject) as path:
        (plain,) = _tables(subject, path, 1000)
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        (unpacked,) = _tables(subject, packed, 1000)
    demand(
        plain.columns == unpacked.columns,
        "the compressed example gives other cells; open text by taglm_core.plugin.open_text.",
    )


def odd_files(subject: Subject) -> None:
    """An empty file, bytes and another text are read, or are a DataError that says why not."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in _ODD.items():
            path = Path(folder) / f"odd.{subject.spec.name}"
            path.write_bytes(data)
            try:
                _tables(subject, path, 1000)
            except DataError as error:
                demand(str(path) in str(error), f"{name}: the message does not name the file.")


CHECKS = (
    Rule(extensions_free),
    Rule(example_read),
    Rule(batches_agree),
    Rule(compressed_read, lambda subject: subject.spec.compressible),
    Rule(odd_files),
)


@contextmanager
def _file(subject: Subject) -> Iterator[Path]:
    if not subject.spec.example:
        raise NotApplicable("the reader gives no example to read")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"example.{subject.spec.name}"
        path.write_bytes(subject.spec.example.encode())
        yield path


def _tables(subject: Subject, path: Path, batch_size: int) -> list[Table]:
    registry: Any = subject.context.registry
    reader = find_reader(path, subject.item.name, registry)
    demand(reader.name == subject.item.name, f"{reader.name} reads such files first.")
    return list(iter_tables(path, batch_size, subject.item.name, registry))
