"""The cost model: what a cache would save by count of work, and how much memory it may take.

Work is counted in multiply-adds of weights and of attention, so that a plan says the same on every
machine; what a step then takes depends on the machine too.
"""

from collections.abc import Collection, Sequence

import attrs
import numpy as np

from taglm_core.model.backbone import Backbone
from taglm_core.model.prefix_cache.budget import shown
from taglm_core.model.prefix_cache.segments import SPAN, TEXT, Segments

_WORTH = 1.1
"""Saving below which nothing is cached: the bookkeeping would cost as much."""


_WORTH_HOLDING = 5e12
"""Multiply-adds, some half a minute of a core, from which scoring reads what training cached. Below
it runs whole rows, so that a run whose tags come from the store has the same last digits."""


def is_worth_holding(tokens: float, backbone: Backbone) -> bool:
    """Say whether scoring reads segments of so many tokens that training left in the cache."""
    return tokens * backbone.num_matrix_weights >= _WORTH_HOLDING


@attrs.frozen
class ForwardCost:
    """Multiply-adds of a forward pass."""

    per_token: float
    """By the weights, for one token."""
    per_pair: float
    """By attention, for one token that sees one key."""

    @staticmethod
    def of(backbone: Backbone) -> "ForwardCost":
        """Count those of a backbone."""
        config = backbone.config
        embedding = backbone.model.get_input_embeddings().weight
        weights = backbone.num_matrix_weights
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or backbone.hidden_size // heads
        pairs = 2.0 * config.num_hidden_layers * heads * head_dim
        return ForwardCost(float(weights - embedding.numel()), pairs)

    def run(self, tokens: np.ndarray, before: np.ndarray | int = 0) -> np.ndarray:
        """Return the work of causal passes of some tokens that also see all `before` them."""
        tokens = np.asarray(tokens, dtype=np.float64)
        seen = tokens * before + tokens * (tokens + 1) / 2
        return np.asarray(tokens * self.per_token + seen * self.per_pair)


def bytes_per_token(backbone: Backbone, itemsize: int) -> int:
    """Return what keys and values of one token take."""
    config = backbone.config
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or backbone.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    return int(2 * config.num_hidden_layers * kv_heads * head_dim * itemsize)


@attrs.frozen(kw_only=True)
class CachePlan:
    """What a cache would do for some rows."""

    rows: int
    distinct: int
    """Distinct segments."""
    tokens: int
    """Tokens of the distinct segments."""
    row_tokens: int
    """Tokens of the rows."""
    token_bytes: int
    """Bytes that a cached token takes."""
    limits: tuple[tuple[str, int], ...]
    """(name, most bytes) of each storage, the quickest first."""
    shares: tuple[float, ...]
    """Share of the segment tokens that each storage keeps."""
    speedup: float
    """Work of whole rows over the work with reuse, over all passes."""

    @property
    def limit_bytes(self) -> int:
        """Most bytes of all storages."""
        return sum(limit for _, limit in self.limits)

    @property
    def share(self) -> float:
        """Share of the segment tokens that is kept."""
        return sum(self.shares)

    @property
    def is_worth(self) -> bool:
        """Whether the cache saves enough."""
        return self.speedup >= _WORTH

    def line(self) -> str:
        """Return the plan in one line."""
        if self.limit_bytes == 0:
            return "reuse: off"
        need = shown(self.tokens * self.token_bytes)
        if not self.is_worth:
            return (
                f"reuse: none, since what recurs in {self.rows:,} rows would save only "
                f"{100 * (1 - 1 / self.speedup):.0f} % of the work (cache {need}, "
                f"{shown(self.limit_bytes)} allowed)"
            )
        return (
            f"reuse: {self.rows:,} rows of {self.row_tokens / max(1, self.rows):.0f} tokens share "
            f"{self.distinct:,} segments; cache {need} at {shown(self.token_bytes)} a token, "
            f"{self._kept()}; about {self.speedup:.1f} times less work"
        )

    def _kept(self) -> str:
        """Say how much of the cache is kept where."""
        used = [pair for pair in zip(self.shares, self.limits, strict=True) if pair[0]]
        if not used:
            return "none of it cached"
        if len(used) == 1 and self.share > 1 - 1e-9:
            name, limit = used[0][1]
            return f"all cached on {name} (up to {shown(limit)})"
        words = [f"{100 * share:.0f} % cached on {n} (up to {shown(r)})" for share, (n, r) in used]
        return ", ".join(words)


def plan_cache(
    parts: Sequence[tuple[Segments, np.ndarray]],
    backbone: Backbone,
    limits: Sequence[tuple[str, int]],
    passes: float = 1.0,
    trains: bool = False,
    known: Collection[bytes] = (),
) -> CachePlan:
    """Count what a cache would save.

    Args:
        parts: Segments of rows, and int64 `(rows,)` tokens of each row; parts are counted as if
            they shared nothing.
        backbone: Runs the rows.
        limits: (name, most bytes) of each storage, the quickest first.
        passes: How often each row is run.
        trains: Whether a pass has a backward, which costs twice the forward and never reaches
            cached segments.
        known: Keys of segments that cost nothing here: they are cached, or will be used again.
    """
    work = ForwardCost.of(backbone)
    token_bytes = bytes_per_token(backbone, backbone.dtype.itemsize)
    factor = (3.0 if trains else 1.0) * passes
    whole = reused = 0.0
    distinct = tokens = rows = row_tokens = 0
    free = np.array([limit // token_bytes for _, limit in limits], dtype=np.int64)
    kept_tokens = np.zeros(len(free), dtype=np.int64)
    for segments, lengths in parts:
        whole += factor * float(work.run(lengths).sum())
        reused += factor * float(
            work.run(lengths - segments.suffix_starts, segments.suffix_starts).sum()
        )
        cost = segment_cost(segments, work)
        if known:
            cost[[key in known for key in segments.keys]] = 0.0
        uses = segments.uses
        order = np.argsort(-uses, kind="stable")
        place = np.zeros(len(uses), dtype=np.int64)
        place[order] = np.searchsorted(np.cumsum(free), np.cumsum(segments.sizes[order]))
        is_kept = place < len(free)
        taken = np.bincount(place[is_kept], segments.sizes[is_kept], len(free)).astype(np.int64)
        free, kept_tokens = free - taken, kept_tokens + taken
        reused += float(cost[is_kept].sum() + passes * (cost * uses)[~is_kept].sum())
        distinct += int((segments.sizes > 0).sum())
        tokens += int(segments.sizes.sum())
        rows += len(lengths)
        row_tokens += int(lengths.sum())
    return CachePlan(
        rows=rows,
        distinct=distinct,
        tokens=tokens,
        row_tokens=row_tokens,
        token_bytes=token_bytes,
        limits=tuple(limits),
        shares=tuple((kept_tokens / max(1, tokens)).tolist()),
        speedup=whole / max(reused, 1.0),
    )


def segment_cost(segments: Segments, work: ForwardCost) -> np.ndarray:
    """Return the work of computing each distinct segment once, fp64 `(distinct segments,)`."""
    before = np.zeros(len(segments.sizes), dtype=np.int64)
    for slot, kind in enumerate(segments.kinds):
        if kind == TEXT:
            before[segments.ids[:, slot]] = segments.boundaries[:, slot]
        elif kind == SPAN:
            before[segments.ids[:, slot]] = 0
    return work.run(segments.sizes, before)
