"""Reuse on a backbone: which kind of it is exact there, and stores of the kind that is."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.model.assembly import Rows
from taglm_core.model.blocks import BlockCache
from taglm_core.model.cachebudget import shown
from taglm_core.model.cacheplan import ReusePlan, plan_reuse
from taglm_core.model.collate import Batch, collate
from taglm_core.model.precision import in_fp32
from taglm_core.model.rotary import Rotation, find_rotation
from taglm_core.model.spans import SpanStore
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tiers import DiskTier, Tier

logger = logging.getLogger(__name__)

_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
_DISK_GAIN = 2.0
"""How many times as fast as computing a disk must read: it is written once, and shared."""
_ROUGH = 0.05  # in 16 bits: what rounding does to hidden states, far below a wrong place


class Store(Protocol):
    """Kept prefixes of a set of rows."""

    @property
    def num_held(self) -> int:
        """Rows that are wholly kept."""
        ...

    @property
    def num_bytes(self) -> int:
        """Memory that they take."""
        ...

    def states(self, indices: np.ndarray) -> tuple[Tensor, Batch]:
        """Run what is not kept of some rows: `(batch, seq, hidden)` and the batch of it."""
        ...


@attrs.define
class Reuse:
    """What a tagged model may reuse, and the cache of it.

    Kept blocks hold while nothing before the function tags is trained.
    """

    cache: BlockCache
    rotation: Rotation | None
    """Moves spans; None: only whole prefixes are kept."""
    reason: str = ""
    """Why spans are not moved."""
    is_exact: bool = True
    """False: not even whole prefixes can be read in place on this backbone."""
    remarks: list[str] = attrs.field(factory=list)
    """What became of places that were asked for."""
    on_plan: Callable[[str], None] | None = None
    """Hears the plan of the first rows that are screened."""

    def fits(self, model: TaggedModel, rows: Rows) -> bool:
        """Whether rows may run on cached segments: these know nothing of sliding windows."""
        window = model.backbone.window
        return self.is_exact and (window is None or int(rows.lengths.max(initial=0)) <= window)

    def store(
        self,
        model: TaggedModel,
        rows: Rows,
        is_isolated: bool,
        max_tokens: int,
        with_text: bool = True,
    ) -> SpanStore:
        """Return a store of some rows that shares the cache."""
        return SpanStore(model, rows, is_isolated, self.rotation, self.cache, max_tokens, with_text)

    def screen(
        self, model: TaggedModel, rows: Rows, is_isolated: bool, max_tokens: int
    ) -> tuple[SpanStore, ReusePlan] | None:
        """Return a store for running each row once, None when whole rows are as quick."""
        if not self.cache.budget_bytes or not self.fits(model, rows):
            return None
        store = self.store(model, rows, is_isolated, max_tokens, with_text=False)
        plan = plan_reuse([(store.blocks, rows.lengths)], model.backbone, self.cache.limits)
        if self.on_plan is not None:
            self.on_plan(plan.line())
            self.on_plan = None
        return (store, plan) if plan.is_worth else None


def find_reuse(model: TaggedModel, budget_bytes: int = 0, tiers: Sequence[Tier] = ()) -> Reuse:
    """Find out, by running a probe, what may be reused on a model's backbone.

    A span is read at two places and compared with whole rows; where the backbone cannot do that
    (absolute positions, other rotary layouts) whole prefixes are kept, which is tried as well.

    Args:
        model: The model.
        budget_bytes: Of memory on the CPU, without `tiers`.
        tiers: Where blocks are kept; a disk is left out where computing is as quick as reading.
    """
    kept, remarks = _worth_reading(model, tiers)
    cache = BlockCache(budget_bytes, kept)
    found = find_rotation(model.backbone)
    reason = found if isinstance(found, str) else ""
    if isinstance(found, Rotation):
        error = _probe(model, found)
        if error is None:
            return Reuse(cache, found, remarks=remarks)
        reason = error
    error = _probe(model, None)
    return Reuse(cache, None, reason, error is None, remarks)


def _worth_reading(model: TaggedModel, tiers: Sequence[Tier]) -> tuple[list[Tier], list[str]]:
    """Leave out a disk that gives blocks no quicker than they are computed; say so."""
    kept: list[Tier] = []
    remarks = []
    for tier in tiers:
        if isinstance(tier, DiskTier):
            reads, computes = tier.read_rate(), compute_rate(model)
            logger.debug("disk reads %.3g bytes a second, computing gives %.3g", reads, computes)
            if reads < _DISK_GAIN * computes:
                remarks.append(
                    f"nothing is kept on disk: {tier.folder} reads {shown(reads)} a second, and "
                    f"computing again gives {shown(computes)}"
                )
                continue
        kept.append(tier)
    return kept, remarks


@torch.no_grad()
def compute_rate(model: TaggedModel, tokens: int = 128) -> float:
    """Measure how many bytes of keys and values a second a forward pass gives."""
    backbone = model.backbone
    count = min(tokens, backbone.max_positions)
    ids = np.arange(4 * count, dtype=np.int32).reshape(4, count) % backbone.vocab_size
    ends = np.full(4, count, dtype=np.int64)
    spans = [np.zeros(count, dtype=np.int8)] * 4
    rows = Rows(list(ids), spans, ends, ends - 1, [None] * 4)
    batch = collate(rows, range(4), False, backbone.device)
    best = 0.0
    for _ in range(3):  # the first passes choose and pack kernels
        began = time.perf_counter()
        held = model.prefix_cache(batch)
        held.flatten()[-1].item()  # waits for a GPU
        size = held.numel() * held.element_size()
        taken = time.perf_counter() - began
        best = max(best, size / taken)
        if taken > 1:
            break  # so long a pass tells enough
    return best


def _probe(model: TaggedModel, rotation: Rotation | None) -> str | None:
    """Compare reuse with whole rows; return what differs."""
    backbone = model.backbone
    rows = _probe_rows(backbone.vocab_size)
    try:
        with torch.no_grad(), in_fp32(backbone.base):  # rounding would hide a wrong place
            whole = model.read(collate(rows, range(len(rows)), True, backbone.device)).float()
            store = SpanStore(model, rows, True, rotation, BlockCache(10**12))
            store.fill()
            states, batch = store.states(np.arange(len(rows)))
    except (RuntimeError, NotImplementedError, TypeError, AttributeError) as error:
        return f"its attention cannot be extended ({str(error).splitlines()[0]})"
    at = torch.arange(len(rows), device=states.device)
    differs = float((states[at, batch.read].float() - whole).abs().max() / whole.abs().max())
    logger.debug("probe of reuse on %s: %.2g", backbone.name, differs)
    if not differs <= _TOLERANCE.get(backbone.dtype, _ROUGH):
        return f"a span reads differently at another place there (by {differs:.1g})"
    return None


def _probe_rows(vocab_size: int) -> Rows:
    """Return three rows of two spans each: the second span is the same at different places."""
    rng = np.random.default_rng(0)
    low, high = vocab_size // 8, max(vocab_size // 8 + 1, vocab_size * 7 // 8)

    def some(count: int) -> np.ndarray:
        return rng.integers(low, high, size=count).astype(np.int32)

    shared, tag = some(17), some(4)
    ids, spans, suffix = [], [], []
    for first in (5, 9, 23):
        pieces = [some(3), some(first), some(2), shared, some(2)]
        ids.append(np.concatenate([*pieces, tag]))
        lengths = [len(piece) for piece in [*pieces, tag]]
        spans.append(np.repeat(np.array([0, 1, 0, 2, 0, 0], dtype=np.int8), lengths))
        suffix.append(sum(lengths[:-1]))
    begins = np.array(suffix, dtype=np.int64)
    return Rows(ids, spans, begins, begins + len(tag) - 1, [None] * len(ids))


def screening_batches(store: SpanStore, max_tokens: int) -> Iterator[np.ndarray]:
    """Yield batches of rows such that those which share the most work come together."""
    blocks = store.blocks
    uses = blocks.uses
    saved = [
        float((blocks.sizes * (uses - 1) * (blocks.column_of == c)).sum())
        for c in range(len(blocks.kinds))
    ]
    lead = int(np.argmax(saved))
    rest = store.rows.lengths - blocks.sizes[blocks.ids[:, lead]]
    order = np.lexsort((rest, blocks.ids[:, lead]))
    tail = int((store.rows.lengths - blocks.tails).max())
    count = max(8, max_tokens // (4 * max(1, tail)))
    for start in range(0, len(order), count):
        yield order[start : start + count]
