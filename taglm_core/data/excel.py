"""Excel workbooks: a sheet as a table, and tables written as a sheet (extra `excel`)."""

import datetime
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from taglm_core.data.atomic import jsonable
from taglm_core.data.layout import title_advice
from taglm_core.data.records import Numbered, numbered_batches
from taglm_core.errors import DataError, counted, nearest

logger = logging.getLogger(__name__)

_MOST_ROWS = 1_048_576
_LONGEST_CELL = 32_767
_LARGEST_WHOLE = 2**53
"""Whole numbers from which a sheet, which holds doubles, would change digits."""


def xlsx_batches(
    path: Path, batch_size: int, sheet: str | None = None
) -> Iterator[dict[str, list[Any]]]:
    """Read a sheet of a workbook in batches; numbers stay numbers, dates become text.

    Args:
        path: The workbook.
        batch_size: Most rows of a batch.
        sheet: Its name, or its number from 1; None: the first one.

    Raises:
        DataError: when openpyxl is missing, the file is no workbook, there is no such sheet, or
            the table has no header.
    """
    openpyxl = library(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # zipfile, XML and openpyxl have their own each
        raise DataError(
            f"{path}: not a readable Excel workbook ({_reason(error)}). Save it again as .xlsx, "
            "or save the sheet as csv."
        ) from error
    try:
        chosen = _chosen(book.worksheets, sheet, path)
        yield from numbered_batches(path, _records(chosen, str(path)), batch_size)
    finally:
        book.close()


def _chosen(sheets: Sequence[Any], wanted: str | None, path: Path) -> Any:
    """Return the sheet that is asked for by name or number; of several the first is said.

    Raises:
        DataError: listing the sheets when there is no such one.
    """
    titles = [sheet.title for sheet in sheets]
    if wanted is None:
        if len(sheets) > 1:
            others = ", ".join(map(repr, titles[1:]))
            said = "%s: the first sheet, %r, is read, not %s; --sheet NAME (sheet) reads another"
            logger.warning(said, path, titles[0], others)
        return sheets[0]
    word = str(wanted).strip()
    alike = [i for i, title in enumerate(titles) if title.strip().lower() == word.lower()]
    exact = [i for i, title in enumerate(titles) if title == wanted]
    found = exact or alike
    if not found and word.isdecimal() and 1 <= int(word) <= len(sheets):
        found = [int(word) - 1]
    if not found:
        listed = ", ".join(f"{number} {title!r}" for number, title in enumerate(titles, 1))
        raise DataError(
            f"{path}: there is no sheet {wanted!r}.{nearest(word, titles)} Sheets: {listed}."
        )
    return sheets[found[0]]


def _records(sheet: Any, source: str) -> Iterator[Numbered]:
    """Give the header and the rows, as the text formats do: blank rows are skipped."""
    lines = ((i, _trimmed(row)) for i, row in enumerate(sheet.iter_rows(values_only=True), 1))
    place, header = next(((i, cells) for i, cells in lines if cells), (0, []))
    if not header:
        return
    names = ["" if cell is None else str(cell) for cell in header]
    yield place, names
    width = len(names)
    blank: list[int] = []
    num_skipped = num_rows = 0
    for line, cells in lines:
        if not cells:
            blank.append(line)
            continue
        if width == 1:
            yield from ((number, [None]) for number in blank)
        else:
            num_skipped += len(blank)
        blank = []
        if len(cells) > width:
            title = title_advice(place, names[0]) if width == 1 and not num_rows else ""
            raise DataError(
                f"{source}, line {line}: {len(cells)} cells where the header has {width}: "
                f"{cells[width]!r} is outside the table. Delete it, or give its column a name."
                f"{title}"
            )
        num_rows += 1
        yield line, [_plain(cell) for cell in cells] + [None] * (width - len(cells))
    if num_skipped:
        what = counted(num_skipped, "blank line")
        logger.warning("%s: skipped %s between the rows", source, what)


def _trimmed(cells: Sequence[Any]) -> list[Any]:
    """Return the cells of a row up to the last that holds something."""
    filled = [i for i, c in enumerate(cells) if c is not None and str(c).strip()]
    return list(cells[: filled[-1] + 1]) if filled else []


def _plain(cell: Any) -> Any:
    """Return a cell as a text file would give it: dates as text."""
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(sep=" ").removesuffix(" 00:00:00")
    if isinstance(cell, datetime.date | datetime.time | datetime.timedelta):
        return str(cell)
    return cell


class ExcelSink:
    """Appends chunks to a workbook with one sheet."""

    def __init__(self, path: Path, name: str) -> None:
        openpyxl = library(Path(name))
        self._path = path
        self._name = name
        self._book = openpyxl.Workbook(write_only=True)
        self._sheet = self._book.create_sheet("taglm")
        self._cell = openpyxl.cell.WriteOnlyCell
        self._bad_character = openpyxl.utils.exceptions.IllegalCharacterError
        self._num_rows = 0
        path.touch(exist_ok=False)

    def write(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Append a chunk, behind the header if it is the first."""
        names = list(columns)
        if not self._num_rows:
            self._append(names, names)
        for row in zip(*columns.values(), strict=True):
            self._append(row, names)

    def close(self) -> None:
        """Write the file."""
        self._book.save(self._path)

    def _append(self, row: Sequence[Any], names: Sequence[str]) -> None:
        if self._num_rows == _MOST_ROWS:
            raise DataError(
                f"{self._name}: an Excel sheet holds at most {_MOST_ROWS:,} rows. Write a .csv "
                "file."
            )
        cells = [self._written(value, name) for value, name in zip(row, names, strict=True)]
        self._sheet.append(cells)
        self._num_rows += 1

    def _written(self, value: Any, column: str) -> Any:
        """Return a cell; text that begins with "=" stays text and is no formula."""
        plain = jsonable(value)
        if plain is None or isinstance(plain, bool | float):
            return plain
        if isinstance(plain, int) and abs(plain) < _LARGEST_WHOLE:
            return plain
        is_text = isinstance(plain, str)
        text = plain if is_text else json.dumps(plain, ensure_ascii=False, default=str)
        where = f"{self._name}, row {self._num_rows}, column '{column}'"
        if len(text) > _LONGEST_CELL:
            raise DataError(
                f"{where}: an Excel cell holds at most {_LONGEST_CELL:,} characters, not "
                f"{len(text):,}. Write a .csv file."
            )
        try:
            cell = self._cell(self._sheet, value=text)
        except self._bad_character as error:
            raise DataError(
                f"{where}: an Excel cell cannot hold a control character: {text[:60]!r}. Write a "
                ".csv file."
            ) from error
        cell.data_type = "s"
        return cell


def library(path: Path) -> ModuleType:
    """Return openpyxl.

    Raises:
        DataError: saying how to install it.
    """
    try:
        import openpyxl
        import openpyxl.cell
        import openpyxl.utils.exceptions
    except ImportError as error:
        raise DataError(
            f"{path}: Excel workbooks need openpyxl: pip install 'taglm[excel]'. Or save the sheet "
            "as csv."
        ) from error
    return openpyxl  # type: ignore[no-any-return]


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
