"""Rows on their way through a predictor: read, then predicted."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.model.similarity import UNLIKE
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


def fixed_cells(numbers: Sequence[int], fixed: Sequence[tuple[int, str]]) -> list[str]:
    """Return what was changed in each row, "" where nothing was.

    Args:
        numbers: Number of each row.
        fixed: Row number and change of the rows that were fixed.
    """
    changes = dict(fixed)
    return [changes.get(number, "") for number in numbers]


def warn_invalid(errors: Sequence[str | None]) -> None:
    """Log how many rows are invalid, where the result itself cannot say so."""
    bad = [(i, error) for i, error in enumerate(errors, start=1) if error]
    if bad:
        logger.warning(
            "%d of %d rows are invalid, the first is row %d: %s", len(bad), len(errors), *bad[0]
        )


_SHOWN = 5


def unlike_rows(columns: Mapping[str, Sequence[Any]], numbers: Sequence[int]) -> list[int]:
    """Return the numbers of the rows that are unlike the training rows.

    Args:
        columns: As `Predictor.similar` gives them; may be empty.
        numbers: Number of each row.
    """
    cells = columns.get(UNLIKE, ())
    return [number for number, cell in zip(numbers, cells, strict=False) if cell]


class Unlike:
    """Counts rows that are unlike the training rows, for one warning at the end."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        """Begin to count.

        Args:
            limits: Column of similarities -> value below which a row is unlike the training rows.
        """
        self._limits = limits
        self._rows: list[int] = []
        self._total = 0

    def add(self, columns: Mapping[str, Sequence[Any]], numbers: Sequence[int]) -> "Unlike":
        """Count rows, whose columns `Predictor.similar` gave.

        Args:
            columns: May be empty.
            numbers: Number of each row.
        """
        cells = columns.get(UNLIKE, ())
        return self.count(unlike_rows(columns, numbers), len(cells))

    def count(self, rows: Sequence[int], total: int) -> "Unlike":
        """Count rows.

        Args:
            rows: Numbers of those that are unlike.
            total: How many were compared.
        """
        self._rows += rows
        self._total += total
        return self

    def warn(self) -> None:
        """Log one line if a row is unlike the training rows."""
        if not self._rows:
            return
        limits = " or ".join(f"{column} below {limit:g}" for column, limit in self._limits.items())
        more = len(self._rows) - _SHOWN
        logger.warning(
            "%s of %s rows %s unlike the training rows (%s): row%s %s%s. Do not rely on %s.",
            f"{len(self._rows):,}",
            f"{self._total:,}",
            "is" if len(self._rows) == 1 else "are",
            limits,
            "" if len(self._rows) == 1 else "s",
            ", ".join(map(str, self._rows[:_SHOWN])),
            f" and {more:,} more" if more > 0 else "",
            "its prediction" if len(self._rows) == 1 else "their predictions",
        )
