"""Text formats as records: a header, then one list of cells for each row.

Each function takes an open text file and the name for messages. It gives nothing at all for an
empty file.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NoReturn, TextIO

from taglm_core.data.layout import checked_rows, separator_of
from taglm_core.data.missing import content
from taglm_core.data.textfiles import LineEnds
from taglm_core.errors import DataError

# A cell may hold a genome; the limit still ends the reading of a file with a stray quote.
_LONGEST_CELL = 2**26
_LONG_INTEGER = re.compile(r'"([^"]*)"\s*:\s*[\[\s\d.,eE+-]*?-?(\d{4000,})(?![\d.eE])')
_SURROGATE = re.compile("[\ud800-\udfff]")


def csv_records(file: TextIO, source: str) -> Iterator[list[Any]]:
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


def tsv_records(file: TextIO, source: str) -> Iterator[list[Any]]:
    """Read tab-separated text without quoting and without escapes."""
    lines = (_chomped(line) for line in file)
    cells = (line.split("\t") if line else [] for line in lines)
    yield from checked_rows(cells, source, "\t")


def smi_records(file: TextIO, source: str) -> Iterator[list[Any]]:
    """Read SMILES lines with an optional name behind white space; a header line may stand there.

    Rows always have the columns `smiles` and `name`, the name empty where there is none.
    """
    header = ["smiles", "name"]
    is_first = True
    for line in file:
        cells = line.split(None, 1)
        if not cells:
            continue
        if is_first:
            yield header
        if not (is_first and cells[0].lower() == "smiles"):
            yield [content(cells[0]), cells[1].rstrip() if len(cells) > 1 else ""]
        is_first = False


def jsonl_records(file: TextIO, source: str) -> Iterator[list[Any]]:
    """Read one JSON object a line; the columns are the keys of all lines, None where missing.

    The file is gone through twice, first for the keys, so a broken line is found at once.
    """
    names: dict[str, None] = {}
    for number, line in enumerate(file, start=1):
        if line.strip():
            names.update(dict.fromkeys(_json_object(line, number, source)))
    if not names:
        return
    yield list(names)
    file.seek(0)
    for line in file:
        if line.strip():
            row = json.loads(line)
            yield [row.get(name) for name in names]


def fasta_records(file: TextIO, source: str) -> Iterator[list[Any]]:
    """Read FASTA: a line `>id description`, then the sequence on one or more lines.

    Rows always have the columns `id`, `description` (empty where there is none) and `sequence`;
    row n is the n-th record. Lines of a sequence are joined without the white space around them,
    and nothing else in them is changed. Blank lines and lines that begin with `;` are no part of a
    record.
    """
    is_first = True
    head: list[str] = []
    lines: list[str] = []
    for number, line in enumerate(file, start=1):
        text = line.strip()
        if not text or text.startswith(";"):
            continue
        if is_first and not text.startswith(">"):
            _fail_fasta(source, number, text)
        if not text.startswith(">"):
            lines.append(text)
            continue
        if is_first:
            yield ["id", "description", "sequence"]
        else:
            yield [*head, content("".join(lines))]
        is_first = False
        words = text[1:].split(None, 1)
        head = [*words, "", ""][:2]
        lines = []
    if not is_first:
        yield [*head, content("".join(lines))]


def _fail_fasta(source: str, number: int, text: str) -> NoReturn:
    kind = "This looks like FASTQ, which is not read. " if text.startswith("@") else ""
    shown = text if len(text) <= 40 else text[:37] + "..."
    raise DataError(
        f"{source}, line {number}: a FASTA record begins with '>' and a name, but here stands "
        f"{shown!r}. {kind}Mend the file, or name its format if it is another."
    )


RECORDS: dict[str, Callable[[TextIO, str], Iterator[list[Any]]]] = {
    "csv": csv_records,
    "tsv": tsv_records,
    "smi": smi_records,
    "fasta": fasta_records,
    "jsonl": jsonl_records,
}

LINE_ENDS: dict[str, LineEnds] = {
    "csv": "kept",
    "tsv": "first",
    "smi": "any",
    "fasta": "any",
    "jsonl": "any",
}
"""What ends a line of each format; the csv reader finds line ends itself, quoted ones too."""


def _chomped(line: str) -> str:
    line = line.removesuffix("\n")
    return line.removesuffix("\r")


def _csv_lines(
    lines: Iterable[str], source: str, separator: str, num_before: int
) -> Iterator[list[str]]:
    """Give the cells of each line; `num_before` lines stand before them in the file."""
    reader = csv.reader(lines, strict=True, delimiter=separator)
    while True:
        start = reader.line_num + 1 + num_before
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{source}, line {start}: cannot be read as csv: {error}. A quote that opens a "
                'cell must be closed, and a quote inside a quoted cell is written "".'
            ) from error


def _json_object(line: str, number: int, source: str) -> dict[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) < len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{source}, line {number}: the key '{twice}' stands twice in it.")
        return made

    try:
        found = json.loads(line, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{source}, line {number}: not valid JSON: {error.msg} at character {error.pos + 1}. "
            "A jsonl file has one whole JSON object on each line."
        ) from error
    except DataError:
        raise
    except (ValueError, RecursionError) as error:  # valid JSON that Python does not hold
        raise DataError(f"{source}, line {number}{_unreadable(line)}") from error
    if not isinstance(found, dict):
        raise DataError(
            f"{source}, line {number}: a JSON object {{...}} was expected, not "
            f"{type(found).__name__} {line.strip()[:40]}."
        )
    if "\\ud" in line or "\\uD" in line:
        _check_surrogates(found, f"{source}, line {number}")
    return found


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
