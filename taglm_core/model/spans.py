"""Span reuse: rows run on cached segments, so that only function tags are computed for each.

`SpanStore` computes and keeps the blocks of a set of rows and runs their tails; `probe` proves on
the backbone at hand that this gives what whole rows give.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.model.assembly import Rows
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.blocks import FIRST, SPAN, BlockCache, RowBlocks, piece_rows, split_rows
from taglm_core.model.collate import Batch, collate
from taglm_core.model.columns import Column, Columns, Piece
from taglm_core.model.rotary import Rotation
from taglm_core.model.tagged import TaggedModel

logger = logging.getLogger(__name__)

_SHARED_WORK = 384
"""Rows x tokens of a block from which on it is read in place on a CPU, by its own product."""


class SpanStore:
    """Rows of one template, run on blocks that are computed once."""

    def __init__(
        self,
        model: TaggedModel,
        rows: Rows,
        is_isolated: bool,
        rotation: Rotation | None,
        cache: BlockCache,
        max_tokens: int = 8192,
        with_text: bool = True,
    ) -> None:
        """Divide the rows; nothing is computed yet.

        Args:
            model: The tagged model; what stands before function tags must stay as it is.
            rows: Rows without errors.
            is_isolated: Attention of the template.
            rotation: Moves spans; None: the prefix of a row is one block.
            cache: Keeps blocks; other stores may share it.
            max_tokens: Token budget of a forward batch.
            with_text: Whether the text before the function tag is a block of its own. True in
                training, where it is used in every epoch and needs no gradient.
        """
        self.model = model
        self.rows = rows
        self.is_isolated = is_isolated
        self.rotation = rotation
        self.cache = cache
        self.max_tokens = max_tokens
        is_movable = rotation is not None and is_isolated
        self.blocks: RowBlocks = split_rows(rows, is_movable, with_text)
        # the last assignment wins, so every block gets one of the rows that hold it
        self._row_of = np.zeros(len(self.blocks.keys), dtype=np.int64)
        for column in range(self.blocks.ids.shape[1]):
            self._row_of[self.blocks.ids[:, column]] = np.arange(len(rows))
        self.tails = attrs.evolve(rows, suffix=self.blocks.tails)
        """The rows, divided where the part begins that is computed for each of them."""

    @property
    def num_held(self) -> int:
        """Rows all of whose blocks are kept."""
        held = np.array([key in self.cache for key in self.blocks.keys], dtype=bool)
        held |= self.blocks.sizes == 0
        return int(held[self.blocks.ids].all(axis=1).sum())

    @property
    def num_bytes(self) -> int:
        """Memory that cached segments take, those of stores that share the cache included."""
        return self.cache.num_bytes

    def fill(self, on_progress: Callable[[int], None] | None = None, least_uses: int = 1) -> None:
        """Compute blocks and keep them while the budget lasts, those of the most rows first.

        Args:
            on_progress: Called with the number of blocks done.
            least_uses: Blocks of fewer rows are left to be computed when they are needed.
        """
        blocks, column_of, done = self.blocks, self.blocks.column_of, 0
        uses = blocks.uses
        missing = [
            number
            for number, key in enumerate(blocks.keys)
            if key not in self.cache and blocks.sizes[number] and uses[number] >= least_uses
        ]
        if not missing:
            return
        per_token = self._bytes_per_token(missing[0])
        order = sorted(missing, key=lambda n: (-int(uses[n]), int(column_of[n])))
        rooms = np.cumsum([room // per_token for _, room in self.cache.rooms])
        # those of the most rows lie in the quickest place
        places = np.searchsorted(rooms, np.cumsum(blocks.sizes[order]))
        chosen = np.array(order, dtype=np.int64)[places < len(rooms)]
        place_of = dict(zip(order, places.tolist(), strict=True))
        for column in range(len(blocks.kinds)):  # a text needs the blocks before it
            for numbers in self._batches(chosen[column_of[chosen] == column]):
                for number, block in self._compute(column, numbers).items():
                    self.cache.put(blocks.keys[number], block, place_of[number])
                done += len(numbers)
                if on_progress is not None:
                    on_progress(done)

    def prepare(self) -> None:
        """Keep what several of these rows need, and drop what none of them does."""
        self.cache.keep_only(set(self.blocks.keys))
        self.fill(least_uses=2)

    def _bytes_per_token(self, number: int) -> int:
        column = int(self.blocks.column_of[number])
        block = self._compute(column, [number])[number]
        return block.numel() * block.element_size() // block.shape[3]

    def _batches(self, numbers: np.ndarray) -> Iterable[list[int]]:
        for batch in batches_by_tokens(self.blocks.sizes[numbers], self.max_tokens):
            yield [int(n) for n in numbers[batch]]

    def states(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, Batch]:
        """Run the tails of some rows on their blocks.

        Returns:
            Hidden states `(batch, seq, hidden)` and the tails, padded on the right.
        """
        chosen = np.asarray(indices)
        columns = [self._column(c, chosen) for c in range(len(self.blocks.kinds))]
        device = self.model.backbone.device
        batch = collate(self.tails, chosen, self.is_isolated, device, only="suffix")
        return self.model.tail_states(batch, Columns([c for c in columns if c])), batch

    def _fetch(self, column: int, rows: np.ndarray) -> dict[int, Tensor]:
        """Return the blocks of some rows, computing those that are not kept."""
        found: dict[int, Tensor] = {}
        missing = []
        for number in np.unique(self.blocks.ids[rows, column]).tolist():
            kept = self.cache.get(self.blocks.keys[number])
            if kept is not None:
                found[number] = kept
            elif self.blocks.sizes[number]:
                missing.append(number)
        for numbers in self._batches(np.array(missing, dtype=np.int64)):
            found |= self._compute(column, numbers)
        return found

    @torch.no_grad()
    def _compute(self, column: int, numbers: Sequence[int]) -> dict[int, Tensor]:
        """Compute blocks of a column: number -> view `(layers, 2, kv_heads, keys, head_dim)`."""
        blocks = self.blocks
        rows = self._row_of[list(numbers)]
        begins, ends = blocks.cuts[rows, column], blocks.cuts[rows, column + 1]
        if blocks.kinds[column] in (FIRST, SPAN):
            layered = self._run_alone(column, rows, begins, ends)
        else:
            layered = self._run_text(column, rows, begins, ends)
        return {
            number: layered[place, :, :, :, : int(end - begin)]
            for place, (number, begin, end) in enumerate(zip(numbers, begins, ends, strict=True))
        }

    def _run_alone(
        self, column: int, rows: np.ndarray, begins: np.ndarray, ends: np.ndarray
    ) -> Tensor:
        """Run blocks that look at nothing else: `(blocks, layers, 2, kv_heads, seq, head_dim)`."""
        pieces = piece_rows(self.rows, rows, begins, ends)
        # a span is its own plain causal pass at offset 0
        is_masked = self.is_isolated and self.blocks.kinds[column] == FIRST
        batch = collate(pieces, range(len(rows)), is_masked, self.model.backbone.device)
        held = self.model.prefix_cache(batch)  # (batch, seq, layers, 2, kv_heads, head_dim)
        return held.permute(0, 2, 3, 4, 1, 5)

    def _run_text(
        self, column: int, rows: np.ndarray, begins: np.ndarray, ends: np.ndarray
    ) -> Tensor:
        """Run texts on the blocks before them; returns what `_run_alone` does."""
        before = [self._column(c, rows) for c in range(column)]
        columns = Columns([c for c in before if c], captures=True)
        whole = piece_rows(self.rows, rows, np.zeros_like(begins), ends)
        cut = attrs.evolve(whole, suffix=begins)
        device = self.model.backbone.device
        batch = collate(cut, range(len(rows)), self.is_isolated, device, only="suffix")
        self.model.tail_states(batch, columns)
        held = torch.stack(columns.captured)  # (layers, 2, batch, kv_heads, seq, head_dim)
        return held.permute(2, 0, 1, 3, 4, 5)

    def _column(self, column: int, rows: np.ndarray) -> Column | None:
        """Return what some rows look at in one place of the template; None: nothing."""
        numbers = self.blocks.ids[rows, column]
        sizes = self.blocks.sizes[numbers]
        if not sizes.any():
            return None
        found = self._fetch(column, rows)
        order, pieces = _arrange(numbers, sizes, found, self.model.backbone.device)
        device = self.model.backbone.device
        moved = None
        if self.blocks.kinds[column] == SPAN:
            moved = torch.from_numpy(self.blocks.cuts[rows, column]).to(device)
        is_ordered = bool((order == np.arange(len(order))).all())
        placed = None if is_ordered else torch.from_numpy(order).to(device)
        return Column(pieces, placed, moved, self.rotation)


def _arrange(
    numbers: np.ndarray, sizes: np.ndarray, found: dict[int, Tensor], device: torch.device
) -> tuple[np.ndarray, list[Piece]]:
    """Order the rows of a column and give each run of them its cached segment.

    Blocks that are worth a product of their own are read in place; the others are padded
    together. On a GPU all are, since small products cost their launch.
    """
    counts = {int(n): int(c) for n, c in zip(*np.unique(numbers, return_counts=True), strict=True)}
    work = np.array([counts[int(n)] * s for n, s in zip(numbers, sizes, strict=True)])
    is_shared = (work >= _SHARED_WORK) & (device.type == "cpu")
    order = np.lexsort((numbers, -sizes, ~is_shared)) if is_shared.any() else np.arange(len(sizes))
    pieces = []
    start, stop = 0, int(is_shared.sum())
    while start < stop:
        number = int(numbers[order[start]])
        end = start + counts[number]
        pieces.append(Piece(start, end, found[number]))
        start = end
    if stop < len(order):
        pieces.append(_padded(stop, numbers[order[stop:]], sizes[order[stop:]], found, device))
    return order, pieces


def _padded(
    start: int,
    numbers: np.ndarray,
    sizes: np.ndarray,
    found: dict[int, Tensor],
    device: torch.device,
) -> Piece:
    """Copy the blocks of some rows side by side."""
    longest = int(sizes.max())
    like = next(iter(found.values()))
    layers, two, heads, _, dim = like.shape
    held = like.new_empty((layers, two, heads, len(numbers), longest, dim), device=device)
    for place, (number, size) in enumerate(zip(numbers.tolist(), sizes.tolist(), strict=True)):
        held[:, :, :, place, size:].zero_()  # weighted by nothing, which a NaN would outlive
        if number in found:
            held[:, :, :, place, :size].copy_(found[number], non_blocking=True)
    hidden = None
    if int(sizes.min()) < longest:
        beyond = torch.from_numpy(np.arange(longest) >= sizes[:, None])
        hidden = torch.zeros(len(numbers), 1, longest).masked_fill_(beyond[:, None], -1e30)
        hidden = hidden.to(device)
    return Piece(start, start + len(numbers), held, hidden)
