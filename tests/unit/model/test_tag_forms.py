"""Tags that act in the layers do so at their own tokens only, on every way through a model."""

import numpy as np
import pytest
import torch
from spans import THREE, TWO, build, reused, whole
from torch import nn

from taglm_core.errors import BackboneError
from taglm_core.model.assembly import join_rows
from taglm_core.model.collate import collate
from taglm_core.model.prefix_cache import PrefixCache, screening_batches
from taglm_core.model.tag_forms import ADAPTER, FORMS, inner_scales, inner_tensors
from taglm_core.model.tagged import LAST, Pooling, TaggedModel
from taglm_core.testing import tiny_backbone

TAG, LENGTH = "t/Value", 5
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def formed(variant="llama", template=TWO, size=0.5, precision="fp32"):
    """Return a model whose function tag acts in the layers, and rows; size 0: untrained."""
    model, rows = build(variant, template)
    model.backbone.use_precision(precision)
    inner = inner_tensors(model.backbone, ADAPTER, TAG, 2, seed=0)
    generator = torch.Generator().manual_seed(1)
    for value in inner.values() if size else ():
        value += size * torch.randn(value.shape, generator=generator)
    model.set_tag(TAG, model.tags[TAG].detach(), inner)
    return model, rows


@pytest.mark.parametrize("variant", ["llama", "gpt2", "gemma"])
@torch.no_grad()
def test_an_untrained_tag_changes_nothing(variant):
    """Step 0 of training is that of the input tag, to the last bit."""
    plain, rows = build(variant)
    model, _ = formed(variant, size=0)
    assert torch.equal(whole(model, rows), whole(plain, rows))


@pytest.mark.parametrize("template", [TWO, THREE])
@torch.no_grad()
def test_it_acts_at_its_own_tokens_only(template):
    """Everything before the tag keeps its states to the last bit; the tag's own tokens change."""
    plain, rows = build(template=template)
    model, _ = formed(template=template)
    batch = collate(rows, range(len(rows)), True)
    expected, found = plain.hidden_states(batch), model.hidden_states(batch)
    for row, start in enumerate(rows.suffix):
        assert torch.equal(found[row, :start], expected[row, :start])
        changed = (found[row, start : start + LENGTH] - expected[row, start : start + LENGTH]).abs()
        assert changed.amax(dim=1).min() > 1e-3


@pytest.mark.parametrize(
    ("variant", "template", "pooling"),
    [
        ("llama", TWO, LAST),
        ("llama", THREE, Pooling(LENGTH)),
        ("gpt_neox", TWO, Pooling(LENGTH)),
        ("qwen3", THREE, Pooling(LENGTH, True)),
    ],
)
@torch.no_grad()
def test_cached_segments_give_the_whole_result(variant, template, pooling):
    """Several inputs, each state that a head may read, with and without a segment of text."""
    model, rows = formed(variant, template)
    expected = whole(model, rows, pooling)
    torch.testing.assert_close(whole(model, rows, pooling, side="left"), expected, **CLOSE)
    for with_text in (True, False):
        found, store = reused(model, rows, pooling=pooling, with_text=with_text)
        torch.testing.assert_close(found, expected, **CLOSE)
        assert len(store.store) < store.segments.ids.size  # something was shared


@torch.no_grad()
def test_whole_prefixes_give_the_whole_result():
    """A backbone whose spans cannot be moved reuses whole beginnings."""
    model, rows = formed("gpt2")
    store = PrefixCache.on(model, 10**9).rows(rows, True, 8192)
    states, batch = store.states(np.arange(len(rows)))
    torch.testing.assert_close(LAST.of_states(states, batch.read), whole(model, rows), **CLOSE)


@torch.no_grad()
def test_a_grid_is_screened_alike():
    """Batches that share segments, as in screening, give what whole rows give."""
    model, rows = formed()
    store = PrefixCache.on(model, 10**9).screen(rows, True, 8192)
    store.prepare()
    expected = whole(model, rows)
    for batch in screening_batches(store, 64):
        states, suffixes = store.states(batch)
        found = LAST.of_states(states, suffixes.read)
        torch.testing.assert_close(found, expected[batch], **CLOSE)


@pytest.mark.parametrize("precision", ["int8", "nf4"])
@torch.no_grad()
def test_packed_weights_give_the_whole_result(precision):
    """The products of packed layers are fp32, so cached and whole rows agree as in fp32."""
    model, rows = formed(precision=precision)
    torch.testing.assert_close(reused(model, rows)[0], whole(model, rows), **CLOSE)


