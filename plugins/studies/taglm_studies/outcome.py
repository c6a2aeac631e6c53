"""What a reference predictor gives back."""

from collections.abc import Mapping

import attrs
import numpy as np


@attrs.frozen
class Outcome:
    """Predictions of one reference predictor."""

    predictions: dict[str, np.ndarray]
    """Part -> float `(rows, outputs)`; some parts may be left out."""
    limits: Mapping[str, float] = attrs.field(factory=dict[str, float])
    """What was left out of the fit: `train_rows`, `train_columns`; empty: nothing."""
