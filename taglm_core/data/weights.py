"""Sample weights: what each training row counts, read from a column."""

from collections.abc import Sequence

import numpy as np

from taglm_core.data.columns import folded, parse_numbers
from taglm_core.data.rowerrors import raise_rows
from taglm_core.data.table import Table
from taglm_core.errors import DataError, nearest

HOW_COUNTED = "in training; metrics and baselines count every row the same"
"""What weights weigh, for metrics.json and remarks."""


def read_weights(table: Table, column: str, good: Sequence[int]) -> np.ndarray:
    """Read the weights of rows.

    Args:
        table: The rows.
        column: The column, whose case may differ.
        good: Indices of the rows that are used.

    Returns:
        float64 `(good rows,)`, 0 or above.

    Raises:
        DataError: when there is no such column.
        RowError: naming rows whose weight is missing, below 0 or no finite number.
    """
    alike = [name for name in table.columns if name == column] or [
        name for name in table.columns if folded(name) == folded(column)
    ]
    if len(alike) != 1:
        raise DataError(
            f"{table.source}: {'several columns' if alike else 'no column'} '{column}' of sample "
            f"weights.{nearest(column, table.columns)} Columns: {', '.join(table.columns)}. Name "
            "one with --weights COLUMN (data.weights)."
        )
    found = alike[0]
    cells = [table.columns[found][i] for i in good]
    rows = [table.rows[i] for i in good]
    weights, errors = parse_numbers(cells, rows, table.source, found, on_error="skip")
    for i, weight in enumerate(weights):
        if errors[i] is None and weight < 0:
            errors[i] = f"column '{found}': {cells[i]!r} is below 0"
    bad = [(row, error) for row, error in zip(rows, errors, strict=True) if error is not None]
    if bad:
        advice = (
            "A weight is a number of 0 or more: fill the cells, and write 0 for rows that are not "
            "to count."
        )
        raise_rows(table.source, bad, len(rows), advice)
    return weights


def scaled_weights(weights: np.ndarray, source: str) -> np.ndarray:
    """Return weights whose mean is 1, so that losses keep their size.

    Args:
        weights: float64 `(rows,)` of the training rows.
        source: The file, for messages.

    Raises:
        DataError: when all are 0.
    """
    mean = float(weights.mean())
    if mean == 0:
        raise DataError(
            f"{source}: every training row has the weight 0, so nothing is learned. Give some rows "
            "a weight above 0."
        )
    scaled: np.ndarray = weights / mean
    return scaled


def weight_facts(column: str, weights: np.ndarray) -> dict[str, object]:
    """Return what metrics.json says of the weights of the training rows.

    Args:
        column: The column.
        weights: float64 `(rows,)`.
    """
    return {
        "column": column,
        "least": float(weights.min()),
        "largest": float(weights.max()),
        "rows_of_weight_0": int((weights == 0).sum()),
        "counted": HOW_COUNTED,
    }
