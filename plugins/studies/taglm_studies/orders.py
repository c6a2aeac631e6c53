"""Symmetric tasks: references see both orders of each row and answer with the mean of both."""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from taglm_core import Evaluated
from taglm_core.specs.events import Part


def both_orders(event: Evaluated) -> Evaluated:
    """Return the event with each row of a symmetric task twice, the second time in the other order.

    Part by part the rows come first as they are, then changed about; other tasks stay as they are.
    """
    if not event.symmetric:
        return event
    partner = {a: b for pair in event.symmetric for a, b in (pair, pair[::-1])}
    return attrs.evolve(
        event, parts={name: _doubled(part, partner) for name, part in event.parts.items()}
    )


def _doubled(part: Part, partner: Mapping[str, str]) -> Part:
    return attrs.evolve(
        part,
        fields=_both(part.fields, partner),
        texts=_both(part.texts, partner),
        truth=np.concatenate([part.truth, part.truth]),
        prediction=None,
    )


def _both(
    columns: Mapping[str, Sequence[str]], partner: Mapping[str, str]
) -> dict[str, Sequence[str]]:
    return {name: [*values, *columns[partner.get(name, name)]] for name, values in columns.items()}


def mean_of_orders(prediction: np.ndarray, num_rows: int) -> np.ndarray:
    """Return the mean over the orders: `(orders * num_rows, outputs)` to `(num_rows, outputs)`."""
    if len(prediction) == num_rows:
        return prediction
    found: np.ndarray = prediction.reshape(-1, num_rows, prediction.shape[1]).mean(axis=0)
    return found
