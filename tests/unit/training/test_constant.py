"""A predictor that is worse than a constant says so, and a good one says nothing."""

import numpy as np
import pytest

from taglm_core.plugins.resolved import resolve_task
from taglm_core.specs import Classification, Regression, Task
from taglm_core.training.constant import worse_than_constant

PROMPT = "The string is <toy/Letters>{letters}. Its value is <T>"


@pytest.fixture
def resolve(toy_registry):
    """Return a function that resolves a task of a target."""

    def make(target):
        spec = Task(name="T", function_tag="T", template=PROMPT, target=target)
        return resolve_task(spec, "toy", toy_registry)

    return make


def test_regression_against_the_mean(resolve):
    """Errors beyond the mean's warn with both numbers; NaN predictions do, equal ones do not."""
    task = resolve(Regression(names=("y",)))
    train = np.arange(20.0)[:, None]
    truth = np.array([[0.0], [10.0], [19.0], [np.nan]])
    good, bad = truth + 1, np.array([[19.0], [10.0], [0.0], [0.0]])
    good[3] = 5.0
    constant = np.full_like(truth, train.mean())
    assert worse_than_constant(task, "test", train, truth, good) is None
    assert worse_than_constant(task, "test", train, truth, constant) is None
    said = worse_than_constant(task, "test", train, truth, bad)
    assert said.startswith("T is worse than the mean of the training rows on the test split")
    assert "2.69" in said
    assert "1.346" in said
    broken = np.where(np.isnan(truth), 0.0, np.nan)
    broken[:] = np.inf
    assert worse_than_constant(task, "valid", train, truth, broken) is not None


def test_classes_against_the_most_frequent(resolve):
    """Less often right and less likely warns; a ranker that is less often right does not."""
    task = resolve(Classification(names=("y",), classes=("a", "b")))
    train = np.array([0] * 9 + [1])
    truth = np.array([0, 0, 0, 0, 1])
    wrong = np.array([[0.1, 0.9]] * 4 + [[0.9, 0.1]])
    said = worse_than_constant(task, "valid", train, truth, wrong)
    assert "accuracy 0, but 0.8 with the most frequent class" in said
    ranks = np.array([[0.49, 0.51], [0.95, 0.05], [0.95, 0.05], [0.49, 0.51], [0.1, 0.9]])
    assert (ranks.argmax(axis=1) == truth).mean() < 0.8
    assert worse_than_constant(task, "valid", train, truth, ranks) is None
    assert worse_than_constant(task, "valid", train, truth, 1 - wrong) is None


def test_labels_against_the_most_frequent(resolve):
    """Missing labels count nowhere."""
    task = resolve(Classification(names=("p", "q"), multi_label=True))
    train = np.array([[1, 0]] * 9 + [[0, 1]])
    truth = np.array([[1, 0], [1, -1], [1, 0]])
    right = np.array([[0.9, 0.1]] * 3)
    assert worse_than_constant(task, "test", train, truth, right) is None
    said = worse_than_constant(task, "test", train, truth, 1 - right)
    assert "accuracy 0, but 1 with" in said
