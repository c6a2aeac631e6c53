"""Which column holds a field, and its cells as numbers or as class names."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from taglm_core.caller import is_command
from taglm_core.data.characters import as_latin, clean, odd_characters, visible, with_minus
from taglm_core.data.classnames import one_spelling
from taglm_core.data.layout import SEPARATORS
from taglm_core.data.missing import is_missing, missing_reason
from taglm_core.errors import ConfigError, DataError, RowError, counted, nearest

OnError = Literal["raise", "skip"]

LARGEST = 3.4e38
"""Largest number that float32 holds, which everything is computed in."""

SIMILARITY = "training_similarity"
"""Column: how like a row is to the most similar training row, from 0 to 1."""
UNLIKE = "unlike_training"
"""Column: whether that is less than the threshold of any field."""
FIXED = "fixed"
"""Column: what was changed in a row by the rules of its domains."""
OWN_COLUMNS = ("row", "line", "split", "error", "measured", "computed", SIMILARITY, UNLIKE, FIXED)
"""Columns that taglm adds to predictions."""

ON_ERROR: tuple[OnError, ...] = get_args(OnError)
"""How to handle invalid rows: raise stops at the first, skip goes on without them."""

_SHOWN = 5
_LONGEST_SHOWN = 40
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,(\d{1,2}|\d{4,})")
_PLAIN_WORD = re.compile(r"[\w.,:=+/-]+")
_UNIT = re.compile(r"(.*\S)\s*[(\[]([^()\[\]]+)[)\]]")
_WITH_UNIT = re.compile(r"[<>≤≥~]?\s*[+-]?(\d+\.?\d*|\.\d+)\s*[A-Za-z%µμ°Å][^\d]*")
_GROUPED = re.compile(r"[+-]?\d{1,3}([,.'\s\u2019]\d{3})+([.,]\d+)?")


def check_on_error(on_error: str, name: str = "on_error") -> None:
    """Demand one of the ways to handle invalid rows.

    Args:
        on_error: What was asked for.
        name: How the caller named it, such as `--on-error`.

    Raises:
        ConfigError: naming the value and the choices.
    """
    if on_error not in ON_ERROR:
        raise ConfigError(f"{name} must be one of {', '.join(ON_ERROR)}, not {on_error!r}.")


def find_column(
    table_columns: Iterable[str],
    field: str,
    aliases: Sequence[str],
    mapping: Mapping[str, str],
    source: str,
    advice: str = "Name the column: {option}.",
) -> str:
    """Find the column that holds a field.

    The user's mapping wins; then the field's own name and its aliases in order, each first to the
    letter and then without regard to case, surrounding white space and invisible characters.

    Args:
        table_columns: The columns there are.
        field: Name of the field, such as "text".
        aliases: Other names that a file may use for it.
        mapping: Field -> column, as the user gave with `--column`.
        source: The file, for messages.
        advice: What to do when there is none; `{field}` stands for the field and `{option}` for
            the option that names its column. The default is for files that `--column` speaks of.

    Raises:
        DataError: when no column fits, or two fit equally well.
    """
    columns = list(table_columns)
    there = f"Columns: {', '.join(columns)}."
    if field in mapping:
        wanted = mapping[field]
        if wanted in columns:
            return wanted
        raise DataError(
            f"{source}: {column_option(field, wanted)}, but there is no column '{wanted}'."
            f"{nearest(wanted, columns)} {there}"
        )
    for name in (field, *aliases):
        if name in columns:
            return name
        alike = [column for column in columns if folded(column) == name.lower()]
        if len(alike) > 1:
            raise DataError(
                f"{source}: the columns {' and '.join(map(repr, alike))} fit the field '{field}' "
                f"equally well. Name one of them: {column_option(field, alike[0])}."
            )
        if alike:
            return alike[0]
    also = f" (nor {', '.join(aliases)})" if aliases else ""
    hint = _column_hint((field, *aliases), columns)
    # where the file itself is to be corrected, naming a column helps nothing
    todo = "" if hint else f" {advice.format(field=field, option=column_option(field, 'NAME'))}"
    raise DataError(
        f"{source}: no column for the field '{field}'{also}."
        f"{hint or nearest(field, columns)} {there}{todo}"
    )


def column_option(field: str, column: str) -> str:
    """Return what names the column of a field, see `column_options`."""
    return column_options({field: column})


def column_options(columns: Mapping[str, str]) -> str:
    """Return what names the columns of fields: options, in quotes where a shell needs them.

    In Python it is an argument.

    Args:
        columns: Field -> column.
    """
    if not is_command():
        return f"columns={dict(columns)}"
    pairs = [f"{field}={column}" for field, column in columns.items()]
    return " ".join(
        f"--column {pair}" if _PLAIN_WORD.fullmatch(pair) else f'--column "{pair}"'
        for pair in pairs
    )


def folded(column: str) -> str:
    """Return a column's name as names are compared: in small letters, without invisible ones."""
    return clean(visible(column)).lower()


