"""Probes of a backbone: whether cached segments give what whole rows give, and what is quicker."""

import logging
import time
from collections.abc import Sequence

import numpy as np
import torch

from taglm_core.model.assembly import Rows
from taglm_core.model.collate import collate
from taglm_core.model.precision import in_fp32
from taglm_core.model.prefix_cache.budget import shown
from taglm_core.model.prefix_cache.cached_rows import CachedRows
from taglm_core.model.prefix_cache.rotary import Rotation
from taglm_core.model.prefix_cache.storage import DiskFile, SegmentStore, Storage
from taglm_core.model.tagged import TaggedModel

logger = logging.getLogger(__name__)

_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
_ROUGH = 0.05  # in 16 bits: what rounding does to hidden states, far below a wrong place
_DISK_GAIN = 2.0
"""How many times as fast as computing a disk must read: it is written once, and shared."""


def storages_worth_reading(
    model: TaggedModel, storages: Sequence[Storage]
) -> tuple[list[Storage], list[str]]:
    """Leave out a disk that gives segments no quicker than they are computed.

    Returns:
        The other storages, and a remark for each that was left out.
    """
    worth: list[Storage] = []
    remarks = []
    for storage in storages:
        if isinstance(storage, DiskFile):
            reads, computes = storage.read_rate(), compute_rate(model)
            logger.debug("disk reads %.3g bytes a second, computing gives %.3g", reads, computes)
            if reads < _DISK_GAIN * computes:
                remarks.append(
                    f"nothing is cached on disk: {storage.folder} reads {shown(reads)} a second, "
                    f"and computing again gives {shown(computes)}"
                )
                continue
        worth.append(storage)
    return worth, remarks


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
        states = model.keys_and_values(batch)
        states.flatten()[-1].item()  # waits for a GPU
        size = states.numel() * states.element_size()
        taken = time.perf_counter() - began
        best = max(best, size / taken)
        if taken > 1:
            break  # so long a pass tells enough
    return best


def find_difference(model: TaggedModel, rotation: Rotation | None) -> str | None:
    """Compare rows on cached segments with whole rows.

    Args:
        model: On the backbone that is tried.
        rotation: Moves spans; None: whole prefixes are tried.

    Returns:
        What differs; None: nothing.
    """
    backbone = model.backbone
    rows = _probe_rows(backbone.vocab_size)
    try:
        with torch.no_grad(), in_fp32(backbone.base):  # rounding would hide a wrong place
            whole = model.read(collate(rows, range(len(rows)), True, backbone.device)).float()
            cached = CachedRows(model, rows, True, rotation, SegmentStore(10**12))
            cached.fill()
            states, batch = cached.states(np.arange(len(rows)))
    except (RuntimeError, NotImplementedError, TypeError, AttributeError) as error:
        return f"its attention cannot be extended ({str(error).splitlines()[0]})"
    at = torch.arange(len(rows), device=states.device)
    differs = float((states[at, batch.read].float() - whole).abs().max() / whole.abs().max())
    logger.debug("probe of the prefix cache on %s: %.2g", backbone.name, differs)
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
