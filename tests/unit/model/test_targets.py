"""Targets and outputs become each other in one place, and back again without loss."""

import numpy as np
import pytest
import torch

from taglm_core.model.targets import (
    Scaling,
    loss_targets,
    num_outputs,
    predictions,
    ridge_targets,
)
from taglm_core.specs import Classification, Regression, Text

NUMBERS = np.array([[1.0, 2e-9], [3.0, 5e-9], [8.0, np.nan]])


def test_numbers_come_back_in_the_users_units():
    """Standardized targets taken as outputs give the numbers themselves; a gap stays one."""
    target = Regression(names=("x", "y"))
    scaling = Scaling.of_targets(NUMBERS)
    wanted = loss_targets(target, scaling, NUMBERS)
    assert wanted.dtype == torch.float32
    assert ridge_targets(target, wanted, 0) is wanted
    assert torch.nanmean(wanted, dim=0).abs().max() < 1e-6
    np.testing.assert_allclose(predictions(target, scaling, wanted), NUMBERS, rtol=1e-6)


def test_a_censored_prediction_stays_above_its_limit():
    """Far below the limit the mean of what is seen is the limit."""
    target = Regression(names="x", censored_below=2.0)
    values = np.array([[2.0], [2.0], [4.0], [9.0]])
    scaling = Scaling.of_targets(values, target.censored_below)
    given = predictions(target, scaling, torch.tensor([[-50.0], [0.0], [50.0]]))
    assert given[0, 0] == pytest.approx(2.0)
    assert (np.diff(given[:, 0]) > 0).all()


def test_classes_are_indices_probabilities_and_numbers_around_zero():
    """The closed form's targets of a row add up to 0, and so point at its class."""
    target, scaling = Classification(names="kind"), Scaling.plain(3)
    wanted = loss_targets(target, scaling, [2, 0, 1])
    assert wanted.dtype == torch.int64
    ridge = ridge_targets(target, wanted, 3)
    assert ridge.argmax(dim=1).tolist() == [2, 0, 1]
    assert ridge.sum(dim=1).abs().max() < 1e-6
    given = predictions(target, scaling, 5 * ridge)
    np.testing.assert_allclose(given.sum(axis=1), 1.0)
    assert given.argmax(axis=1).tolist() == [2, 0, 1]


def test_labels_keep_their_gaps():
    """A label that a row lacks is NaN in the loss, and every label has its own probability."""
    target, scaling = Classification(names=("a", "b"), multi_label=True), Scaling.plain(2)
    wanted = loss_targets(target, scaling, np.array([[1, 0], [-1, 1]]))
    assert wanted[1].isnan().tolist() == [True, False]
    assert ridge_targets(target, wanted, 2)[0].tolist() == [0.5, -0.5]
    given = predictions(target, scaling, torch.tensor([[9.0, -9.0]]))
    assert given[0, 0] > 0.99 > 0.01 > given[0, 1]


def test_the_width_of_a_head():
    """One output a number, a label or a class; none for text."""
    assert num_outputs(Regression(names=("x", "y")), ()) == 2
    assert num_outputs(Classification(names="kind"), ("a", "b", "c")) == 3
    assert num_outputs(Classification(names=("a", "b"), multi_label=True), ("0", "1")) == 2
    assert num_outputs(Text(), ()) == 0