def target_name(column: str) -> tuple[str, str]:
    """Return the name and the unit of a target's column: `LogS (mol/L)` is LogS in mol/L."""
    match = _UNIT.fullmatch(column.strip())
    return (match[1], match[2].strip()) if match else (column.strip(), "")


def _column_hint(names: Sequence[str], columns: Sequence[str]) -> str:
    """Say why a header holds none of these names, as far as it can be told."""
    wanted = {name.lower() for name in names}
    name, unit = target_name(names[0])
    bare = [column for column in columns if unit and folded(column) == name.lower()]
    if bare:
        return f" If '{bare[0]}' is in {unit}, write {column_option(names[0], bare[0])}."
    for column in columns:
        if as_latin(folded(column)) in wanted:
            return f" The column {column!r} looks like it, but {odd_characters(column)}."
        for separator, shown in SEPARATORS.items():
            if wanted & set(map(folded, column.split(separator))):
                return (
                    f" The column {column!r} holds several names: cells seem to be separated by "
                    f"{shown}."
                )
    if looks_like_row(columns):
        return (
            " The first line looks like a row and not like a header: put a line with the names of "
            "the columns before it."
        )
    return ""


def looks_like_row(names: Sequence[str]) -> bool:
    """Say whether what should be names of columns holds a number."""
    return any(isinstance(number_or_reason(name), float) for name in names)


def parse_numbers(
    values: Sequence[Any],
    rows: Sequence[int],
    source: str,
    column: str,
    on_error: OnError = "raise",
) -> tuple[np.ndarray, list[str | None]]:
    """Read cells as finite numbers.

    Args:
        values: Cells, as text or as numbers.
        rows: Row number of each cell, for messages.
        source: The file, for messages.
        column: The column, for messages.
        on_error: "raise": bad cells are an error that counts them all; "skip": they become NaN.

    Returns:
        float64 `(rows,)`, and for each row None or what is wrong with its cell.

    Raises:
        RowError: naming file, row and cell of the first five bad ones.
        ConfigError: when `on_error` is another word.
    """
    check_on_error(on_error)
    numbers = np.full(len(values), np.nan)
    errors: list[str | None] = [None] * len(values)
    for index, value in enumerate(values):
        number = number_or_reason(value)
        if isinstance(number, str):
            errors[index] = f"column '{column}': {number}"
        else:
            numbers[index] = number
    if on_error == "raise":
        raise_bad_cells(errors, rows, source, "number")
    return numbers, errors


