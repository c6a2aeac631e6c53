"""Layers that are run again give the same gradient, keep less, and never drop anything out."""

import pytest
import torch
from allocations import LiveBytes

from taglm_core.errors import BackboneError
from taglm_core.model import checkpointing
from taglm_core.model.checkpointing import saved_bytes
from taglm_core.testing import tiny_backbone
from taglm_core.testing.tiny import ARCHITECTURES

SHAPE = (3, 24)


def inputs(backbone, shape=SHAPE):
    """Return random embeddings that need a gradient, and positions."""
    generator = torch.Generator().manual_seed(1)
    embedded = torch.randn(*shape, backbone.hidden_size, generator=generator)
    return embedded.requires_grad_(True), torch.arange(shape[1]).expand(shape)


def gradient(backbone, mask=None):
    """Return hidden states and the gradient that reaches the embeddings."""
    embedded, positions = inputs(backbone)
    states = backbone.hidden_states(embedded, mask, positions)
    states.square().sum().backward()
    return states.detach(), embedded.grad


def calls_of_first_layer(backbone):
    """Count how often the first layer attends."""
    count = []
    layer = next(m for n, m in backbone.base.named_modules() if n.endswith(("attn", "attention")))
    layer.register_forward_hook(lambda *_: count.append(layer.training))
    return count


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("isolated", [False, True])
def test_the_gradient_is_the_same(architecture, isolated):
    """Training a tag in less memory must train the same tag."""
    backbone = tiny_backbone(architecture)
    mask = None
    if isolated:
        lowest = torch.finfo(torch.float32).min
        mask = torch.full((SHAPE[1], SHAPE[1]), lowest).triu(1).expand(3, 1, -1, -1).clone()
        mask[:, :, 12:, :5] = lowest
    backbone.checkpoints.set("off")
    states, expected = gradient(backbone, mask)
    count = calls_of_first_layer(backbone)
    backbone.checkpoints.set("on")
    again, found = gradient(backbone, mask)
    assert count == [False, False]  # run twice, in evaluation mode both times
    assert torch.equal(again, states)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert not any(module.training for module in backbone.model.modules())


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "opt"])
def test_no_dropout_is_active(architecture, monkeypatch):
    """A layer that looks at its own mode finds evaluation, though the library needs training."""
    monkeypatch.setitem(
        ARCHITECTURES,
        "opt",
        (
            "opt",
            {
                "vocab_size": 260,
                "hidden_size": 32,
                "word_embed_proj_dim": 32,
                "ffn_dim": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": 256,
            },
        ),
    )
    dropout = {"gpt2": {"resid_pdrop": 0.5, "attn_pdrop": 0.5, "embd_pdrop": 0.5}}
    changes = dropout.get(architecture, {"attention_dropout": 0.5})
    changes = {**changes, "dropout": 0.5} if architecture == "opt" else changes
    backbone = tiny_backbone(architecture, **changes)
    backbone.checkpoints.set("off")
    states, expected = gradient(backbone)
    backbone.checkpoints.set("on")
    again, found = gradient(backbone)
    assert torch.equal(again, states)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_the_peak_of_a_step_is_smaller():
    """Eight layers keep one layer's activations and eight inputs instead of everything."""
    backbone = tiny_backbone("llama", num_hidden_layers=8)
    peaks = {}
    for setting in ("off", "on"):
        backbone.checkpoints.set(setting)
        embedded, positions = inputs(backbone, (4, 64))
        with LiveBytes() as live:
            backbone.hidden_states(embedded, None, positions).square().sum().backward()
        peaks[setting] = live.peak
    assert peaks["on"] < 0.4 * peaks["off"]


def test_what_a_token_keeps_is_counted():
    """The estimate that decides is linear in tokens and in layers, and knows checkpointing."""
    backbone = tiny_backbone("llama")

    def kept(held, shape):
        embedded, positions = inputs(held, shape)
        return saved_bytes(held.model, lambda: held.hidden_states(embedded, None, positions))

    once = kept(backbone, (1, 16))
    assert kept(backbone, (1, 64)) == pytest.approx(4 * once, rel=0.1)
    # of a layer at least q, k, v, the result, two norms and the two arms of the feed-forward split
    assert once > 2 * 16 * 4 * (32 + 16 + 16 + 32 + 2 * 32 + 2 * 48)
    deep = tiny_backbone("llama", num_hidden_layers=6)
    assert 2.2 * once < kept(deep, (1, 16)) < 3.1 * once
    deep.checkpoints.set("on")
    assert kept(deep, (1, 16)) < once


def test_auto_looks_at_the_free_memory(monkeypatch):
    """Only batches that would take more than half of it are run again."""
    backbone = tiny_backbone("llama")
    assert backbone.checkpoints.setting == "auto"
    count = calls_of_first_layer(backbone)
    gradient(backbone)
    assert len(count) == 2  # the short row that was tried, and the batch
    count.clear()
    monkeypatch.setattr(checkpointing, "free_bytes", lambda device: 100_000)
    gradient(backbone)
    assert len(count) == 2  # the batch and its second run
    count.clear()
    with torch.no_grad():
        backbone.hidden_states(*[inputs(backbone)[0], None, inputs(backbone)[1]])
    assert len(count) == 1


def test_a_cache_is_filled_as_ever():
    """The library drops a cache under checkpointing; taglm's own passes with one do without it."""
    from transformers import DynamicCache

    backbone = tiny_backbone("llama")
    backbone.checkpoints.set("on")
    embedded, positions = inputs(backbone)
    cache = DynamicCache()
    backbone.hidden_states(embedded, None, positions, cache)
    assert cache.get_seq_length() == SHAPE[1]


def test_a_model_that_cannot_is_refused():
    """What was asked for by name is not left out in silence."""
    backbone = tiny_backbone("llama")
    type_of = type(backbone.model)
    backbone.model.__class__ = type("Other", (type_of,), {"supports_gradient_checkpointing": False})
    with pytest.raises(BackboneError, match="checkpointing=off"):
        backbone.checkpoints.set("on")


@pytest.mark.parametrize(("given", "expected"), [(True, "on"), (False, "off"), ("auto", "auto")])
def test_yaml_words_are_understood(given, expected):
    """A bare on is true in YAML."""
    assert checkpointing.switch(given) == expected
