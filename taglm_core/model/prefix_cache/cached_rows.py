"""Rows on cached segments: what they share is computed once, only suffixes for each of them."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.model.assembly import Rows
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import Batch, collate
from taglm_core.model.prefix_cache.attention import CachedAttention, Group, Slot
from taglm_core.model.prefix_cache.history import History
from taglm_core.model.prefix_cache.rotary import Rotation
from taglm_core.model.prefix_cache.segments import (
    FIRST,
    SPAN,
    Segments,
    divide_rows,
    partial_rows,
)
from taglm_core.model.prefix_cache.storage import SegmentStore
from taglm_core.model.tagged import TaggedModel

logger = logging.getLogger(__name__)

_SHARED_WORK = 384
"""Rows x tokens of a segment from which on it is read in place on a CPU, by its own product."""


class CachedRows:
    """Rows of one template, run on segments that are computed once."""

    def __init__(
        self,
        model: TaggedModel,
        rows: Rows,
        is_isolated: bool,
        rotation: Rotation | None,
        store: SegmentStore,
        max_tokens: int = 8192,
        with_text: bool = True,
        history: History | None = None,
    ) -> None:
        """Divide the rows; nothing is computed yet.

        Args:
            model: The tagged model; what stands before function tags must stay as it is.
            rows: Rows without errors.
            is_isolated: Attention of the template.
            rotation: Moves spans; None: the prefix of a row is one segment.
            store: Keeps segments; other rows may share it.
            max_tokens: Token budget of a forward batch.
            with_text: Whether the text before the function tag is a segment of its own. True in
                training, where it is used in every epoch and needs no gradient.
            history: What recurred in earlier rows, whose segments stay in the store; None: those
                that these rows do not need are dropped.
        """
        self.model = model
        self.rows = rows
        self.is_isolated = is_isolated
        self.rotation = rotation
        self.store = store
        self.max_tokens = max_tokens
        self.history = history
        is_movable = rotation is not None and is_isolated
        self.segments: Segments = divide_rows(rows, is_movable, with_text)
        # the last assignment wins, so every segment gets one of the rows that hold it, and the slot
        # in which that row does: a span may stand in another slot of another row
        self._slot_of = self.segments.slot_of
        self._row_of = np.zeros(len(self.segments.keys), dtype=np.int64)
        for slot in range(self.segments.ids.shape[1]):
            self._row_of[self.segments.ids[:, slot]] = np.arange(len(rows))
        self.suffixes = attrs.evolve(rows, suffix=self.segments.suffix_starts)
        """The rows, divided where the suffix begins that is computed for each of them."""

    @property
    def num_cached(self) -> int:
        """Rows all of whose segments are cached."""
        is_cached = np.array([key in self.store for key in self.segments.keys], dtype=bool)
        is_cached |= self.segments.sizes == 0
        return int(is_cached[self.segments.ids].all(axis=1).sum())

    @property
    def num_bytes(self) -> int:
        """Memory that cached segments take, those of other rows in the same store included."""
        return self.store.num_bytes

    def fill(
        self,
        on_progress: Callable[[int], None] | None = None,
        least_uses: int = 1,
        recurring: Collection[bytes] = (),
        only: np.ndarray | None = None,
        slots: Collection[int] | None = None,
    ) -> None:
        """Compute segments and keep them while the limit allows, those of the most rows first.

        Args:
            on_progress: Called with the number of segments done.
            least_uses: Segments of fewer rows are left to be computed when they are needed.
            recurring: Segments that are kept however few rows use them.
            only: bool `(rows,)`: rows whose segments are wanted; None: all.
            slots: Slots whose segments are wanted; None: all.
        """
        segments, slot_of, done = self.segments, self._slot_of, 0
        uses = segments.uses
        wanted = np.ones(len(uses), dtype=bool)
        if only is not None:
            wanted[:] = False
            wanted[segments.ids[only]] = True
        if slots is not None:
            wanted &= np.isin(slot_of, list(slots))
        missing = [
            number
            for number, key in enumerate(segments.keys)
            if key not in self.store
            and segments.sizes[number]
            and wanted[number]
            and (uses[number] >= least_uses or key in recurring)
        ]
        if not missing:
            return
        per_token = self._bytes_per_token(missing[0])
        if self.history is not None:
            sizes = {segments.keys[n]: int(segments.sizes[n]) * per_token for n in missing}
            self.history.make_room(sizes, set(segments.keys))
        order = sorted(missing, key=lambda n: (-int(uses[n]), int(slot_of[n])))
        fitting = np.cumsum([free // per_token for _, free in self.store.free])
        # those of the most rows lie in the quickest place
        places = np.searchsorted(fitting, np.cumsum(segments.sizes[order]))
        chosen = np.array(order, dtype=np.int64)[places < len(fitting)]
        place_of = dict(zip(order, places.tolist(), strict=True))
        for slot in range(len(segments.kinds)):  # a text needs the segments before it
            for numbers in self._batches(chosen[slot_of[chosen] == slot]):
                for number, segment in self._compute(slot, numbers).items():
                    self.store.put(segments.keys[number], segment, place_of[number])
                done += len(numbers)
                if on_progress is not None:
                    on_progress(done)

    def prepare(self) -> None:
        """Keep what several of these rows need, and drop what none of them does.

        With a history, what earlier rows needed is kept too, as far as the limit allows.
        """
        if self.history is None:
            self.store.keep_only(set(self.segments.keys))
            self.fill(least_uses=2)
            return
        keys = self.segments.keys
        self.fill(least_uses=2, recurring=self.history.recurring(keys))
        self.history.note(keys)

    def _bytes_per_token(self, number: int) -> int:
        if not self.store.token_bytes:
            slot = int(self._slot_of[number])
            segment = self._compute(slot, [number])[number]
            size = segment.numel() * segment.element_size()
            self.store.token_bytes = size // segment.shape[3]
        return self.store.token_bytes

    def _batches(self, numbers: np.ndarray) -> Iterable[list[int]]:
        for batch in batches_by_tokens(self.segments.sizes[numbers], self.max_tokens):
            yield [int(n) for n in numbers[batch]]

    def states(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, Batch]:
        """Run the suffixes of some rows on their segments.

        Returns:
            Hidden states `(batch, seq, hidden)` and the suffixes, padded on the right.
        """
        chosen = np.asarray(indices)
        slots = [self._slot(k, chosen) for k in range(len(self.segments.kinds))]
        device = self.model.backbone.device
        batch = collate(self.suffixes, chosen, self.is_isolated, device, only="suffix")
        return CachedAttention([slot for slot in slots if slot]).run(self.model, batch), batch

    def _fetch(self, slot: int, rows: np.ndarray) -> dict[int, Tensor]:
        """Return the segments of some rows, computing those that are not cached."""
        found: dict[int, Tensor] = {}
        missing = []
        for number in np.unique(self.segments.ids[rows, slot]).tolist():
            cached = self.store.get(self.segments.keys[number])
            if cached is not None:
                found[number] = cached
            elif self.segments.sizes[number]:
                missing.append(number)
        for numbers in self._batches(np.array(missing, dtype=np.int64)):
            found |= self._compute(slot, numbers)
        return found

    @torch.no_grad()
    def _compute(self, slot: int, numbers: Sequence[int]) -> dict[int, Tensor]:
        """Compute segments of a slot: number -> view `(layers, 2, kv_heads, keys, head_dim)`."""
        segments = self.segments
        rows = self._row_of[list(numbers)]
        slots = self._slot_of[list(numbers)]
        begins, ends = segments.boundaries[rows, slots], segments.boundaries[rows, slots + 1]
        if segments.kinds[slot] in (FIRST, SPAN):
            layered = self._run_alone(slot, rows, begins, ends)
        else:
            layered = self._run_text(slot, rows, begins, ends)
        return {
            number: layered[place, :, :, :, : int(end - begin)]
            for place, (number, begin, end) in enumerate(zip(numbers, begins, ends, strict=True))
        }

    def _run_alone(
        self, slot: int, rows: np.ndarray, begins: np.ndarray, ends: np.ndarray
    ) -> Tensor:
        """Run segments that look at nothing before them.

        Returns:
            `(segments, layers, 2, kv_heads, seq, head_dim)`.
        """
        pieces = partial_rows(self.rows, rows, begins, ends)
        # a span is its own plain causal pass at offset 0
        is_masked = self.is_isolated and self.segments.kinds[slot] == FIRST
        batch = collate(pieces, range(len(rows)), is_masked, self.model.backbone.device)
        states = self.model.keys_and_values(batch)  # (batch, seq, layers, 2, kv_heads, head_dim)
        return states.permute(0, 2, 3, 4, 1, 5)

    def _run_text(
        self, slot: int, rows: np.ndarray, begins: np.ndarray, ends: np.ndarray
    ) -> Tensor:
        """Run texts on the segments before them; returns what `_run_alone` does."""
        before = [self._slot(k, rows) for k in range(slot)]
        attention = CachedAttention([each for each in before if each], captures=True)
        whole = partial_rows(self.rows, rows, np.zeros_like(begins), ends)
        cut = attrs.evolve(whole, suffix=begins)
        device = self.model.backbone.device
        batch = collate(cut, range(len(rows)), self.is_isolated, device, only="suffix")
        attention.run(self.model, batch)
        states = torch.stack(attention.captured)  # (layers, 2, batch, kv_heads, seq, head_dim)
        return states.permute(2, 0, 1, 3, 4, 5)

    def _slot(self, slot: int, rows: np.ndarray) -> Slot | None:
        """Return what some rows look at in one place of the template; None: nothing."""
        numbers = self.segments.ids[rows, slot]
        sizes = self.segments.sizes[numbers]
        if not sizes.any():
            return None
        found = self._fetch(slot, rows)
        order, groups = _arrange(numbers, sizes, found, self.model.backbone.device)
        device = self.model.backbone.device
        moved = None
        if self.segments.kinds[slot] == SPAN:
            moved = torch.from_numpy(self.segments.boundaries[rows, slot]).to(device)
        is_ordered = bool((order == np.arange(len(order))).all())
        placed = None if is_ordered else torch.from_numpy(order).to(device)
        return Slot(groups, placed, moved, self.rotation)


def _arrange(
    numbers: np.ndarray, sizes: np.ndarray, found: dict[int, Tensor], device: torch.device
) -> tuple[np.ndarray, list[Group]]:
    """Order the rows of a slot and give each run of them its cached segment.

    Segments that are worth a product of their own are read in place; the others are padded
    together. On a GPU all are, since small products cost their launch.
    """
    counts = {int(n): int(c) for n, c in zip(*np.unique(numbers, return_counts=True), strict=True)}
    work = np.array([counts[int(n)] * s for n, s in zip(numbers, sizes, strict=True)])
    is_shared = (work >= _SHARED_WORK) & (device.type == "cpu")
    order = np.lexsort((numbers, -sizes, ~is_shared)) if is_shared.any() else np.arange(len(sizes))
    groups = []
    start, stop = 0, int(is_shared.sum())
    while start < stop:
        number = int(numbers[order[start]])
        end = start + counts[number]
        groups.append(Group(start, end, found[number]))
        start = end
    if stop < len(order):
        groups.append(_padded(stop, numbers[order[stop:]], sizes[order[stop:]], found, device))
    return order, groups


def _padded(
    start: int,
    numbers: np.ndarray,
    sizes: np.ndarray,
    found: dict[int, Tensor],
    device: torch.device,
) -> Group:
    """Copy the segments of some rows side by side."""
    longest = int(sizes.max())
    like = next(iter(found.values()))
    layers, two, heads, _, dim = like.shape
    padded = like.new_empty((layers, two, heads, len(numbers), longest, dim), device=device)
    for place, (number, size) in enumerate(zip(numbers.tolist(), sizes.tolist(), strict=True)):
        padded[:, :, :, place, size:].zero_()  # weighted by nothing, which a NaN would outlive
        if number in found:
            padded[:, :, :, place, :size].copy_(found[number], non_blocking=True)
    hidden = None
    if int(sizes.min()) < longest:
        beyond = torch.from_numpy(np.arange(longest) >= sizes[:, None])
        hidden = torch.zeros(len(numbers), 1, longest).masked_fill_(beyond[:, None], -1e30)
        hidden = hidden.to(device)
    return Group(start, start + len(numbers), padded, hidden)


def screening_batches(cached: CachedRows, max_tokens: int) -> Iterator[np.ndarray]:
    """Yield batches of rows such that those which share the most work come together."""
    segments = cached.segments
    uses = segments.uses
    saved = [
        float((segments.sizes * (uses - 1) * (segments.slot_of == slot)).sum())
        for slot in range(len(segments.kinds))
    ]
    shared = segments.ids[:, int(np.argmax(saved))]
    order = np.lexsort((cached.rows.lengths - segments.sizes[shared], shared))
    longest = int((cached.rows.lengths - segments.suffix_starts).max())
    count = max(8, max_tokens // (4 * max(1, longest)))
    for start in range(0, len(order), count):
        yield order[start : start + count]
