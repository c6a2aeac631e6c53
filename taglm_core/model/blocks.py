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

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.num_bytes = 0
        self._blocks: dict[bytes, Tensor] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def get(self, key: bytes) -> Tensor | None:
        """Return a block `(layers, 2, kv_heads, keys, head_dim)`, None when it is not kept."""
        return self._blocks.get(key)

    def put(self, key: bytes, block: Tensor) -> bool:
        """Keep a block if the budget allows it."""
        size = block.numel() * block.element_size()
        if key in self._blocks or self.num_bytes + size > self.budget_bytes:
            return key in self._blocks
        self._blocks[key] = block
        self.num_bytes += size
        return True

    def keep_only(self, keys: set[bytes]) -> None:
        """Drop every block but these."""
        self._blocks = {key: block for key, block in self._blocks.items() if key in keys}
        self.num_bytes = sum(b.numel() * b.element_size() for b in self._blocks.values())
