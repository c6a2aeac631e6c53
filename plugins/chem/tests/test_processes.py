"""Tests of batch functions run by worker processes."""

import logging
import sys

import numpy as np
import pytest

from taglm_chem import labels, molecules, processes, splits
from taglm_core.errors import DataError

ROWS = ["CCO", "c1ccccc1", "CC(=O)O", "CCN", "C1CCCCC1"]


@pytest.mark.parametrize(
    "function", [labels.logp_values, splits.scaffold_keys, molecules.canonical_or_none]
)
def test_workers_give_the_same_results_in_the_same_order(function, caplog):
    """The number of cores may not change a result; the workers, not a fallback, give it."""
    expected = function(ROWS)
    found = processes.run_rows(function, ROWS, workers=2)
    assert caplog.records == []
    assert type(found) is type(expected)
    np.testing.assert_array_equal(found, expected)


def test_few_rows_start_no_worker(monkeypatch):
    """Starting an interpreter for a handful of rows would cost more than it saves."""
    monkeypatch.setattr(processes, "_ask_worker", None)
    assert processes.run_rows(molecules.canonical_or_none, ROWS) == ROWS


def test_without_processes_the_work_is_done_here(monkeypatch, caplog):
    """Where no process can be started the result is the same, with one line about it."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with caplog.at_level(logging.WARNING):
        found = processes.run_rows(molecules.canonical_or_none, ROWS, workers=2)
    assert found == ROWS
    (record,) = caplog.records
    assert "using one core" in record.getMessage()


def test_an_error_in_a_worker_is_raised_as_it_would_be_here(caplog):
    """A bad row keeps its own message and row number, wherever it is met."""
    with pytest.raises(DataError, match="row 4: 'C1'"):
        processes.run_rows(labels.logp_values, ["C", "CC", "CCC", "C1"], workers=2)
