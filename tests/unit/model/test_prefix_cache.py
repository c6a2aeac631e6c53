"""Cached segments give what whole rows give, on every rotary layout, or are not used."""

import numpy as np
import pytest
import torch
from spans import ROPE, ROWS, THREE, TWO, VARIANTS, build, reused, whole
from toy_plugin import DigitsEncoder, LettersEncoder

from taglm_core.encoders import TextEncoder
from taglm_core.model.assembly import Assembler
from taglm_core.model.collate import collate
from taglm_core.model.prefix_cache import PrefixCache, cost_model, screening_batches
from taglm_core.model.prefix_cache.rotary import Rotation, find_rotation
from taglm_core.model.tagged import pick
from taglm_core.specs.prompt import parse_template
from taglm_core.testing import tiny_backbone


@pytest.mark.parametrize("template", [TWO, THREE])
@pytest.mark.parametrize("variant", VARIANTS)
def test_kept_spans_give_the_whole_result(variant, template):
    """The saving must not change a prediction on any rotary scaling or grouping of heads."""
    model, rows = build(variant, template)
    with torch.no_grad():
        expected = whole(model, rows)
        for with_text in (True, False):
            found, store = reused(model, rows, with_text=with_text)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
            assert store.num_cached == len(rows)
            assert len(store.store) < store.segments.ids.size  # something was shared


@pytest.mark.parametrize("limit", [0, 40_000])
def test_what_does_not_fit_is_computed_again(limit):
    """A small limit is kept to, and the result stays."""
    model, rows = build()
    with torch.no_grad():
        found, store = reused(model, rows, limit)
        torch.testing.assert_close(found, whole(model, rows), rtol=1e-4, atol=1e-4)
    assert store.num_bytes <= limit
    assert store.num_cached < len(rows)
    assert (store.num_bytes > 0) is (limit > 0)


@pytest.mark.parametrize("limit", [0, 10**9])
def test_a_span_may_stand_in_any_place_of_another_row(limit):
    """The same span as the second of one row and the third of another is one segment."""
    fields = {**ROWS, "other": [*ROWS["letters"][1:], "abba"]}
    template = "<Digits>{digits}<Letters>{letters} then <Letters>{other}; {note}<Value>"
    model, rows = build(template=template, fields=fields)
    with torch.no_grad():
        found, store = reused(model, rows, limit)
        torch.testing.assert_close(found, whole(model, rows), rtol=1e-4, atol=1e-4)
    second, third = store.segments.ids[:, 1], store.segments.ids[:, 3]
    assert set(second) == set(third)


def test_a_bos_belongs_to_its_span():
    """Where each span begins with the sink, its own pass does too."""
    model, rows = build(adds_bos=True)
    with torch.no_grad():
        found, _ = reused(model, rows)
        torch.testing.assert_close(found, whole(model, rows), rtol=1e-4, atol=1e-4)


def test_a_span_is_computed_once_wherever_it_stands():
    """Rows with the same second span at other places look at one segment."""
    model, rows = build()
    _, store = reused(model, rows)
    spans = store.segments.ids[:, 1]
    assert len(np.unique(spans)) == 3
    same = np.flatnonzero(spans == spans[0])
    assert len(same) > 1
    assert len({int(store.segments.boundaries[row, 1]) for row in same}) > 1


@pytest.mark.parametrize("with_text", [True, False])
@pytest.mark.parametrize("variant", ["llama", "qwen2 yarn", "gpt_neox"])
def test_gradients_are_those_of_whole_rows(variant, with_text):
    """A step on cached segments must move the function tag as a whole step would."""
    model, rows = build(variant)
    tag = model.tags["t/Value"]
    model.train_only([tag])
    torch.manual_seed(0)
    weight = torch.randn(model.backbone.hidden_size)
    (whole(model, rows) @ weight).square().sum().backward()
    expected = tag.grad.clone()
    tag.grad = None
    found, _ = reused(model, rows, with_text=with_text)
    (found @ weight).square().sum().backward()
    torch.testing.assert_close(
        tag.grad, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())
    )


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_reading_in_place_and_padded_agree(device_type, monkeypatch):
    """Both ways of reading a column give the same; a GPU pads all, which is tried here too."""
    from taglm_core.model.prefix_cache import cached_rows

    model, rows = build(template=THREE)
    monkeypatch.setattr(cached_rows, "_SHARED_WORK", 1 if device_type == "cpu" else 10**9)
    with torch.no_grad():
        found, _ = reused(model, rows)
        torch.testing.assert_close(found, whole(model, rows), rtol=1e-4, atol=1e-4)


