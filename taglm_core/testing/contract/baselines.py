"""Checks of baselines: shapes, splits, repeatability, and that the test split is not fitted."""

import attrs
import numpy as np

from taglm_core.errors import ShapeError
from taglm_core.specs import BaselineResult, TaskData
from taglm_core.specs.reference import resolve
from taglm_core.testing.contract import made_up
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import NotApplicable, demand
from taglm_core.testing.contract.report import Rule
from taglm_core.training.baselines import checked_prediction


def predicts_regression(subject: Subject) -> None:
    """A regression is predicted in the shape of its targets, with finite numbers."""
    _check_shapes(subject, made_up.regression_task())


def predicts_classes(subject: Subject) -> None:
    """Classes are predicted as probabilities `(rows, classes)`."""
    _check_shapes(subject, made_up.classification_task())


def repeatable(subject: Subject) -> None:
    """The same rows and seed give the same predictions."""
    first, second = (_predictions(subject, _task(subject)) for _ in range(2))
    for split, values in first.items():
        demand(
            np.array_equal(values, second[split]),
            "two calls give different predictions; draw random numbers from `data.seed`.",
        )


def ignores_test(subject: Subject) -> None:
    """Other values in the test split change no prediction."""
    data = _task(subject)
    test = data.splits["test"]
    flipped = 1 - test.truth if test.truth.dtype.kind == "i" else test.truth * 7 + 5
    other = {**data.splits, "test": attrs.evolve(test, truth=flipped)}
    first = _predictions(subject, data)
    second = _predictions(subject, attrs.evolve(data, splits=other, shared={}))
    for split, values in first.items():
        demand(
            np.array_equal(values, second[split]),
            f"the predictions of {split} change with the truth of test. Fit train only.",
        )


CHECKS = (
    Rule(predicts_regression, lambda s: "regression" in s.spec.kinds),
    Rule(predicts_classes, lambda s: "classification" in s.spec.kinds),
    Rule(repeatable),
    Rule(ignores_test),
)


def _task(subject: Subject) -> TaskData:
    """Return a fresh task of a kind that the baseline can predict."""
    is_regression = "regression" in subject.spec.kinds
    return made_up.regression_task() if is_regression else made_up.classification_task()


def _predictions(subject: Subject, data: TaskData) -> dict[str, np.ndarray]:
    result = resolve(subject.spec.function, f"baseline {subject.item.name}")(data)
    if result is None:
        raise NotApplicable("the baseline finds nothing to fit in the rows of this check")
    demand(
        isinstance(result, BaselineResult),
        f"`function` gives {type(result).__name__}; return a taglm.BaselineResult or None.",
    )
    return {split: np.asarray(values) for split, values in result.predictions.items()}


def _check_shapes(subject: Subject, data: TaskData) -> None:
    predictions = _predictions(subject, data)
    demand(
        {"valid", "test"} <= set(predictions) <= set(data.splits),
        f"the splits {sorted(predictions)} are predicted; give valid and test, and train if it is "
        "meaningful.",
    )
    for split, values in predictions.items():
        try:
            checked_prediction(values, data, split)
        except ShapeError as error:
            demand(False, f"{split}: {error}.")
