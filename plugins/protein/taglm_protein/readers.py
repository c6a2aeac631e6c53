"""FASTA files as tables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from taglm_core.errors import DataError
from taglm_core.plugin import cell_content, record_batches


def fasta_batches(path: Path, batch_size: int) -> Iterator[dict[str, list[Any]]]:
    """Read a FASTA file in batches with the columns `id`, `description` and `sequence`."""
    return record_batches(path, fasta_records, batch_size)


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
            yield [*head, cell_content("".join(lines))]
        is_first = False
        words = text[1:].split(None, 1)
        head = [*words, "", ""][:2]
        lines = []
    if not is_first:
        yield [*head, cell_content("".join(lines))]


def _fail_fasta(source: str, number: int, text: str) -> NoReturn:
    kind = "This looks like FASTQ, which is not supported. " if text.startswith("@") else ""
    shown = text if len(text) <= 40 else text[:37] + "..."
    raise DataError(
        f"{source}, line {number}: a FASTA record begins with '>' and a name, not with {shown!r}. "
        f"{kind}Fix the file, or name its format if it is another."
    )
