"""The layout of delimited tables: separators, headers and widths, and what is wrong with them."""

import logging
import re
from collections.abc import Iterator
from itertools import chain
from typing import NoReturn

from taglm_core.data.records import Numbered
from taglm_core.errors import DataError, counted

logger = logging.getLogger(__name__)

SEPARATORS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
"""What may separate cells, and how a message shows it."""

_SEP_LINE = re.compile(r'"?sep=([,;|\t ])"?\s*', re.IGNORECASE)
_WEB_PAGE = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
_R_ADVICE = "write.table(..., row.names = FALSE, quote = FALSE)"


def separator_of(first_line: str) -> str | None:
    """Return the separator that a line such as `sep=;` names, as Excel reads it; None: no such."""
    match = _SEP_LINE.fullmatch(first_line)
    return match.group(1) if match else None


def checked_rows(records: Iterator[Numbered], source: str, separator: str) -> Iterator[Numbered]:
    """Demand a header of names and rows of its width; skip blank lines.

    A blank line between the rows of a file with one column is a row with an empty cell. Empty
    columns without a name at the end, which spreadsheets write, are left out.

    Args:
        records: Number and cells of each line, no cells for a blank line.
        source: The file, for messages.
        separator: What separated the cells.

    Raises:
        DataError: naming the row, or what the file seems to be.
    """
    filled = ((line, cells) for line, cells in records if len(cells) > 1 or "".join(cells).strip())
    place, header = next(filled, (0, []))
    if not header:
        return
    if _WEB_PAGE.match(header[0]):
        raise DataError(f"{source}: a web page (HTML), not a table. Download the file itself.")
    first = list(_until_filled(records))
    _check_header(header, first[-1][1] if first else [], source, separator)
    names = _trimmed(header)
    yield place, names
    width, row, num_skipped = len(names), 0, 0
    blank: list[int] = []
    for line, cells in chain(first, records):
        if not cells:
            blank.append(line)
            continue
        if width == 1:
            yield from ((number, [""]) for number in blank)
            row += len(blank)
        else:
            num_skipped += len(blank)
        blank = []
        row += 1
        if len(cells) > width:
            cells = cells if any(cells[width:]) else cells[:width]
        if len(cells) != width:
            _fail_width(source, (row, place), header, cells, separator)
        yield line, cells
    if num_skipped:
        what = counted(num_skipped, "blank line")
        logger.warning("%s: skipped %s between the rows", source, what)


def _until_filled(records: Iterator[Numbered]) -> Iterator[Numbered]:
    """Give records up to the first that is not blank."""
    for line, cells in records:
        yield line, cells
        if cells:
            return


def _trimmed(header: list[str]) -> list[str]:
    """Return a header without empty names at its end; one name at least is left."""
    last = max((i for i, name in enumerate(header) if name.strip()), default=len(header) - 1)
    return header[: last + 1]


def _check_header(header: list[str], first: list[str], source: str, separator: str) -> None:
    """Name what a table is that is separated or quoted in another way."""
    if separator == "\t" and all(len(n) > 1 and n[0] == n[-1] == '"' for n in header):
        raise DataError(
            f"{source}: the cells are in quotes ({header[0]}), which have no meaning in tsv. Write "
            f"them without, in R with {_R_ADVICE}, in pandas with quoting=csv.QUOTE_NONE; or save "
            "the table as csv."
        )
    if len(header) > 1:
        return
    line = separator.join(first)
    for other, shown in SEPARATORS.items():
        if other not in header[0] or (first and other not in line):
            continue
        if other == separator:
            raise DataError(
                f"{source}: each line as a whole is in quotes. Take the quotes off, so that "
                f"{shown} separates the cells."
            )
        raise DataError(
            f"{source}: cells seem to be separated by {shown}, where {SEPARATORS[separator]} is "
            f"expected. {_other_separator(other, separator, line)}"
        )


def _other_separator(other: str, separator: str, line: str) -> str:
    """Say how a table with another separator can be read."""
    if other == "\t":
        return "Rename the file to end in .tsv."
    if other == ",":
        return "Rename the file to end in .csv."
    commas = ""
    if re.search(rf"(^|{re.escape(other)})[+-]?\d+,\d+", line):
        commas = " Write numbers with a decimal point: 1.5 and not 1,5."
    name = "" if separator == "," else "name it .csv and "
    return (
        f"Save the table as csv with commas, or {name}put the line sep={other} before the "
        f"header.{commas}"
    )


def _fail_width(
    source: str, where: tuple[int, int], header: list[str], cells: list[str], separator: str
) -> NoReturn:
    """Say that a row has another width than the header; `where`: the row, and the header's line."""
    row, place = where
    shown = ", ".join(cells)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    width = len(_trimmed(header))
    found = counted(len(cells), "cell")
    problem = f"{source}, row {row}: {found} where the header has {width}: {shown}\n"
    if separator == "\t":
        hint = "a cell cannot hold a tab; quotes have no meaning in tsv"
    else:
        hint = f"{SEPARATORS.get(separator, repr(separator))} inside a cell needs quotes"
        hint = hint.replace("','", "a comma", 1)
    named = ""
    if row == 1 and len(cells) == width + 1:
        named = (
            " If every row begins with a name or a number that the header does not count, as R "
            f"writes it, write the table again: {_R_ADVICE}."
        )
    if row == 1 and width == 1:
        named = title_advice(place, header[0]) + named
    raise DataError(f"{problem}Correct the row ({hint}).{named}")


def title_advice(line: int, text: str) -> str:
    """Say what to do if a line that stands in the place of the header is a title."""
    shown = text if len(text) <= 40 else text[:37] + "..."
    return f" If line {line}, {shown!r}, is a title and not the header, delete it."
