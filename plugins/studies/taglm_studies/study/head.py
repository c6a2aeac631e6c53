"""One head for all methods: ridge or logistic regression on states, alpha by validation."""

from collections.abc import Mapping

import numpy as np

from taglm_core import Classification, Regression, SplitData, TaskData
from taglm_core.errors import DataError
from taglm_studies.baselines import ridge_regression
from taglm_studies.study.rows import Rows

MOST_FIT = 20_000
"""Training rows that the head is fitted to."""


def fit_head(rows: Rows, states: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Fit the head to the states of the train split and predict the others.

    Args:
        rows: The rows.
        states: Split -> float32 `(rows, width)`; of train the first rows may be given alone.
        seed: Of folds where no validation split is there.

    Returns:
        Split (valid, test) -> predictions as taglm gives them: numbers `(rows, targets)`,
        probabilities `(rows, classes)` or `(rows, labels)`.
    """
    truth = {split: rows.truth(split)[: len(held)] for split, held in states.items()}
    if rows.has_classes:
        target = Classification(names=tuple(rows.names), classes=tuple(rows.classes))
        return _fit(rows.task, target, states, truth, seed)
    made = {split: np.full(values.shape, np.nan) for split, values in truth.items()}
    for k, name in enumerate(rows.names):  # each on the rows that have it
        known = {split: np.isfinite(values[:, k]) for split, values in truth.items()}
        own = {split: states[split][known[split]] for split in states}
        values = {split: truth[split][known[split], k : k + 1] for split in states}
        if rows.multi_label:
            single = Classification(names=(name,), multi_label=True, classes=("0", "1"))
            values = {split: v.astype(np.int64) for split, v in values.items()}
            found = _fit(rows.task, single, own, values, seed)
        else:
            found = _fit(rows.task, Regression(names=(name,)), own, values, seed)
        for split, predicted in found.items():
            made[split][known[split], k] = predicted[:, 0]
    return {split: values for split, values in made.items() if split != "train"}


def _fit(
    task: str,
    target: Regression | Classification,
    states: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    seed: int,
) -> dict[str, np.ndarray]:
    """Fit ridge or logistic regression as the baseline of that name does on features."""
    keys = {
        split: [f"{split}:{i}" for i in range(len(held))]
        for split, held in states.items()
        if len(held)
    }
    place = {key: states[split][i] for split, own in keys.items() for i, key in enumerate(own)}

    def look_up(wanted: object) -> np.ndarray:
        return np.stack([place[key] for key in wanted])  # type: ignore[attr-defined]

    data = TaskData(
        task=task,
        target=target,
        splits={
            split: SplitData(fields={"state": own}, truth=truth[split])
            for split, own in keys.items()
        },
        features={"state": look_up},
        seed=seed,
    )
    result = ridge_regression(data)
    if result is None:
        raise DataError(
            f"{task}: the train split has one class only, so no head can be fitted. Choose another "
            "split."
        )
    return {split: v for split, v in result.predictions.items() if split != "train"}
