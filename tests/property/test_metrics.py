"""Metrics of numbers: defined wherever the truth varies, which the look at the labels relies on."""

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from taglm_core.data import metrics
from taglm_core.data.columns import LARGEST

FINITE = st.floats(-LARGEST, LARGEST, allow_nan=False)
PAIRS = st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=8, unique_by=lambda pair: pair[1])
REGRESSION = [spec.name for spec in metrics.METRICS if spec.kind == "regression"]
CLASSIFICATION = [spec.name for spec in metrics.METRICS if spec.kind == "classification"]


@settings(max_examples=100)
@given(pairs=PAIRS)
def test_numbers_that_vary_can_be_judged(pairs):
    """Of predictions that differ from row to row, whatever the sizes of the numbers."""
    truth, predicted = np.array(pairs).T
    assume(metrics.varies(truth) and metrics.varies(predicted))
    scores = {name: getattr(metrics, name)(truth, predicted) for name in REGRESSION}
    assert not [name for name, value in scores.items() if math.isnan(value)]


@settings(max_examples=100)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.integers(0, 9))
def test_classes_that_vary_can_be_judged(truth, seed):
    """Two of the classes occur: each of them can be told from the others."""
    assume(metrics.varies(truth))
    num_classes = max(truth) + 1
    scores = np.random.default_rng(seed).random((len(truth), num_classes)) + 0.1
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    scores = {n: getattr(metrics, n)(np.array(truth), probabilities) for n in CLASSIFICATION}
    assert not [name for name, value in scores.items() if math.isnan(value)]


@given(FINITE, st.integers(1, 5))
def test_equal_numbers_do_not_vary(value, rows):
    """The mean of equal numbers may be rounded away from them."""
    assert not metrics.varies(np.full(rows, value))
