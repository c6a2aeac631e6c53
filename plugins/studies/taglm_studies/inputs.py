"""Inputs and targets of the estimators in `taglm_studies.sklearn`: columns of texts, numbers."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import _num_samples, check_array, column_or_1d

from taglm_core.errors import RowError

SPLIT_COLUMN = "taglm_split"
"""Column that says which split each row is in."""


def columns_of(X: Any) -> tuple[list[str], dict[str, list[Any]]]:
    """Return the columns of inputs: their names, and position -> cells."""
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        named = list(X.columns)
        columns = {f"{i}": X.iloc[:, i].tolist() for i in range(len(named))}
    else:
        cells = np.asarray(dense(X))
        if cells.ndim not in (1, 2):
            raise ValueError(
                f"Expected 2D array or a list of texts, got an array of {cells.ndim} dimensions."
            )
        if cells.dtype.kind in "fciu":  # numbers become text, and have two dimensions
            cells = check_array(cells, dtype=None)
        table = cells.reshape(len(cells), -1)
        named = [None] * table.shape[1]
        columns = {f"{i}": table[:, i].tolist() for i in range(table.shape[1])}
    plain = ["input"] if len(columns) == 1 else [f"input {i + 1}" for i in range(len(columns))]
    # numbers that pandas gives to columns without names say nothing in a prompt
    names = [n if isinstance(n, str) else p for n, p in zip(named, plain, strict=True)]
    count = len(next(iter(columns.values()), []))
    if not columns:
        raise ValueError(
            f"Found array with 0 feature(s) (shape=({count}, 0)) while a minimum of 1 is required."
        )
    if not count:
        raise ValueError(
            f"Found array with 0 sample(s) (shape=(0, {len(columns)})) while a minimum of 1 is "
            "required."
        )
    return names, columns


def dense(X: Any) -> Any:
    """Return inputs unchanged; sparse ones are refused."""
    from scipy.sparse import issparse

    if issparse(X):
        raise TypeError("Sparse data was passed; inputs are texts: give a list or a dense array.")
    return X


def check_lengths(X: Any, y: Any) -> None:
    """Raise ValueError when inputs and targets differ in length."""
    if y is not None and _num_samples(dense(X)) != _num_samples(y):
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"{[_num_samples(X), _num_samples(y)]}"
        )


def checked_targets(X: Any, y: Any, estimator: Any) -> np.ndarray:
    """Return finite numbers `(rows,)` or `(rows, targets)`, one for each row of the inputs."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    check_lengths(X, y)
    values: np.ndarray = check_array(
        y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=estimator
    )
    return column_or_1d(values, warn=True) if values.ndim == 2 and values.shape[1] == 1 else values


def with_splits(data: Mapping[str, list[Any]], is_held_out: np.ndarray) -> dict[str, list[Any]]:
    """Return the columns with the split of each row.

    A run needs test rows; those of an estimator are the caller's, so one held-out row stands there
    a second time. It is never predicted.
    """
    again = int(np.flatnonzero(is_held_out)[0])
    columns = {name: [*cells, cells[again]] for name, cells in data.items()}
    return {**columns, SPLIT_COLUMN: [*("valid" if h else "train" for h in is_held_out), "test"]}


@contextlib.contextmanager
def own_advice() -> Iterator[None]:
    """Say of invalid rows what the user of an estimator can do, who cannot skip them."""
    try:
        yield
    except RowError as error:
        raise RowError(error.what, "Correct these rows of X, or leave them out.") from error
