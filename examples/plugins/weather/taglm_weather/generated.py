"""Records by seed, spread over the scales."""

import numpy as np

from taglm_weather.encoder import SCALES


def stations(*, seed: int, size: int | None) -> dict[str, list[float]]:
    """Make records.

    Args:
        seed: Seed of everything random.
        size: Number of records; None: 4,000.
    """
    rng = np.random.default_rng(seed)
    count = 4000 if size is None else size
    temperature = rng.normal(12.0, 12.0, count)
    humidity = 100 * rng.beta(3.0, 1.5, count)
    pressure = rng.normal(1000.0, 25.0, count)
    columns = {}
    for scale, values in zip(SCALES, (temperature, humidity, pressure), strict=True):
        steps = np.round((values - scale.low) / scale.step)
        on_scale = scale.low + scale.step * np.clip(steps, 0, scale.count - 1)
        columns[scale.name] = [float(value) for value in on_scale]
    return columns