def parse_classes(
    values: Sequence[Any],
    rows: Sequence[int],
    source: str,
    column: str,
    on_error: OnError = "raise",
    classes: Sequence[str] | None = None,
) -> tuple[list[str | None], list[str | None]]:
    """Read cells as class names.

    Names are the cells as text without white space around them. Spellings that differ only in
    case, blanks or numerals (`1` and `1.0`) are one class, and the log says so. A word for a
    missing value is no class unless `classes` lists it.

    Args:
        values: Cells, as text or as numbers.
        rows: Row number of each cell, for messages.
        source: The file, for messages.
        column: The column, for messages.
        on_error: "raise": empty cells are an error that counts them all; "skip": they become None.
        classes: The names that the task lists; None: those of the cells.

    Returns:
        For each row its class, None where the cell is empty; and None or what is wrong with it.

    Raises:
        RowError: naming file and row of the first five empty cells.
        DataError: when nobody can say whether two spellings are one class.
        ConfigError: when `on_error` is another word.
    """
    check_on_error(on_error)
    listed = set(classes or ())
    names: list[str | None] = []
    errors: list[str | None] = []
    for value in values:
        text = clean(str(value))
        is_lacking = text not in listed and is_missing(value)
        names.append(None if is_lacking else text)
        errors.append(f"column '{column}': {_class_reason(value)}" if is_lacking else None)
    if on_error == "raise":
        raise_bad_cells(errors, rows, source, "class")
    return one_spelling(names, source, column, classes), errors


def _class_reason(value: Any) -> str:
    reason = missing_reason(value)
    is_word = reason != "the cell is empty"
    return reason + ("; list it in target.classes if it is a class" if is_word else "")


def number_or_reason(value: Any) -> float | str:
    """Return a finite number, or what is wrong with the cell; true and false are no numbers."""
    if is_missing(value):
        return missing_reason(value)
    if isinstance(value, bool | np.bool_):
        return f"{_short(value)} is not a number"
    text = with_minus(clean(value)) if isinstance(value, str) else value
    try:
        if isinstance(text, str) and "_" in text:  # float() takes 1_000, files do not mean it
            raise ValueError
        number = float(text)
    except OverflowError:
        return _beyond(value)
    except (TypeError, ValueError):
        return f"{_short(value)} is not a number{_number_hint(text)}"
    if math.isinf(number):
        return f"{_short(value)} is infinite"
    if abs(number) > LARGEST:
        return _beyond(value)
    return number


def _beyond(value: Any) -> str:
    return f"{_short(value)} is beyond {LARGEST:g}, the largest number that can be computed with"


def _number_hint(text: Any) -> str:
    """Say what a number may have been meant; none is proposed where it may be another one."""
    if not isinstance(text, str):
        return ""
    if _DECIMAL_COMMA.fullmatch(text):
        return f"; write {text.replace(',', '.')}"
    if _GROUPED.fullmatch(text):
        return "; write it without separators of thousands, and with a point before decimals"
    if _WITH_UNIT.fullmatch(text):
        return "; write numbers alone, all in one unit, and name the unit in the header"
    if text.startswith(("<", "≤", ">", "≥")):
        return "; such a limit is read in the column of a target of numbers only"
    odd = odd_characters(text)
    return f": {odd}" if odd else ""


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 10_000:  # Python writes no longer ones
        return "a whole number of thousands of digits"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def raise_bad_cells(
    errors: Sequence[str | None], rows: Sequence[int], source: str, wanted: str
) -> None:
    """Raise what is wrong with cells, if anything is.

    Args:
        errors: None or what is wrong with each cell.
        rows: Row number of each, for messages.
        source: The file, for messages.
        wanted: What a cell should hold, such as "number".

    Raises:
        RowError: naming file, row and cell of the first five bad ones.
    """
    bad = [(row, error) for row, error in zip(rows, errors, strict=True) if error is not None]
    if not bad:
        return
    shown = "\n".join(f"  {source}, row {row}: {error}" for row, error in bad[:_SHOWN])
    more = f"\n  and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    of_rows = f"{len(bad)} of {counted(len(rows), 'row')}"
    raise RowError(
        f"{source}: no usable {wanted} in {of_rows}:\n{shown}{more}\n"
        "Fix the cells, or skip these rows with --on-error skip."
    )


def as_value(value: Any, is_text: bool = False) -> Any:
    """Return a cell as text without white space around it, "" when missing; a record cell by cell.

    Args:
        value: The cell.
        is_text: True: cells are sentences, see `missing.is_missing`.
    """
    if isinstance(value, tuple):
        return tuple(as_value(part, is_text) for part in value)
    return "" if is_missing(value, is_text) else clean(str(value))
