"""What the engine answers, who hears of it, and when it refuses."""

from typing import Any, Protocol

import attrs


class QueueFullError(Exception):
    """More rows wait than the limit allows."""

    def __init__(self, retry_after: int) -> None:
        """Say when to try again.

        Args:
            retry_after: Seconds until there should be room.
        """
        super().__init__(f"too many rows are waiting; try again in {retry_after} s")
        self.retry_after = retry_after


class StoppingError(Exception):
    """The service is being stopped and accepts nothing more."""


@attrs.frozen
class Answer:
    """Predictions for the rows of a request."""

    columns: dict[str, list[Any]]
    """Prediction column -> values, None where a row has an error."""
    errors: list[str | None]
    """One entry a row."""
    fixed: dict[int, str]
    """Row number -> what was changed in it."""
    similar: dict[str, list[Any]]
    """Columns of the similarity of rows to the training rows; {}: the predictor cannot tell."""
    interval: dict[str, list[Any]]
    """Columns of prediction intervals; {}: none were asked for."""


class Listener(Protocol):
    """Hears of the rows of a stream, in the engine's thread."""

    def on_text(self, row: int, text: str) -> None:
        """Hear what has been written so far.

        Args:
            row: Number of the row, from 1.
            text: All of it.
        """
        ...

    def on_rows(self, first: int, answer: Answer) -> None:
        """Hear the predictions of some rows.

        Args:
            first: Number of the first of them, from 1.
            answer: As for a request that has these rows alone.
        """
        ...


class Observer(Protocol):
    """Hears what the thread does."""

    def on_batch(self, rows: int, predictors: int, seconds: float) -> None:
        """Hear that a batch was predicted."""
        ...
