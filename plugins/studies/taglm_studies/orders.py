"""Symmetric tasks: baselines see both orders of each row and answer with the mean of both."""

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from taglm_core import SplitData, TaskData


def both_orders(data: TaskData) -> TaskData:
    """Return the data with each row of a symmetric task twice, the second time in the other order.

    In each split all rows come as they are first, then in the other order. The data of other
    tasks stay as they are.
    """
    if not data.symmetric:
        return data
    partner = {a: b for pair in data.symmetric for a, b in (pair, pair[::-1])}
    return attrs.evolve(
        data, splits={name: _doubled(rows, partner) for name, rows in data.splits.items()}
    )


def _doubled(rows: SplitData, partner: Mapping[str, str]) -> SplitData:
    return attrs.evolve(
        rows,
        fields=_both(rows.fields, partner),
        texts=_both(rows.texts, partner),
        truth=np.concatenate([rows.truth, rows.truth]),
    )


def _both(
    columns: Mapping[str, Sequence[str]], partner: Mapping[str, str]
) -> dict[str, Sequence[str]]:
    return {name: [*values, *columns[partner.get(name, name)]] for name, values in columns.items()}


def mean_of_orders(prediction: np.ndarray, num_rows: int) -> np.ndarray:
    """Return the mean over the orders: `(orders * num_rows, outputs)` to `(num_rows, outputs)`."""
    if len(prediction) == num_rows:
        return prediction
    means: np.ndarray = prediction.reshape(-1, num_rows, prediction.shape[1]).mean(axis=0)
    return means