def test_half_precision_stays_close():
    """In bf16 kept segments and whole rows differ less than bf16 does from fp32."""
    model, rows = build()
    with torch.no_grad():
        exact = whole(model, rows)
        model.backbone.use_bf16()
        rounded = whole(model, rows)
        found, store = reused(model, rows)
    assert store.num_bytes == int(store.segments.sizes.sum()) * 2 * 2 * 2 * 8 * 4
    size = (rounded - exact).square().mean().sqrt()
    assert size > 1e-4 * exact.square().mean().sqrt()
    assert (found - rounded).square().mean().sqrt() < size


def test_the_probe_accepts_rotary_backbones():
    """What is found out at load is the rotation itself."""
    model, _ = build()
    cache = PrefixCache.on(model, 10**6)
    assert isinstance(cache.rotation, Rotation)
    assert cache.reason == ""


def test_absolute_positions_fall_back_to_whole_prefixes():
    """GPT-2 gives equal results too; only its spans are not shared between rows."""
    model, rows = build("gpt2")
    cache = PrefixCache.on(model, 10**9)
    assert cache.rotation is None
    assert cache.reason == "its positions are not rotary"
    store = cache.rows(rows, True, 8192)
    assert store.segments.kinds == ("first",)
    with torch.no_grad():
        states, batch = store.states(np.arange(len(rows)))
        found = pick(states, batch.read)
        torch.testing.assert_close(found, whole(model, rows), rtol=1e-4, atol=1e-4)


def test_frequencies_that_depend_on_the_length_are_refused():
    """A dynamic scaling turns keys of long inputs otherwise than those of short spans."""
    rope = {"rope_type": "dynamic", "factor": 4.0, **ROPE}
    backbone = tiny_backbone("llama", rope_parameters=rope)
    assert "'dynamic' changes with the length" in find_rotation(backbone)


def test_a_wrong_rotation_is_found_out(monkeypatch):
    """The probe runs the backbone; frequencies that are not its own fail it, with a reason."""
    from taglm_core.model.prefix_cache import cache as cache_module

    model, _ = build()
    wrong = Rotation(find_rotation(model.backbone).frequencies * 1.5)
    monkeypatch.setattr(cache_module, "find_rotation", lambda backbone: wrong)
    cache = PrefixCache.on(model, 10**6)
    assert cache.rotation is None
    assert "reads differently at another place" in cache.reason
    assert cache.is_exact


def test_screening_shares_between_batches_and_drops_what_is_done():
    """A grid needs each span once; segments of earlier rows do not pile up."""
    model, _ = build()
    letters = [row for row in ("abc", "cab" * 20, "b") for _ in range(4)]
    digits = ["1" * n for n in (2, 30, 41, 55)] * 3
    rows = assemble_again(model, letters, digits)
    cache = PrefixCache.on(model, 10**9)
    store = cache.screen(rows, True, 8192)
    store.prepare()
    spans = len(np.unique(store.segments.ids))
    assert len(cache.store) == spans == 7
    with torch.no_grad():
        expected = whole(model, rows)
        for batch in screening_batches(store, 64):
            states, suffixes = store.states(batch)
            torch.testing.assert_close(
                pick(states, suffixes.read), expected[batch], rtol=1e-4, atol=1e-4
            )
    held = cache.store.num_bytes
    other = assemble_again(model, [row[::-1] + "a" for row in letters], digits)
    cache.screen(other, True, 8192).prepare()
    assert cache.store.num_bytes < 1.2 * held


