"""Attention of a few new tokens over cached keys and values, which are read where they lie.

The rows of a batch look at several cached segments each: that of a molecule, that of a protein. A
slot is one place of the template, with a segment for every row. Rows that share a segment are
answered together by one matrix product, without a copy for each row; short segments are padded
into one product. Partial results are joined by their log-sum-exp. Gradients reach the new tokens
only, so cached keys and values cost nothing in the backward pass.

Letters of shapes: queries = query heads of one key head x new tokens; keys = positions of a
segment.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import attrs
import torch
from torch import Tensor

from taglm_core.model.collate import Batch
from taglm_core.model.prefix_cache.rotary import Rotation, turn
from taglm_core.model.tagged import TaggedModel

NAME = "taglm_cached_segments"
_SCORES = (
    2**18
)  # most scores of one product where nothing is saved for a backward pass: they stay in the L2
_LOG2_E = math.log2(math.e)
_HIDDEN = -1e30  # finite, so that a row which sees nothing of a segment gives weight 0, not NaN


@attrs.frozen(eq=False)
class Group:
    """Cached keys and values that some neighboring rows of a slot look at."""

    start: int
    """First row, in the slot's order."""
    stop: int
    """Behind the last row."""
    cached: Tensor
    """One segment for all rows `(layers, 2, kv_heads, keys, head_dim)`, or one for each
    `(layers, 2, kv_heads, rows, keys, head_dim)`; index 0 of the second axis holds keys."""
    hidden: Tensor | None = None
    """fp32 `(rows, 1, keys)`, added to scores: 0 where a key is real; None: all are."""

    def queries(self, turned: Tensor) -> Tensor:
        """Return the rows' queries for one product, `(products, queries, head_dim)`."""
        mine = turned[:, self.start : self.stop]  # (kv_heads, rows, queries, head_dim)
        if self.cached.dim() == 5:
            return mine.flatten(1, 2)
        return mine.flatten(0, 1)

    def keys_and_values(self, layer: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return both as `(products, keys, head_dim)`."""
        keys, values = self.cached[layer].to(dtype)
        return (
            (keys, values) if self.cached.dim() == 5 else (keys.flatten(0, 1), values.flatten(0, 1))
        )


class Slot:
    """One cached segment for every row of a batch."""

    def __init__(
        self,
        groups: Sequence[Group],
        order: Tensor | None = None,
        offsets: Tensor | None = None,
        rotation: Rotation | None = None,
    ) -> None:
        """Keep the groups.

        Args:
            groups: They cover every row once, in the order of `order`.
            order: int64 `(batch,)`: row of the batch at each place; None: as they are.
            offsets: int64 `(batch,)`: where each row has the segment; None: at the place where its
                keys were made.
            rotation: Moves queries by the offsets.
        """
        self.groups = groups
        self.order = order
        self.inverse = None if order is None else torch.argsort(order)
        self.angles: tuple[Tensor, Tensor] | None = None
        if offsets is not None:
            assert rotation is not None
            placed = offsets if order is None else offsets[order]
            self.angles = rotation.angles(placed)

    def enter(self, queries: Tensor) -> Tensor:
        """Order and turn queries `(kv_heads, batch, queries, head_dim)` for the groups."""
        if self.order is not None:
            queries = queries.index_select(1, self.order)
        return queries if self.angles is None else turn(queries, *self.angles, back=True)

    def leave(self, states: Tensor, is_turned: bool = False) -> Tensor:
        """Put results `(kv_heads, batch, ...)` back into the order of the batch."""
        if is_turned and self.angles is not None:
            states = turn(states, *self.angles)
        return states if self.inverse is None else states.index_select(1, self.inverse)


class CachedAttention:
    """What a forward pass of new tokens looks at beside the new tokens themselves."""

    def __init__(self, slots: Sequence[Slot], captures: bool = False) -> None:
        """Keep the slots; `captures` keeps the new keys and values for later use."""
        self.slots = slots
        self.captures = captures
        self.captured: list[Tensor] = []
        """For each layer `(2, batch, kv_heads, seq, head_dim)`."""

    def run(self, model: TaggedModel, batch: Batch) -> Tensor:
        """Run suffixes, padded on the right, on the slots: `(batch, seq, hidden)`."""
        with self._active(model.backbone.model):
            # the segments are there for this pass only
            return model.run(batch.ids, None, batch.position_ids, may_run_again=False)

    @contextlib.contextmanager
    def _active(self, model: Any) -> Iterator[None]:
        """Let every attention layer of a transformers model use the slots."""
        _register()
        before = model.config._attn_implementation
        token = _ACTIVE.set(self)
        model.set_attn_implementation(NAME)
        try:
            yield
        finally:
            model.set_attn_implementation(before)
            _ACTIVE.reset(token)


_ACTIVE: ContextVar[CachedAttention | None] = ContextVar(NAME, default=None)


def _register() -> None:
    from transformers import AttentionInterface
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if NAME not in ALL_ATTENTION_FUNCTIONS:
        AttentionInterface.register(NAME, _layer_attention)


def _layer_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Answer one layer; the signature is that of transformers' attention functions."""
    active = _ACTIVE.get()
    assert active is not None, f"{NAME} runs inside CachedAttention.run only"
    if kwargs.get("softcap") is not None or kwargs.get("s_aux") is not None:
        raise NotImplementedError("attention with soft-caps or sinks")
    if active.captures:
        active.captured.append(torch.stack([key, value]).detach())
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        query, key, value, active.slots, module.layer_idx, scale
    )
    return attended.transpose(1, 2), None  # (batch, seq, heads, head_dim)


