"""Checks of event hooks: what they answer to an event made up here."""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from taglm_core.specs import Classification, Evaluated, Regression
from taglm_core.specs.events import Part
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.report import Rule, demand

_FORM = "{'references': {part: {name: {metric: number}}}}"


def answers_regression(subject: Subject) -> None:
    """An evaluated regression is answered with None or with references of plain numbers."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(60, 1))
    _check(subject, Regression(names=("y",)), truth, truth + rng.normal(size=(60, 1)))


def answers_classes(subject: Subject) -> None:
    """Evaluated classes are answered with None or with references of plain numbers."""
    truth = np.arange(60) % 2
    chance = np.random.default_rng(0).uniform(size=60)
    target = Classification(names=("y",), classes=("no", "yes"))
    _check(subject, target, truth, np.stack([1 - chance, chance], axis=1))


CHECKS = (Rule(answers_regression), Rule(answers_classes))


def _check(subject: Subject, target: Any, truth: np.ndarray, prediction: np.ndarray) -> None:
    """Send one event and look at what comes back."""
    assert subject.context.loaded is not None, "a hook is planned for a loaded plugin only"
    caller = subject.context.loaded.hooks["on_evaluated"]
    rows = [f"row {i} {'ab'[i % 2]}" for i in range(len(truth))]
    cuts = {"train": slice(0, 40), "valid": slice(40, 50), "test": slice(50, 60)}
    with tempfile.TemporaryDirectory() as folder:
        event = Evaluated(
            task="checked",
            target=target,
            parts={
                part: Part(
                    fields={"text": rows[cut]},
                    truth=truth[cut],
                    prediction=None if part == "train" else prediction[cut],
                )
                for part, cut in cuts.items()
            },
            features={"text": _features},
            score=_score,
            seed=0,
            folder=Path(folder),
        )
        answers = [value for value in caller(event=event) if value is not None]
    for answer in answers:
        _check_answer(answer, set(cuts))


def _check_answer(answer: Any, parts: set[str]) -> None:
    is_dict = isinstance(answer, dict) and isinstance(answer.get("references", {}), dict)
    demand(is_dict, f"`on_evaluated` returns {answer!r}; return None or {_FORM}.")
    for part, found in (answer.get("references") or {}).items():
        demand(part in parts, f"`on_evaluated` returns the part '{part}', which the event has not.")
        for name, metrics in found.items():
            for metric, value in metrics.items():
                demand(
                    isinstance(value, float | int | np.floating) and not math.isinf(value),
                    f"`on_evaluated` returns {value!r} as {part}.{name}.{metric}; return finite "
                    f"numbers (or NaN) as in {_FORM}.",
                )


def _features(rows: Any) -> np.ndarray:
    made = [[len(row), row.count("a"), row.count("b"), row.count("1")] for row in rows]
    return np.array(made, dtype=np.float32)


def _score(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    shape = prediction.shape if prediction.ndim == truth.ndim else truth.shape
    flat = prediction if prediction.shape == shape else prediction.argmax(axis=1)
    return {"mae": float(np.abs(flat - truth).mean())}
