"""Which GPU a process of several takes."""

import pytest
import torch

from taglm_core.training.processes import _own_gpu


@pytest.mark.parametrize(("seen", "index"), [(4, 3), (1, 0)])
def test_a_process_that_sees_one_gpu_takes_it(seen, index, monkeypatch):
    """Slurm's `--gpus-per-task 1` shows one GPU to each process, whatever its local rank."""
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    assert _own_gpu() == index
