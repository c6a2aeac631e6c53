"""Rows on their way through a predictor: read, then predicted."""

import logging
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.specs import Classification, Regression, Target, Text

logger = logging.getLogger(__name__)


@attrs.frozen
class Predicted:
    """Predictions for a table, row by row."""

    columns: dict[str, list[Any]]
    """Prediction column -> values; None where a row has an error."""
    errors: list[str | None]
    """One entry a row."""
    values: Any
    """Predictions of the good rows in order, an array or texts; None when no row is good."""
    good: list[int]
    """Indices of the rows without error."""
    fixed: list[tuple[int, str]] = attrs.field(factory=list)
    """(row number, what was changed) of each row that was fixed."""


@attrs.frozen
class ReadRows:
    """Rows of a table, ready to be predicted."""

    fields: dict[str, list[Any]]
    """Field -> canonical values, blank where a row is bad."""
    errors: list[str | None]
    """One entry a row."""
    fixed: list[tuple[int, str]]
    """(row number, what was changed) of each row that was fixed."""


def array_of(predicted: Predicted, target: Target) -> np.ndarray:
    """Return predictions as one array, NaN or None where a row is invalid.

    Args:
        predicted: Predictions as columns.
        target: What the task predicts.
    """
    names = list(predicted.columns)
    is_label = isinstance(target, Classification) and not target.multi_label
    if is_label or isinstance(target, Text):
        return np.array([*predicted.columns[names[0]], None], dtype=object)[:-1]
    values = np.full((len(predicted.errors), len(names)), np.nan)
    if predicted.good:
        values[predicted.good] = predicted.values
    return values[:, 0] if len(names) == 1 and isinstance(target, Regression) else values


def warn_invalid(errors: Sequence[str | None]) -> None:
    """Log how many rows are invalid, where the result itself cannot say so."""
    bad = [(i, error) for i, error in enumerate(errors, start=1) if error]
    if bad:
        logger.warning(
            "%d of %d rows are invalid, the first is row %d: %s", len(bad), len(errors), *bad[0]
        )
