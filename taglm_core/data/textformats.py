"""The general text formats as records: a header, then one list of cells for each row.

Each function takes an open text file and the name for messages. It gives each record with the
number of the line on which it begins, and nothing at all for an empty file.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from taglm_core.data.layout import checked_rows, separator_of
from taglm_core.data.records import Numbered, numbered_batches
from taglm_core.data.textfiles import LineEnds, open_text
from taglm_core.errors import DataError

# A cell may hold a genome; the limit still ends the reading of a file with a stray quote.
_LONGEST_CELL = 2**26
_LONG_INTEGER = re.compile(r'"([^"]*)"\s*:\s*[\[\s\d.,eE+-]*?-?(\d{4000,})(?![\d.eE])')
_SURROGATE = re.compile("[\ud800-\udfff]")


def csv_records(file: TextIO, source: str) -> Iterator[Numbered]:
    """Read comma-separated text with `"` as quote (RFC 4180).

    A first line such as `sep=;`, as Excel reads it, names another separator.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    first = file.readline()
    separator = separator_of(first)
    if separator is None:
        lines = _csv_lines(chain([first], file), source, ",", 0)
    else:
        lines = _csv_lines(file, source, separator, 1)
    yield from checked_rows(lines, source, separator or ",")


def tsv_records(file: TextIO, source: str) -> Iterator[Numbered]:
    """Read tab-separated text without quoting and without escapes."""
    lines = enumerate((_chomped(line) for line in file), start=1)
    cells = ((number, line.split("\t") if line else []) for number, line in lines)
    yield from checked_rows(cells, source, "\t")


def jsonl_records(file: TextIO, source: str) -> Iterator[Numbered]:
    """Read one JSON object a line; the columns are the keys of all lines, None where missing.

    The file is gone through twice, first for the keys, so a broken line is found at once.
    """
    names: dict[str, None] = {}
    for number, line in enumerate(file, start=1):
        if line.strip():
            names.update(dict.fromkeys(_json_object(line, number, source)))
    if not names:
        return
    yield 0, list(names)
    file.seek(0)
    for number, line in enumerate(file, start=1):
        if line.strip():
            row = json.loads(line)
            yield number, [row.get(name) for name in names]


def csv_batches(path: Path, batch_size: int) -> Iterator[dict[str, list[Any]]]:
    """Read a csv file in batches; its reader finds line ends itself, quoted ones too."""
    return _batches(path, csv_records, batch_size, "kept")


def tsv_batches(path: Path, batch_size: int) -> Iterator[dict[str, list[Any]]]:
    """Read a tsv file in batches."""
    return _batches(path, tsv_records, batch_size, "first")


def jsonl_batches(path: Path, batch_size: int) -> Iterator[dict[str, list[Any]]]:
    """Read a jsonl file in batches."""
    return _batches(path, jsonl_records, batch_size, "any")


def _batches(
    path: Path,
    read_records: Callable[[TextIO, str], Iterator[Numbered]],
    batch_size: int,
    ends: LineEnds,
) -> Iterator[dict[str, list[Any]]]:
    with open_text(path, ends) as file:
        yield from numbered_batches(path, read_records(file, str(path)), batch_size)


def _chomped(line: str) -> str:
    line = line.removesuffix("\n")
    return line.removesuffix("\r")


def _csv_lines(
    lines: Iterable[str], source: str, separator: str, num_before: int
) -> Iterator[Numbered]:
    """Give number and cells of each line; `num_before` lines stand before them in the file."""
    reader = csv.reader(lines, strict=True, delimiter=separator)
    while True:
        start = reader.line_num + 1 + num_before
        try:
            yield start, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{source}, line {start}: cannot be read as csv: {error}. A quote that opens a "
                'cell must be closed, and a quote inside a quoted cell is written "".'
            ) from error


def _json_object(line: str, number: int, source: str) -> dict[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(items)
        if len(record) < len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(
                f"{source}, line {number}: duplicate key '{twice}'. Keys must be unique."
            )
        return record

    try:
        value = json.loads(line, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{source}, line {number}: not valid JSON: {error.msg} at character {error.pos + 1}. "
            "A jsonl file has one whole JSON object on each line."
        ) from error
    except DataError:
        raise
    except (ValueError, RecursionError) as error:  # valid JSON that Python does not hold
        raise DataError(f"{source}, line {number}{_unreadable(line)}") from error
    if not isinstance(value, dict):
        raise DataError(
            f"{source}, line {number}: a JSON object {{...}} was expected, not "
            f"{type(value).__name__} {line.strip()[:40]}."
        )
    if "\\ud" in line or "\\uD" in line:
        _check_surrogates(value, f"{source}, line {number}")
    return value


def _unreadable(line: str) -> str:
    """Say what in a line of JSON cannot be held: a number of thousands of digits, or depth."""
    long = _LONG_INTEGER.search(line)
    if long is None:
        return ": the JSON is nested too deep to be a row of a table."
    return (
        f", key '{long[1]}': a whole number of {len(long[2])} digits cannot be read. Write it in "
        "quotes."
    )


def _check_surrogates(row: dict[str, Any], where: str) -> None:
    """Refuse half a character, which JSON can hold and no file can."""
    for key, value in row.items():
        half = _SURROGATE.search(key + json.dumps(value, ensure_ascii=False))
        if half is not None:
            raise DataError(
                f"{where}, key {key!r}: half of a character (U+{ord(half[0]):04X}, a surrogate "
                "without its other half), which is no text. Write the text again."
            )
