"""What the fit of a baseline gives back."""

from collections.abc import Mapping

import attrs
import numpy as np


@attrs.frozen
class Outcome:
    """Predictions of one baseline, in the orders that were fitted."""

    predictions: dict[str, np.ndarray]
    """Split -> float `(rows, outputs)`; some splits may be left out."""
    limits: Mapping[str, float] = attrs.field(factory=dict[str, float])
    """What was left out of the fit: `train_rows`, `train_columns`; empty: nothing."""
