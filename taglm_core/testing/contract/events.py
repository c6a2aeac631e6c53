"""Checks of event hooks: what they answer to an event made up here."""

import tempfile
from pathlib import Path

import attrs
import numpy as np

from taglm_core.specs import Evaluated, TaskData
from taglm_core.testing.contract import made_up
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import demand
from taglm_core.testing.contract.report import Rule


def hears_regression(subject: Subject) -> None:
    """An evaluated regression is heard without an error, and nothing is returned."""
    data = made_up.regression_task()
    _send(subject, data, {name: rows.truth + 1.0 for name, rows in data.splits.items()})


def hears_classes(subject: Subject) -> None:
    """Evaluated classes are heard without an error, and nothing is returned."""
    data = made_up.classification_task()
    _send(subject, data, {name: np.eye(2)[rows.truth] for name, rows in data.splits.items()})


CHECKS = (Rule(hears_regression), Rule(hears_classes))


def _send(subject: Subject, data: TaskData, predictions: dict[str, np.ndarray]) -> None:
    """Send one event and demand that nothing comes back."""
    assert subject.context.loaded is not None, "a hook is planned for a loaded plugin only"
    caller = subject.context.loaded.hooks["on_evaluated"]
    splits = {
        name: attrs.evolve(rows, prediction=None if name == "train" else predictions[name])
        for name, rows in data.splits.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        event = Evaluated(
            task=data.task,
            target=data.target,
            splits=splits,
            baselines={"test": {"mean": {"mae": 1.0}}},
            features=data.features,
            score=made_up.score,
            seed=0,
            folder=Path(folder),
        )
        answers = [value for value in caller(event=event) if value is not None]
    demand(
        not answers,
        f"`on_evaluated` returns {answers[:1]}; return None. Methods to compare with are "
        "registered with `register_baselines`.",
    )