@attrs.define(eq=False)
class _Answer:
    """What the rows get from one product, before it is joined with the others."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    weights: Tensor
    """`(products, queries, keys)`: exponentials of scores less their largest."""
    largest: Tensor
    """fp32 `(products, queries, 1)`."""


def _answer(queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None) -> _Answer:
    """Score queries `(products, queries, head_dim)` against keys `(products, keys, head_dim)`."""
    scores = torch.bmm(queries, keys.transpose(1, 2)).float()  # (products, queries, keys)
    if hidden is not None:
        shape = scores.shape
        scores = scores.view(-1, *hidden.shape[:1], shape[1], shape[2]).add_(hidden).view(shape)
    largest = scores.amax(dim=-1, keepdim=True)
    # exp is many times slower than exp2 on a CPU where it underflows, as at hidden keys
    weights = scores.sub_(largest).mul_(_LOG2_E).exp2_()
    return _Answer(queries, keys, values, weights, largest)


def _sums(answer: _Answer) -> tuple[Tensor, Tensor]:
    """Return the mean of the values by weight and the log-sum-exp `(products, queries, 1)`."""
    total = answer.weights.sum(dim=-1, keepdim=True)
    mixed = torch.bmm(answer.weights.to(answer.values.dtype), answer.values).float()
    return mixed.div_(total), total.log_().add_(answer.largest)


def _backward(answer: _Answer, grad: Tensor, delta: Tensor, factor: Tensor) -> Tensor:
    """Return the gradient of the scores `(products, queries, keys)`.

    Args:
        answer: Of the forward pass; its weights are used up.
        grad: Gradient of the joined result, `(products, queries, head_dim)`.
        delta: fp32 `(products, queries, 1)`: product of result and gradient.
        factor: fp32 `(products, queries, 1)`: turns weights into probabilities.
    """
    inner = torch.bmm(grad, answer.values.transpose(1, 2)).float()
    return inner.sub_(delta).mul_(answer.weights).mul_(factor).to(answer.keys.dtype)


class _Attention(torch.autograd.Function):
    """Attention of new tokens over themselves, causally, and over every slot."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        slots: Sequence[Slot],
        layer: int,
        scale: float,
    ) -> Tensor:
        """Attend: `(batch, heads, seq, head_dim)`, `(batch, kv_heads, seq, head_dim)` twice."""
        batch, heads, seq, head_dim = query.shape
        kv_heads = key.shape[1]
        # a CPU without bf16 arithmetic multiplies bf16 many times slower than it converts it
        dtype = torch.float32 if query.device.type == "cpu" else query.dtype
        queries = (query.float() * scale).reshape(batch, kv_heads, -1, head_dim).transpose(0, 1)
        queries = queries.contiguous()  # (kv_heads, batch, queries, head_dim)
        shape = queries.shape
        needs_grad = any(ctx.needs_input_grad[:3])
        own = _answer(
            queries.flatten(0, 1).to(dtype),
            key.transpose(0, 1).flatten(0, 1).to(dtype),
            value.transpose(0, 1).flatten(0, 1).to(dtype),
            _causal(seq, heads // kv_heads, query.device),
        )
        mixed, logs = _sums(own)
        results, sums = [mixed.view(shape)], [logs.view(*shape[:3], 1)]
        saved: list[list[_Answer]] = []
        for slot in slots:
            found, logsum, answers = _run_slot(slot, queries, layer, dtype, needs_grad)
            results.append(found)
            sums.append(logsum)
            saved.append(answers)
        total = torch.logsumexp(torch.stack(sums), dim=0)  # (kv_heads, batch, queries, 1)
        joined = results[0].mul_((sums[0] - total).exp_())
        for result, part in zip(results[1:], sums[1:], strict=True):
            joined.addcmul_(result, (part - total).exp_())
        if needs_grad:
            ctx.save_for_backward(joined, total)
            ctx.own, ctx.saved, ctx.slots, ctx.scale = own, saved, slots, scale
        ctx.shape = query.shape
        return joined.transpose(0, 1).reshape(query.shape).to(query.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Return the gradients of query, key and value."""
        joined, total = ctx.saved_tensors
        kv_heads, batch, queries, head_dim = joined.shape
        grads = (
            grad.float().reshape(batch, kv_heads, queries, head_dim).transpose(0, 1).contiguous()
        )
        delta = (grads * joined).sum(dim=-1, keepdim=True)
        own = ctx.own
        dtype = own.keys.dtype
        flat = grads.flatten(0, 1).to(dtype)
        factor = (own.largest - total.flatten(0, 1)).exp_()
        probabilities = (own.weights * factor).to(dtype)
        scores = _backward(own, flat, delta.flatten(0, 1), factor)
        d_query = torch.bmm(scores, own.keys).float().view_as(joined)
        d_key = torch.bmm(scores.transpose(1, 2), own.queries)
        d_value = torch.bmm(probabilities.transpose(1, 2), flat)
        for slot, answers in zip(ctx.slots, ctx.saved, strict=True):
            d_query += _slot_backward(slot, answers, grads, delta, total)
        shape = (kv_heads, batch, -1, head_dim)
        d_query = d_query.mul_(ctx.scale).transpose(0, 1).reshape(ctx.shape)
        back = grad.dtype
        return (
            d_query.to(back),
            d_key.view(shape).transpose(0, 1).to(back),
            d_value.view(shape).transpose(0, 1).to(back),
            None,
            None,
            None,
        )


def _causal(seq: int, groups: int, device: torch.device) -> Tensor:
    """Return fp32 `(1, queries, seq)`: hides later tokens from each query head's tokens."""
    later = torch.ones(seq, seq, dtype=torch.bool, device=device).triu(1)
    return torch.zeros(seq, seq, device=device).masked_fill_(later, _HIDDEN).repeat(1, groups, 1)


def _run_slot(
    slot: Slot, queries: Tensor, layer: int, dtype: torch.dtype, needs_grad: bool
) -> tuple[Tensor, Tensor, list[_Answer]]:
    """Return means of values, log-sum-exps and, for the backward pass, the answers."""
    turned = slot.enter(queries).to(dtype)
    found = torch.empty_like(queries)
    logs = torch.empty(*queries.shape[:3], 1, device=queries.device)
    answers = []
    for group in slot.groups if needs_grad else _in_small_groups(slot.groups, queries.shape):
        keys, values = group.keys_and_values(layer, dtype)
        answer = _answer(group.queries(turned), keys, values, group.hidden)
        mixed, logsum = _sums(answer)
        rows = slice(group.start, group.stop)
        shape = found[:, rows].shape
        found[:, rows] = mixed.view(shape)
        logs[:, rows] = logsum.view(*shape[:3], 1)
        if needs_grad:
            answers.append(answer)
    return slot.leave(found), slot.leave(logs), answers


def _in_small_groups(groups: Sequence[Group], shape: Sequence[int]) -> Iterator[Group]:
    """Cut groups that share a segment so that the scores of each stay small."""
    for group in groups:
        if group.cached.dim() != 5:
            yield group
            continue
        rows = max(1, _SCORES // (shape[0] * shape[2] * group.cached.shape[3]))
        for start in range(group.start, group.stop, rows):
            yield attrs.evolve(group, start=start, stop=min(start + rows, group.stop))


def _slot_backward(
    slot: Slot, answers: list[_Answer], grads: Tensor, delta: Tensor, total: Tensor
) -> Tensor:
    """Return the gradient of the queries through one slot."""
    if slot.order is not None:
        grads, delta, total = (t.index_select(1, slot.order) for t in (grads, delta, total))
    d_query = torch.empty_like(grads)
    for group, answer in zip(slot.groups, answers, strict=True):
        dtype = answer.keys.dtype
        factor = (answer.largest - group.queries(total)).exp_()
        flat = group.queries(grads).to(dtype)
        scores = _backward(answer, flat, group.queries(delta), factor)
        rows = slice(group.start, group.stop)
        d_query[:, rows] = torch.bmm(scores, answer.keys).view(d_query[:, rows].shape)
    return slot.leave(d_query, is_turned=True)