@torch.no_grad()
def test_bf16_stays_close():
    """Cached and whole rows differ less than bf16 does from fp32."""
    exact = whole(*formed())
    model, rows = formed(precision="bf16")
    rounded = whole(model, rows)
    found, _ = reused(model, rows)
    size = (rounded - exact).square().mean().sqrt()
    assert size > 1e-4 * exact.square().mean().sqrt()
    assert (found - rounded).square().mean().sqrt() < size


@pytest.mark.parametrize("checkpointing", ["off", "on", "auto"])
def test_gradients_are_those_of_whole_rows(checkpointing):
    """On cached segments, where layers are run again, and where that depends on a short row."""
    model, rows = formed()
    model.backbone.checkpoints.set("off")
    trained = [model.tags[TAG], *model.inner[TAG].values()]
    model.train_only(trained)
    weight = torch.randn(model.backbone.hidden_size, generator=torch.Generator().manual_seed(0))

    def gradients(states):
        for parameter in trained:
            parameter.grad = None
        (states @ weight).square().sum().backward()
        return [parameter.grad.clone() for parameter in trained]

    expected = gradients(whole(model, rows))
    assert all(float(grad.abs().max()) > 0 for grad in expected)
    model.backbone.checkpoints.set(checkpointing)
    other = reused(model, rows)[0] if checkpointing == "off" else whole(model, rows)
    for found, grad in zip(gradients(other), expected, strict=True):
        size = float(grad.abs().max())
        torch.testing.assert_close(found, grad, rtol=1e-3, atol=1e-3 * size)


@torch.no_grad()
def test_several_tags_act_each_in_its_own_way():
    """Rows of two function tags in one batch are computed as each of them alone."""
    model, rows = formed()
    inner = inner_tensors(model.backbone, ADAPTER, "t/Other", 2, seed=0)
    for place in inner:
        inner[place] += 0.1
    model.add_tag("t/Other", model.tags[TAG].detach(), inner)
    other = rows.select(range(len(rows)))
    start, moved = model.layout.tags[TAG][0], model.layout.tags["t/Other"][0]
    for k, ids in enumerate(other.ids):
        other.ids[k] = np.where(ids >= start, ids - start + moved, ids).astype(ids.dtype)
    both = whole(model, join_rows([rows, other]))
    torch.testing.assert_close(both[: len(rows)], whole(model, rows), **CLOSE)
    torch.testing.assert_close(both[len(rows) :], whole(model, other), **CLOSE)
    assert not torch.allclose(both[: len(rows)], both[len(rows) :], atol=1e-2)


def test_rates_follow_the_size_of_what_is_changed():
    """A map with larger weights gets larger updates; the first matrix starts at its own size."""
    small, large = tiny_backbone("llama"), tiny_backbone("llama")
    with torch.no_grad():
        large.base.get_submodule("layers.0.mlp.down_proj").weight.mul_(10)
    low = [inner_scales(b, inner_tensors(b, ADAPTER, TAG, 2, 0)) for b in (small, large)]
    place = "layers.0.mlp.down_proj"
    assert low[1][f"{place}.up"] == pytest.approx(10 * low[0][f"{place}.up"], rel=1e-3)
    assert low[1][f"{place}.down"] == low[0][f"{place}.down"] == pytest.approx(48**-0.5)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_trained_has_the_documented_size(form):
    """Two matrices of every linear map."""
    backbone = tiny_backbone("llama")
    count = sum(t.numel() for t in inner_tensors(backbone, form, TAG, 2, 0).values())
    maps = 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48))  # query, output; key, value; the mlp
    assert count == {"input": 0, ADAPTER: 2 * maps}[form]


def test_layers_that_are_not_found_are_named():
    """A model without one list of its layers takes input tags alone, and says so."""
    backbone = tiny_backbone("llama")
    layers = backbone.base.layers
    backbone.base.layers = nn.Sequential(*layers)
    with pytest.raises(BackboneError, match="2 layers are not in one list.*tag=input"):
        inner_tensors(backbone, ADAPTER, TAG, 2, 0)
    assert inner_tensors(backbone, "input", TAG, 2, 0) == {}


def test_a_pass_without_tags_is_left_alone():
    """Hooks of one model do nothing in passes of another on the same backbone."""
    model, rows = formed()
    plain = TaggedModel(model.backbone)
    for name, table in model.tables.items():
        plain.add_table(name, table.detach())
    for name, tag in model.tags.items():
        plain.add_tag(name, tag.detach())
    untouched, _ = build()
    with torch.no_grad():
        assert torch.equal(whole(plain, rows), whole(untouched, rows))
        assert not torch.allclose(whole(model, rows), whole(untouched, rows), atol=1e-2)
