"""Prediction intervals by split-conformal prediction, from the residuals of validation rows.

Lei et al. 2018 (JASA 113, 1094), section 2.2: of n absolute residuals the one of rank
ceil((n + 1) * level) is half the width of the interval. A new row that is exchangeable with those n
lies in it with at least that probability, whatever the predictor.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.errors import ConfigError

MOST_POINTS = 1000
"""Residuals that a predictor keeps of a target; of more rows it keeps evenly spaced ranks."""
_SLACK = 1e-9
"""Of a rank: 0.9 is a little more than 9/10."""


@attrs.frozen(kw_only=True)
class IntervalRecord:
    """What the intervals of one target rest on, as an artifact keeps it."""

    target: str
    rows: int
    """Validation rows with an exact value; missing and censored ones have no residual."""


@attrs.frozen(eq=False)
class Intervals:
    """The intervals of a predictor of numbers, each target by itself."""

    records: tuple[IntervalRecord, ...]
    """In the order of the targets."""
    residuals: Mapping[str, Tensor]
    """Target -> float64 `(points,)`, ascending absolute residuals in the user's units."""

    @staticmethod
    def of_rows(names: Sequence[str], truth: np.ndarray, prediction: np.ndarray) -> "Intervals":
        """Return the intervals that validation rows give.

        Args:
            names: Names of the targets.
            truth: `(rows, targets)`, NaN where a value is missing or censored.
            prediction: `(rows, targets)`.
        """
        records, residuals = [], {}
        for k, name in enumerate(names):
            sizes = np.abs(truth[:, k] - prediction[:, k])
            ordered = np.sort(sizes[np.isfinite(sizes)])
            count = len(ordered)
            kept = [_kept_rank(place, count) - 1 for place in range(min(count, MOST_POINTS))]
            records.append(IntervalRecord(target=name, rows=count))
            residuals[name] = torch.from_numpy(ordered[kept].astype(np.float64))
        return Intervals(tuple(records), residuals)

    @property
    def max_level(self) -> float:
        """Highest level at which a target has an interval; 0.0: none has one."""
        rows = max(record.rows for record in self.records)
        return rows / (rows + 1)

    def half_widths(self, level: float) -> np.ndarray:
        """Return half the width of each target's interval, `(targets,)`; NaN: too few rows."""
        return np.array([self._half_width(record, level) for record in self.records])

    def bounds(self, prediction: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the low and the high ends of intervals, each `(rows, targets)`.

        Args:
            prediction: `(rows, targets)`.
            level: Share of new values that an interval is to contain.
        """
        half = self.half_widths(level)
        return prediction - half, prediction + half

    def _half_width(self, record: IntervalRecord, level: float) -> float:
        place = _place(level, record.rows)
        return math.nan if place is None else float(self.residuals[record.target][place])


def check_level(level: Any) -> None:
    """Demand a level between 0 and 1.

    Raises:
        ConfigError: for any other number, and for what is no number.
    """
    is_number = isinstance(level, int | float | np.floating)
    if not is_number or not 0 < level < 1:
        shown = f"{level:.10g}" if is_number else repr(level)
        raise ConfigError(
            f"interval (--interval) must be between 0 and 1, not {shown}: it is the share of new "
            "values that the interval contains, such as 0.9."
        )


def least_rows(level: float) -> int:
    """Return how many validation rows an interval of a level needs."""
    return max(1, math.ceil((level - _SLACK) / (1 - level)))


def used_rank(level: float, rows: int) -> int | None:
    """Return the rank of the residual that gives an interval, None where rows are too few.

    Args:
        level: Of the interval.
        rows: Validation rows whose residual is known.
    """
    place = _place(level, rows)
    return None if place is None else _kept_rank(place, rows)


def _place(level: float, rows: int) -> int | None:
    """Return the place of the residual among those that are kept."""
    rank = math.ceil((rows + 1) * level - _SLACK)
    if rank > rows:
        return None
    return -(-rank * min(rows, MOST_POINTS) // rows) - 1


def _kept_rank(place: int, rows: int) -> int:
    """Return the rank among all residuals of the one that is kept at a place."""
    return -(-(place + 1) * rows // min(rows, MOST_POINTS))
