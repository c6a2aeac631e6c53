"""Labels that follow exactly from a record."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

# Magnus formula over water, constants of Alduchov and Eskridge (1996)
_A = 17.625
_B = 243.04  # degrees Celsius


def dew_point(columns: Mapping[str, Sequence[tuple[str, ...]]]) -> np.ndarray:
    """Return the dew point in degrees Celsius, `(rows, 1)`."""
    return np.array([[_dew_point(float(t), float(h))] for t, h, _ in columns["air"]])


def deposit(columns: Mapping[str, Sequence[tuple[str, ...]]]) -> list[str | None]:
    """Return `dew` when the dew point is 0 degrees Celsius or above, else `frost`."""
    return ["dew" if value >= 0 else "frost" for value in dew_point(columns)[:, 0]]


def _dew_point(temperature: float, humidity: float) -> float:
    gamma = math.log(humidity / 100) + _A * temperature / (_B + temperature)
    return _B * gamma / (_A - gamma)
