"""Checks of loggers: one takes steps and ends, with results and without."""

import tempfile
from pathlib import Path

from taglm_core.specs.reference import resolve
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import NotApplicable, demand
from taglm_core.testing.contract.report import Rule

_SETTINGS = {"task.name": "T", "stages.task.epochs": 2.0, "data.file": None}


def described(subject: Subject) -> None:
    """The logger says what it writes and where."""
    demand(bool(subject.spec.description.strip()), "`description` is empty; say where it writes.")


def steps_taken(subject: Subject) -> None:
    """A run is logged twice into one folder: one that is interrupted, then one with results."""
    reason = subject.spec.why_not()
    if reason is not None:
        raise NotApplicable(reason)
    factory = resolve(subject.spec.open, f"logger {subject.item.name}")
    with tempfile.TemporaryDirectory() as folder:
        for results in (None, {"T-results/test_mae": 0.5}):
            writer = factory(Path(folder), _SETTINGS)
            for method in ("log", "close"):
                demand(
                    callable(getattr(writer, method, None)),
                    f"`open` gives {type(writer).__name__}, which has no method `{method}`.",
                )
            writer.log("T", 0, {"valid_mae": 1.0})
            writer.log("T", 1, {"train_loss": 0.25, "learning_rate": 1e-3})
            writer.log("T", 1, {})
            writer.close(results)


CHECKS = (Rule(described), Rule(steps_taken))