def test_tokens_of_screening_are_counted_once_where_they_recur():
    """A row alone costs its tokens, a second one like it what stands behind its last span."""
    model, _ = build()
    rows = assemble_again(model, ["abc" * 9] * 2, ["1" * 20] * 2)
    cache = PrefixCache.on(model, 10**9)
    length = int(rows.lengths[0])
    behind = length - 1 - int(np.flatnonzero(rows.spans[0])[-1])
    assert cache.screened_tokens(rows.select([0]), True) == length
    assert cache.screened_tokens(rows, True) == length + behind
    # with causal attention a span is not the same elsewhere, but equal beginnings are
    assert cache.screened_tokens(rows, False) == length + behind
    assert PrefixCache.on(model, 0).screened_tokens(rows, True) == 2 * length


def assemble_again(model, letters, digits, template=TWO):
    """Assemble other rows of the first template on a model."""
    names = {"Letters": "t/Letters", "Digits": "t/Digits"}
    assembler = Assembler(
        layout=model.layout,
        prompt=parse_template(template, "Value"),
        text=TextEncoder(model.backbone.tokenizer),
        encoders={"t/Letters": LettersEncoder(), "t/Digits": DigitsEncoder()},
        domain_of=names,
        tag_of=names,
        function_tag="t/Value",
        is_isolated=True,
    )
    return assembler.assemble({"letters": letters, "digits": digits})


def test_rows_that_share_nothing_are_not_screened_on_blocks():
    """The plan says no cache where it would not pay."""
    model, _ = build()
    rows = assemble_again(model, ["abc", "b" * 9], ["1", "0" * 17])
    said = []
    cache = PrefixCache.on(model, 10**9)
    cache.on_plan = said.append
    assert cache.screen(rows, True, 8192) is None
    assert said[0].startswith("reuse: none, since what recurs in 2 rows would save only")


@pytest.mark.parametrize("template", [TWO, "A string <Letters>{letters} is so. And so <Value>"])
def test_what_training_cached_is_used_for_scoring(template, monkeypatch):
    """Rows that share nothing are not computed again while their segments are held."""
    model, _ = build()
    rows = assemble_again(model, ["abc" * 9, "b" * 30], ["1" * 20, "0" * 17], template)
    cache = PrefixCache.on(model, 10**9)
    cache.rows(rows, True, 8192).fill()
    assert cache.screen(rows, True, 8192) is None  # the last digits are worth more than so little
    monkeypatch.setattr(cost_model, "_WORTH_HOLDING", 0)
    store = cache.screen(rows, True, 8192)
    assert store is not None
    store.prepare()
    assert store.num_cached == len(rows)
    with torch.no_grad():
        states, suffixes = store.states(range(len(rows)))
        read = pick(states, suffixes.read)
        torch.testing.assert_close(read, whole(model, rows), rtol=1e-4, atol=1e-4)


def test_attention_is_given_back_to_the_backbone():
    """After a run on segments, and after one that fails, the backbone attends as before."""
    model, rows = build()
    before = model.backbone.model.config._attn_implementation
    with torch.no_grad():
        reused(model, rows)
    assert model.backbone.model.config._attn_implementation == before


def test_outputs_of_different_length_run_on_kept_prefixes():
    """In causal mode the prefix is one segment, and the tokens of the output see all of it."""
    model, _ = build()
    assembler = Assembler(
        layout=model.layout,
        prompt=parse_template("Say <Letters>{letters} as <Value>{answer}", "Value", True),
        text=TextEncoder(model.backbone.tokenizer),
        encoders={"t/Letters": LettersEncoder()},
        domain_of={"Letters": "t/Letters"},
        tag_of={"Letters": "t/Letters"},
        function_tag="t/Value",
        end_id=257,
    )
    fields = {"letters": ["abba", "c", "abba"], "answer": ["yes", "a long answer", ""]}
    rows = assembler.assemble(fields, with_output=True)
    store = PrefixCache.on(model, 10**9).rows(rows, False, 8192)
    with torch.no_grad():
        full = model.hidden_states(collate(rows, range(3), False))
        states, _ = store.states(np.arange(3))
    for row in range(3):
        begin, end = int(rows.suffix[row]), len(rows.ids[row])
        found = states[row, : end - begin]
        torch.testing.assert_close(found, full[row, begin:end], rtol=1e-4, atol=1e-4)
