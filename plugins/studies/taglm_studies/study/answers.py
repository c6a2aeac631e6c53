"""Numbers and classes as the text that a language model writes, and back."""

import re
from collections.abc import Sequence

import numpy as np

from taglm_core import Classification, Regression
from taglm_core.plugin import answer_texts
from taglm_studies.study.rows import Rows

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_UNKNOWN = "?"
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


def write_answers(rows: Rows, split: str) -> list[str]:
    """Return the targets of a split as text, several of a row with commas; "?" is not known."""
    truth = rows.truth(split)
    if rows.kind == "classification":
        target = Classification(names=rows.names, multi_label=rows.multi_label)
        known = np.where(np.isfinite(truth), truth, -1)
        return answer_texts(target, known.astype(np.int64), rows.classes)
    return answer_texts(Regression(names=rows.names), truth, like=rows.truth("train"))


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
