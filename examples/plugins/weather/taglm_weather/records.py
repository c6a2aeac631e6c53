"""What a record stands for: three numbers, each rounded to its scale."""

import math
from collections.abc import Sequence

import numpy as np

from taglm_core import Checked
from taglm_weather.encoder import SCALES, Scale


def canonical(rows: Sequence[tuple[str, ...]]) -> Checked:
    """Round every value to its scale; what is no number or beyond the scale is an error."""
    values: list[tuple[str, ...] | None] = []
    errors: list[str | None] = []
    for row in rows:
        try:
            values.append(tuple(_rounded(s, v) for s, v in zip(SCALES, row, strict=True)))
            errors.append(None)
        except ValueError as error:
            values.append(None)
            errors.append(str(error))
    return Checked(values, errors)


def numbers(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Return the three numbers of each record, float32 `(rows, 3)`."""
    return np.array(rows, dtype=np.float64).astype(np.float32).reshape(len(rows), len(SCALES))


def states(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return one key for each pair of temperature and humidity, which fix the dew point."""
    return [f"{temperature}/{humidity}" for temperature, humidity, _ in rows]


def _rounded(scale: Scale, value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{scale.name} {value!r} is not a number") from None
    place = (number - scale.low) / scale.step
    if not (math.isfinite(place) and -0.5 <= place <= scale.count - 0.5):
        raise ValueError(
            f"{scale.name} {value} is outside {scale.low:g} to {scale.high:g} {scale.unit}"
        )
    return scale.written(min(max(round(place), 0), scale.count - 1))
