"""Rows on their way through a predictor: read, then predicted."""

import logging
from collections.abc import Sequence
from typing import Any

import attrs

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


def warn_invalid(errors: Sequence[str | None]) -> None:
    """Log how many rows are invalid, where the result itself cannot say so."""
    bad = [(i, error) for i, error in enumerate(errors, start=1) if error]
    if bad:
        logger.warning(
            "%d of %d rows are invalid, the first is row %d: %s", len(bad), len(errors), *bad[0]
        )
