"""Blocks: how rows divide into what can be computed once, and where computed blocks are kept.

Before a row's function tag stand blocks whose keys and values do not depend on the tag. In an
isolated template with several spans, every span from the second on is a block by itself, the same
wherever it occurs; what stands before the second span is one block, which holds the first span;
text between later spans depends on all before it. Otherwise the whole prefix is one block.
"""

import hashlib
from collections.abc import Sequence

import attrs
import numpy as np
from torch import Tensor

from taglm_core.model.assembly import Rows
from taglm_core.model.tiers import MemoryTier, Tier

FIRST, SPAN, TEXT = "first", "span", "text"
"""From the row's beginning; an own causal pass at offset 0; depends on all before it."""


@attrs.frozen(eq=False)
class RowBlocks:
    """The blocks of a set of rows, one column for each place in the template."""

    kinds: tuple[str, ...]
    """Kind of each column."""
    cuts: np.ndarray
    """int64 `(rows, columns + 1)`: where each block begins; the last cut begins the tail."""
    ids: np.ndarray
    """int64 `(rows, columns)`: number of the distinct block, an index into the two below."""
    keys: tuple[bytes, ...]
    """One digest a distinct block: of the block itself, for text of all before it too."""
    sizes: np.ndarray
    """int64 `(distinct blocks,)`: their tokens."""

    @property
    def uses(self) -> np.ndarray:
        """int64 `(distinct blocks,)`: rows that look at each."""
        return np.bincount(self.ids.ravel(), minlength=len(self.keys))

    @property
    def column_of(self) -> np.ndarray:
        """int64 `(distinct blocks,)`: the column of each."""
        found = np.zeros(len(self.keys), dtype=np.int64)
        for column in range(self.ids.shape[1]):
            found[self.ids[:, column]] = column
        return found

    @property
    def tails(self) -> np.ndarray:
        """int64 `(rows,)`: where the part begins that is computed for each row."""
        return self.cuts[:, -1]


def split_rows(rows: Rows, is_movable: bool, with_text: bool) -> RowBlocks:
    """Divide rows without errors into blocks.

    Args:
        rows: Assembled rows of one template.
        is_movable: Whether spans may be read at another place than where they were computed:
            isolated attention on a backbone that allows it.
        with_text: True: the text between the last span and the function tag is a block; False:
            it belongs to the tail.
    """
    count = max((int(spans.max()) for spans in rows.spans if len(spans)), default=0)
    if not is_movable or count < 2:
        kinds: tuple[str, ...] = (FIRST,)
        cuts = np.stack([np.zeros_like(rows.suffix), rows.suffix], axis=1)
    else:
        kinds = (FIRST, *(SPAN, TEXT) * (count - 1))
        cuts = np.zeros((len(rows), len(kinds) + 1), dtype=np.int64)
        for row, spans in enumerate(rows.spans):
            bounds = np.searchsorted(_running_span(spans), np.arange(2, count + 1))
            ends = [int(np.flatnonzero(spans == k)[-1]) + 1 for k in range(2, count + 1)]
            cuts[row, 1:-1:2], cuts[row, 2::2] = bounds, ends
            cuts[row, -1] = rows.suffix[row]
        if not with_text:
            kinds, cuts = kinds[:-1], cuts[:, :-1]
    ids, keys, sizes = _number(rows, kinds, cuts)
    return RowBlocks(kinds, cuts, ids, keys, sizes)


def _running_span(spans: np.ndarray) -> np.ndarray:
    """Return for each place the highest span number so far."""
    return np.maximum.accumulate(spans)


def _number(
    rows: Rows, kinds: Sequence[str], cuts: np.ndarray
) -> tuple[np.ndarray, tuple[bytes, ...], np.ndarray]:
    known: dict[bytes, int] = {}
    sizes: list[int] = []
    ids = np.zeros((len(rows), len(kinds)), dtype=np.int64)
    for row, stream in enumerate(rows.ids):
        for column, kind in enumerate(kinds):
            begin, end = cuts[row, column], cuts[row, column + 1]
            seen = stream[(0 if kind == TEXT else begin) : end]
            digest = hashlib.blake2b(seen.tobytes(), digest_size=15).digest()
            key = kind[:1].encode() + digest
            if key not in known:
                known[key] = len(sizes)
                sizes.append(int(end - begin))
            ids[row, column] = known[key]
    return ids, tuple(known), np.array(sizes, dtype=np.int64)


def piece_rows(
    rows: Rows, chosen: Sequence[int] | np.ndarray, begins: np.ndarray, ends: np.ndarray
) -> Rows:
    """Return parts of rows as rows of their own, without function tag.

    Args:
        rows: The whole rows.
        chosen: Which of them.
        begins: int64 `(len(chosen),)`: first token of each part.
        ends: int64 `(len(chosen),)`: behind its last token.
    """
    parts = [slice(int(b), int(e)) for b, e in zip(begins, ends, strict=True)]
    held = list(zip(chosen, parts, strict=True))
    lengths = np.asarray(ends) - np.asarray(begins)
    return Rows(
        [rows.ids[i][part] for i, part in held],
        [rows.spans[i][part] for i, part in held],
        lengths,
        np.maximum(lengths - 1, 0),
        [None] * len(held),
    )


class BlockCache:
    """Keys and values of blocks under a budget; shared by the parts of a run.

    An epoch is a scan, so what is kept stays, and the rest is computed again each time.
    """

    def __init__(self, budget_bytes: int = 0, tiers: Sequence[Tier] = ()) -> None:
        """Keep the places.

        Args:
            budget_bytes: Of memory on the CPU; tests and measurements need no more.
            tiers: Places instead of it, the quickest first.
        """
        self.tiers: tuple[Tier, ...] = tuple(tiers) or (MemoryTier(budget_bytes),)
        self._blocks: dict[bytes, tuple[Tensor, Tier]] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def budget_bytes(self) -> int:
        """Bytes that may be kept in all places."""
        return sum(tier.budget_bytes for tier in self.tiers)

    @property
    def num_bytes(self) -> int:
        """Bytes that are kept in all places."""
        return sum(tier.num_bytes for tier in self.tiers)

    @property
    def rooms(self) -> tuple[tuple[str, int], ...]:
        """(name, bytes that may still be kept) of each place."""
        return tuple((tier.name, tier.budget_bytes - tier.num_bytes) for tier in self.tiers)

    @property
    def limits(self) -> tuple[tuple[str, int], ...]:
        """(name, bytes that may be kept) of each place."""
        return tuple((tier.name, tier.budget_bytes) for tier in self.tiers)

    def get(self, key: bytes) -> Tensor | None:
        """Return a block `(layers, 2, kv_heads, keys, head_dim)`, None when it is not kept."""
        found = self._blocks.get(key)
        if found is None:
            return None
        found[1].prefetch(found[0])
        return found[0]

    def put(self, key: bytes, block: Tensor, first: int = 0) -> bool:
        """Keep a copy of a block if a budget allows it.

        Args:
            key: Of the block.
            block: Any view of it.
            first: The quickest place that may take it.
        """
        if key in self._blocks:
            return True
        for tier in self.tiers[first:]:
            kept = tier.put(block)
            if kept is not None:
                self._blocks[key] = (kept, tier)
                return True
        return False

    def keep_only(self, keys: set[bytes]) -> None:
        """Drop every block but these."""
        for key in self._blocks.keys() - keys:
            block, tier = self._blocks.pop(key)
            tier.drop(block)
