"""Test rows by how well they are predicted."""

import numpy as np

from taglm_studies.report.facts import TaskFacts

NUM_BEST, NUM_WORST = 3, 6


def row_errors(task: TaskFacts) -> np.ndarray | None:
    """Return the error of each test row, NaN where it has none.

    Returns:
        float64 `(rows,)`: of numbers the absolute error (of several targets the mean over them, in
        standard deviations of the truth); of classes 1 minus the probability of the true class;
        None for texts, and where the files hold no predictions.
    """
    predicted = task.predicted()
    if task.kind == "text" or predicted is None or not task.num_rows:
        return None
    truth, values = np.asarray(task.truth()), np.asarray(predicted)
    if task.kind == "classification" and not task.is_multi_label:
        known = truth >= 0
        errors = np.full(len(truth), np.nan)
        errors[known] = 1 - values[known, truth[known]]
        return errors
    errors = np.abs(truth - values)
    if errors.shape[1] == 1:
        return np.asarray(errors[:, 0])
    if task.kind == "regression":
        spread = np.nanstd(truth, axis=0)
        errors = errors / np.where(spread > 0, spread, 1.0)
    is_known = np.isfinite(errors)
    sums = np.where(is_known, errors, 0.0).sum(axis=1)
    return np.asarray(
        np.where(is_known.any(axis=1), sums / np.maximum(is_known.sum(axis=1), 1), np.nan)
    )


def best_and_worst(task: TaskFacts) -> list[tuple[int, str]]:
    """Return the test rows that are predicted worst and best: (index, "worst" or "best")."""
    errors = row_errors(task)
    if errors is None:
        return []
    order = [int(i) for i in np.argsort(errors, kind="stable") if np.isfinite(errors[i])]
    worst = order[::-1][:NUM_WORST]
    best = [i for i in order[:NUM_BEST] if i not in worst]
    return [(i, "worst") for i in worst] + [(i, "best") for i in best]
