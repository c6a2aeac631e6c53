"""Tables in memory: the forms in which a caller gives rows, and those in which results come back.

pandas, datasets and pyarrow are used only when the caller's data or wish asks for them.
"""

import datetime
import os
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.data.readers import read_table
from taglm_core.data.table import Table
from taglm_core.errors import ConfigError, DataError, nearest

OUTPUTS = ("pandas", "dict", "numpy", "arrow")
"""Forms of a result in memory."""


@attrs.frozen
class Given:
    """Rows as a caller gave them."""

    table: Table
    index: Any = None
    """Index of the pandas object that was given; None: another form."""


def is_path(data: Any) -> bool:
    """Return whether data are named by a path instead of given in memory."""
    return isinstance(data, str | os.PathLike)


def as_table(
    data: Any, fields: Sequence[str] = (), purpose: str = "this", sheet: str | None = None
) -> Given:
    """Return rows in any accepted form as a table.

    Args:
        data: A pandas DataFrame, a mapping of columns, a `datasets.Dataset`, a pyarrow Table, the
            path of a table, or, where one column is needed, a list of its values.
        fields: Columns that are needed; a list fills the only one.
        purpose: What needs the columns, for messages, such as "task QED".
        sheet: Name or number of a sheet of a workbook; None: its first sheet.

    Raises:
        DataError: for another kind of data, columns of different lengths, a list where several
            columns are needed, or an unreadable file.
    """
    if is_path(data):
        path = Path(data)
        if not path.exists() and not path.is_symlink() and not path.suffix:
            raise DataError(f"{data}: no such file. Give a single row as a list: [{str(data)!r}].")
        return Given(read_table(path, sheet=sheet))
    if sheet is not None:
        raise DataError(f"sheet {sheet!r} was asked for, but rows were given. Name a workbook.")
    if _is_a(data, "pandas", "DataFrame"):
        return _of_frame(data)
    if _is_a(data, "datasets", "DatasetDict"):
        raise DataError(f"a DatasetDict holds several tables ({', '.join(data)}): give one.")
    if _is_a(data, "datasets", "Dataset"):
        return Given(_table({n: list(data[n]) for n in data.column_names}, "the Dataset"))
    if _is_a(data, "pyarrow", "Table"):
        return Given(_table(data.to_pydict(), "the arrow Table"))
    if isinstance(data, Mapping):
        return Given(_table({name: _values(data[name], name) for name in data}, "the columns"))
    index = data.index if _is_a(data, "pandas", "Series") else None
    values = _values(data, "the list")
    if len(fields) != 1:
        raise DataError(
            f"a list of rows fills one column, but {purpose} needs {', '.join(fields) or 'none'}. "
            "Give a DataFrame or a dict of columns."
        )
    odd = next((v for v in values if isinstance(v, Mapping | list | tuple)), None)
    if odd is not None:
        raise DataError(
            f"the list holds {type(odd).__name__} {odd!r}; {purpose} takes one text a row for "
            f"'{fields[0]}'. Give a DataFrame or a dict of columns for several."
        )
    return Given(_table({fields[0]: values}, "the list"), index)


_MISSING = ("NAType", "NaTType")
"""Types of missing values of pandas, which need not be imported."""


def _is_a(data: Any, module: str, name: str) -> bool:
    """Return whether data are of a library's class, without importing the library."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(data, getattr(loaded, name, ()))


def _of_frame(frame: Any) -> Given:
    names = [str(name) for name in frame.columns]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(
            f"the DataFrame has {names.count(twice[0])} columns named '{twice[0]}'. Rename them."
        )
    columns = {name: _values(frame.iloc[:, i], name) for i, name in enumerate(names)}
    return Given(_table(columns, "the DataFrame", len(frame)), frame.index)


def _values(values: Any, name: str) -> list[Any]:
    """Return a column as a list of plain values, None for missing ones."""
    # a set has no order, in which results could be given
    if isinstance(values, str | bytes | set | frozenset) or not hasattr(values, "__iter__"):
        raise DataError(f"{name}: give a list of values, not {values!r}.")
    if _is_a(values, "pandas", "Series"):
        objects = values.astype(object)
        return [_plain(value) for value in objects.where(objects.notna(), None).tolist()]
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise DataError(f"{name}: give one dimension, not an array of shape {values.shape}.")
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    return [_plain(value) for value in plain]


def _plain(value: Any) -> Any:
    """Return a cell as a file would give it: None when missing, dates as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, float | Decimal) and value != value:  # NaN alone differs from itself
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{value[:40]!r} is no text in UTF-8. Decode bytes first.") from error
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    return value.isoformat() if isinstance(value, datetime.date) else value


def _table(columns: dict[str, list[Any]], source: str, count: int | None = None) -> Table:
    lengths = {str(name): len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{source}: columns of different lengths: {lengths}.")
    count = next(iter(lengths.values()), 0) if count is None else count
    named = {str(name): values for name, values in columns.items()}
    return Table(columns=named, rows=list(range(1, count + 1)), source=source)


def check_output(output: Any) -> None:
    """Demand a known form of a result.

    Raises:
        ConfigError: listing the forms.
    """
    if output not in OUTPUTS:
        raise ConfigError(
            f"output={output!r}: unknown form.{nearest(str(output), OUTPUTS)} Known: "
            f"{', '.join(OUTPUTS)}, or a path to write to, such as 'predicted.csv'."
        )


def as_output(columns: Mapping[str, Sequence[Any]], output: str, index: Any = None) -> Any:
    """Return columns in the form that was asked for.

    Args:
        columns: Column -> values, None where there is none.
        output: "pandas", "dict" or "arrow".
        index: Index of a DataFrame; None: 0, 1, 2, ...
    """
    if output == "dict":
        return {name: list(values) for name, values in columns.items()}
    if output == "arrow":
        import pyarrow

        kinds = {"error": pyarrow.string()}  # the type of this column, whether there are any or not
        arrays = {n: pyarrow.array(list(v), kinds.get(n)) for n, v in columns.items()}
        return pyarrow.table(arrays)
    return as_frame(columns, index)


def as_frame(columns: Mapping[str, Sequence[Any]], index: Any = None) -> Any:
    """Return columns as a pandas DataFrame; a column without any value is of kind object."""
    import pandas

    series = {
        name: pandas.Series(
            list(values), index=index, dtype=object if all(v is None for v in values) else None
        )
        for name, values in columns.items()
    }
    return pandas.DataFrame(series, index=index)
