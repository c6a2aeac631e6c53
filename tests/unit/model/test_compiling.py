"""torch.compile is used for whole rows alone, gives the same, and says what it needs."""

import numpy as np
import pytest
import torch

from taglm_core.errors import BackboneError
from taglm_core.model import backbone as backbone_module
from taglm_core.testing import tiny_backbone


@pytest.fixture
def compiled(monkeypatch):
    """Return a backbone compiled by a backend that only follows the graph, and its calls."""
    calls = []

    def backend(graph, example):
        def run(*args):
            calls.append(graph)
            return graph.forward(*args)

        return run

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: real(module, backend=backend))
    monkeypatch.setattr(backbone_module.shutil, "which", lambda name: f"/bin/{name}")
    made = tiny_backbone("llama")
    made.compile()
    return made, calls


def test_whole_rows_run_compiled_and_give_the_same(compiled):
    """States and gradients are those of the plain module, at several lengths."""
    backbone, calls = compiled
    plain = tiny_backbone("llama")
    for shape in ((2, 12), (3, 20)):
        values = torch.randn(*shape, 32, generator=torch.Generator().manual_seed(0))
        found = []
        for each in (backbone, plain):
            embedded = values.clone().requires_grad_(True)
            states = each.hidden_states(embedded, None, torch.arange(shape[1]).expand(shape))
            states.square().sum().backward()
            found.append((states.detach().numpy(), embedded.grad.numpy()))
        np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-3)
    assert calls


def test_passes_on_kept_blocks_run_as_they_are(compiled):
    """Their attention is taglm's own, which changes from pass to pass."""
    backbone, calls = compiled
    embedded = torch.zeros(1, 4, 32)
    backbone.hidden_states(embedded, None, torch.arange(4)[None], may_run_again=False)
    assert not calls


def test_a_missing_compiler_is_said_before_anything_is_trained(monkeypatch):
    """The message names what to install."""
    monkeypatch.setattr(backbone_module.shutil, "which", lambda name: None)
    with pytest.raises(BackboneError, match="g\\+\\+ or clang"):
        tiny_backbone("llama").compile()
