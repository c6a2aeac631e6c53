"""Numbers and classes as the text that a language model writes, and back."""

import math
import re
from collections.abc import Sequence

import numpy as np

from taglm_studies.study.rows import Rows

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UNKNOWN = "?"
_MOST_DECIMALS = 6
_SURE = 0.95
"""Probability of the class that was written; the others share the rest."""


def read_answer(rows: Rows, answer: str) -> float | None:
    """Return the number, the label or the index of the class that an answer begins with."""
    words = answer.strip()
    if rows.has_classes:
        fits = [k for k, name in enumerate(rows.classes) if words.startswith(name)]
        return max(fits, key=lambda k: len(rows.classes[k])) if fits else None
    found = _NUMBER.match(words)
    if found is None:
        return None
    value = float(found[0])
    if rows.multi_label:
        return value if value in (0.0, 1.0) else None
    return value if np.isfinite(value) and abs(value) < 1e12 else None


def probabilities(rows: Rows, truth: np.ndarray, value: float | None) -> np.ndarray:
    """Return nearly all for the class that was written, or the class frequencies for none."""
    counts = np.bincount(truth, minlength=len(rows.classes)).astype(float)
    if value is None:
        return np.asarray(counts / counts.sum())
    made = np.full(len(rows.classes), (1 - _SURE) / max(1, len(rows.classes) - 1))
    made[int(value)] = _SURE
    return np.asarray(made / made.sum())


def decimals_of(values: np.ndarray) -> int | None:
    """Return how many decimals tell values apart to a hundredth of their deviation.

    None where that takes so many that powers of ten are shorter.
    """
    spread = float(np.nanstd(values))
    if not spread:
        spread = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    wanted = max(0, math.ceil(-math.log10(spread / 100)))
    return wanted if wanted <= _MOST_DECIMALS else None


def write_answers(rows: Rows, split: str) -> list[str]:
    """Return the targets of a split as text, several of a row with commas; "?" is not known."""
    truth = rows.truth(split)
    if rows.has_classes:
        return [rows.classes[k] for k in truth]
    places: Sequence[int | None] = [0] * len(rows.names)
    if not rows.multi_label:
        train = rows.truth("train")
        places = [decimals_of(train[:, k]) for k in range(len(rows.names))]
    return [", ".join(map(_written, row, places)) for row in truth.tolist()]


def _written(value: float, decimals: int | None) -> str:
    if not math.isfinite(value):
        return _UNKNOWN
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def predictions_of(rows: Rows, answers: Sequence[str]) -> tuple[np.ndarray, int]:
    """Return the predictions that answers mean, and how many values could not be read.

    A value that cannot be read is the mean of the train split, or its class frequencies.

    Args:
        rows: What `write_answers` wrote the answers of the train split from.
        answers: One a row.
    """
    truth = rows.truth("train")
    made = np.zeros((len(answers), rows.num_outputs))
    unread = 0
    for i, answer in enumerate(answers):
        if rows.has_classes:
            value = read_answer(rows, answer)
            made[i], unread = probabilities(rows, truth, value), unread + (value is None)
            continue
        words = answer.split(",") + [_UNKNOWN] * len(rows.names)
        for k in range(len(rows.names)):
            value = read_answer(rows, words[k])
            made[i, k] = float(np.nanmean(truth[:, k])) if value is None else value
            unread += value is None
    return made, unread
