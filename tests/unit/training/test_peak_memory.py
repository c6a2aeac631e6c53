"""The largest memory of the process while something runs, and since it began."""

import sys
import threading

import numpy as np
import pytest

from taglm_core.training import peak_memory as module
from taglm_core.training.peak_memory import noted_peak, peak_memory, process_peak

SIZE = 1 << 25
"""Numbers of 8 bytes: 256 MB."""


def taken_and_given_back():
    """Hold 256 MB for a moment."""
    held = np.ones(SIZE)
    del held


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux notes the largest")
def test_memory_that_was_freed_counts():
    """What was held in between and given back is the peak; a later block begins anew."""
    with peak_memory() as small:
        pass
    with peak_memory() as large:
        taken_and_given_back()
    with peak_memory() as after:
        pass
    assert large.num_bytes - small.num_bytes > 200e6
    assert large.num_bytes - after.num_bytes > 200e6


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux notes the largest")
def test_a_block_within_a_block_takes_nothing_from_it(monkeypatch):
    """A study measures a run that measures its stages: none resets the peak of the others."""
    monkeypatch.setattr(module._process, "num_bytes", 0)
    with peak_memory() as outer:
        taken_and_given_back()
        with peak_memory() as inner:
            pass
    assert outer.num_bytes - inner.num_bytes > 200e6
    assert process_peak() >= outer.num_bytes


def test_elsewhere_the_memory_is_looked_at(monkeypatch, tmp_path):
    """Where nothing is noted, what a block holds for a while is found all the same."""
    monkeypatch.setattr(module, "_RESET", tmp_path / "absent" / "clear_refs")
    monkeypatch.setattr(module, "_EVERY", 0.001)
    sizes, looked = [6, 7, 5], threading.Event()

    def resident():
        if len(sizes) == 1:
            looked.set()
        return sizes.pop(0) if len(sizes) > 1 else sizes[0]

    monkeypatch.setattr(module, "_resident", resident)
    with peak_memory() as peak:
        assert looked.wait(10)
    assert peak.num_bytes == 7


def test_the_peak_of_the_process_is_known_without_proc(monkeypatch, tmp_path):
    """The report of a run names it on every system but Windows."""
    monkeypatch.setattr(module, "_STATUS", tmp_path / "absent")
    assert noted_peak() is None
    assert process_peak() > 10e6
