"""Which column holds a field, and its cells as numbers or as class names."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from taglm_core.errors import DataError, RowError, nearest

OnError = Literal["raise", "keep"]

_SHOWN = 5
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
_INTEGRAL = re.compile(r"([+-]?\d+)(\.0*)?")


def find_column(
    table_columns: Iterable[str],
    field: str,
    aliases: Sequence[str],
    mapping: Mapping[str, str],
    source: str,
) -> str:
    """Find the column that holds a field.

    The user's mapping wins; then the field's own name and its aliases in order, each first to the
    letter and then without regard to case and surrounding white space.

    Args:
        table_columns: The columns there are.
        field: Name of the field, such as "smiles".
        aliases: Other names that a file may use for it.
        mapping: Field -> column, as the user gave with `--column`.
        source: The file, for messages.

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
            f"{source}: --column {field}={wanted}, but there is no column '{wanted}'."
            f"{nearest(wanted, columns)} {there}"
        )
    for name in (field, *aliases):
        if name in columns:
            return name
        alike = [column for column in columns if column.strip().lower() == name.lower()]
        if len(alike) > 1:
            raise DataError(
                f"{source}: the columns {' and '.join(map(repr, alike))} fit the field '{field}' "
                f"equally well. Name one of them: --column {field}={alike[0]}."
            )
        if alike:
            return alike[0]
    also = f" (nor {', '.join(aliases)})" if aliases else ""
    raise DataError(
        f"{source}: no column for the field '{field}'{also}.{nearest(field, columns)} {there} "
        f"Name the column: --column {field}=NAME."
    )


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
        on_error: "raise": bad cells are an error that counts them all; "keep": they become NaN.

    Returns:
        float64 `(rows,)`, and for each row None or what is wrong with its cell.

    Raises:
        RowError: naming file, row and cell of the first five bad ones.
    """
    numbers = np.full(len(values), np.nan)
    errors: list[str | None] = [None] * len(values)
    for index, value in enumerate(values):
        found = _number(value)
        if isinstance(found, str):
            errors[index] = f"column '{column}': {found}"
        else:
            numbers[index] = found
    if on_error == "raise":
        _raise_any(errors, rows, source, "number")
    return numbers, errors


def parse_classes(
    values: Sequence[Any],
    rows: Sequence[int],
    source: str,
    column: str,
    on_error: OnError = "raise",
) -> tuple[list[str | None], list[str | None]]:
    """Read cells as class names.

    Names are the cells as text without white space around them. When all of them are whole
    numbers, a fraction of zeros is left out, so that `1.0` and `1` are one class.

    Args:
        values: Cells, as text or as numbers.
        rows: Row number of each cell, for messages.
        source: The file, for messages.
        column: The column, for messages.
        on_error: "raise": empty cells are an error that counts them all; "keep": they become None.

    Returns:
        For each row its class, None where the cell is empty; and None or what is wrong with it.

    Raises:
        RowError: naming file and row of the first five empty cells.
    """
    names: list[str | None] = [
        None if value is None or value != value else str(value).strip() or None for value in values
    ]
    whole = [_INTEGRAL.fullmatch(name) for name in names if name is not None]
    if all(whole):
        found = iter(whole)
        names = [None if n is None else _group(next(found)) for n in names]
    errors = [f"column '{column}': the cell is empty" if n is None else None for n in names]
    if on_error == "raise":
        _raise_any(errors, rows, source, "class")
    return names, errors


def _group(match: "re.Match[str] | None") -> str:
    assert match is not None, "all cells matched"
    return match.group(1)


def _number(value: Any) -> float | str:
    """Return a finite number, or what is wrong with the cell."""
    text = value.strip() if isinstance(value, str) else value
    if text is None or (isinstance(text, str) and text.lower() in _MISSING):
        return "the cell is empty" if text in (None, "") else f"{value!r} stands for a missing one"
    try:
        if isinstance(text, str) and "_" in text:  # float() takes 1_000, files do not mean it
            raise ValueError
        number = float(text)
    except (TypeError, ValueError, OverflowError):
        is_comma = isinstance(text, str) and re.fullmatch(r"[+-]?\d+,\d+", text) is not None
        hint = f"; write {text.replace(',', '.')}" if is_comma else ""
        return f"{_short(value)} is not a number{hint}"
    if math.isnan(number):
        return "the cell is empty"
    return number if math.isfinite(number) else f"{_short(value)} is infinite"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _raise_any(errors: Sequence[str | None], rows: Sequence[int], source: str, wanted: str) -> None:
    bad = [(row, error) for row, error in zip(rows, errors, strict=True) if error is not None]
    if not bad:
        return
    shown = "\n".join(f"  {source}, row {row}: {error}" for row, error in bad[:_SHOWN])
    more = f"\n  and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    raise RowError(
        f"{source}: {len(bad)} of {len(rows)} rows have no usable {wanted}:\n{shown}{more}\n"
        "Mend the cells, or leave these rows out with --on-error keep."
    )


def as_value(value: Any) -> Any:
    """Return a cell as text without white space around it, "" when empty; a record cell by cell."""
    if isinstance(value, tuple):
        return tuple("" if part is None else str(part).strip() for part in value)
    return "" if value is None else str(value).strip()
