"""The largest memory of the process while something runs."""

import sys

import numpy as np
import pytest

from taglm_core.training import peak_memory as module
from taglm_core.training.peak_memory import peak_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_memory_that_was_freed_counts():
    """What was held in between and given back is the peak; a later block begins anew."""
    with peak_memory() as small:
        pass
    with peak_memory() as large:
        held = np.ones(1 << 25)  # 256 MB
        del held
    with peak_memory() as after:
        pass
    assert large.num_bytes - small.num_bytes > 200e6
    assert large.num_bytes - after.num_bytes > 200e6


def test_unknown_where_the_system_does_not_tell(monkeypatch, tmp_path):
    """Without /proc there is no number, rather than a wrong one."""
    monkeypatch.setattr(module, "_RESET", tmp_path / "absent" / "clear_refs")
    with peak_memory() as peak:
        pass
    assert peak.num_bytes is None
