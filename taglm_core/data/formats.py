"""Which format a file has: the reader that plugins registered for it, or how it is written."""

from pathlib import Path

import attrs

from taglm_core.errors import DataError, DuplicateNameError, listed, nearest
from taglm_core.plugins import Registered, Registry, load_registry
from taglm_core.plugins.builtin import CORE, TABLE_READERS
from taglm_core.plugins.providers import distribution_for
from taglm_core.specs import Reader

WRITABLE = tuple(reader.name for reader in TABLE_READERS)
"""Formats that tables are written in."""

_ADVICE = {
    "xls": "Save the sheet as csv",
    "ods": "Save the sheet as csv",
    "json": "Write one JSON object a line into a .jsonl file",
    "zip": "Unpack the file",
}
"""What to do with a file of another extension."""


@attrs.frozen
class FileFormat:
    """How a table is written."""

    name: str
    """One of `WRITABLE`."""
    is_gzip: bool = False
    """True when the whole file is compressed by gzip."""


def is_table_file(path: str | Path) -> bool:
    """Say whether a file's name has the extension of a general table format, .gz allowed."""
    word, _ = _word(Path(path), None)
    return any(word in reader.words for reader in TABLE_READERS)


def find_reader(
    path: Path, format: str | None = None, registry: Registry | None = None
) -> Registered[Reader]:
    """Find the reader of a file by its extension, or by what the user said.

    Args:
        path: The file; it need not exist.
        format: A format such as "csv", "csv.gz" or "plugin/name"; None: the extension decides.
        registry: Where readers are looked up; None: all installed plugins.

    Raises:
        DataError: listing the known formats when none fits.
        DuplicateNameError: when several plugins read the format.
    """
    word, is_gzip = _word(path, format)
    own = [Registered(f"core/{reader.name}", reader, CORE) for reader in TABLE_READERS]
    readers = [item for item in own if word in (item.name, *item.spec.words)]
    if not readers:
        registry = registry if registry is not None else load_registry()
        readers = [item for item in registry.readers if word in (item.name, *item.spec.words)]
        if not readers:
            raise DataError(_unknown(path, word, format, registry))
    if len(readers) > 1:
        raise DuplicateNameError(
            f"{path}: several plugins read the format '{word}': "
            f"{listed(item.name for item in readers)}. Rename the file to an extension that one of "
            "them alone reads, or uninstall the others."
        )
    if is_gzip and not readers[0].spec.compressible:
        raise DataError(f"{path}: {word} files are compressed already. Write it without .gz.")
    return readers[0]


def writable_format(path: Path, format: str | None = None) -> FileFormat:
    """Tell the format in which a table is to be written.

    Args:
        path: The file; it need not exist.
        format: A format such as "csv" or "csv.gz"; None: the extension decides.

    Raises:
        DataError: listing the formats that can be written.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder. Name a file in it, such as {path / 'predicted.csv'}.")
    word, is_gzip = _word(path, format)
    reader = next((reader for reader in TABLE_READERS if word in reader.words), None)
    if reader is None:
        known = ", ".join(f".{name}" for name in WRITABLE)
        raise DataError(
            f"{path}: a table cannot be written in the {_what(path, format)}."
            f"{nearest(word, WRITABLE)} Known: {known}. Write a .csv file."
        )
    if is_gzip and not reader.compressible:
        raise DataError(f"{path}: {word} files are compressed already. Write it without .gz.")
    return FileFormat(reader.name, is_gzip)


def _word(path: Path, format: str | None) -> tuple[str, bool]:
    """Return the word that names a format, and whether the file is compressed by gzip."""
    if format is not None and "/" in format:  # the full name of a reader
        return format.removesuffix(".gz"), format.endswith(".gz")
    words = (format or path.name).lower().lstrip(".").split(".")
    is_gzip = words[-1] == "gz" or (format is not None and path.suffix.lower() == ".gz")
    if words[-1] == "gz":
        words.pop()
    return (words[-1] if words and (format is not None or len(words) > 1) else ""), is_gzip


def _what(path: Path, format: str | None) -> str:
    return f"format '{format}'" if format else f"extension '{path.suffix}'"


def _unknown(path: Path, word: str, format: str | None, registry: Registry) -> str:
    names = [item.short for item in registry.readers]
    known = ", ".join(f".{name}" for name in names)
    provider = distribution_for("reader", word)
    if provider is not None:
        advice = f"`pip install {provider}` provides a reader of it."
    else:
        advice = _advice(path, word)
    return (
        f"{path}: unknown {_what(path, format)}.{nearest(word, names)} Known: {known}, text "
        f"formats also with .gz. {advice}"
    )


def _advice(path: Path, word: str) -> str:
    if word in _ADVICE:
        return f"{_ADVICE[word]}."
    stem = path.name.split(".")[0] or "table"
    return (
        "Rename the file so that its ending says what it holds: columns separated by commas are "
        f"'{stem}.csv', by tabs '{stem}.tsv'."
    )
