"""Segments: how rows divide into what can be computed once.

Before a row's function tag stand segments whose keys and values do not depend on the tag. In an
isolated template with several spans, every span from the second on is a segment by itself, the same
wherever it occurs; what stands before the second span is one segment, which holds the first span;
text between later spans depends on all before it. Otherwise the whole prefix is one segment; where
rows are run once, it ends with the last span, so that prompts of several tasks share it.
"""

import hashlib
from collections.abc import Sequence

import attrs
import numpy as np

from taglm_core.model.assembly import Rows

FIRST, SPAN, TEXT = "first", "span", "text"
"""From the row's beginning; an own causal pass at offset 0; depends on all before it."""


@attrs.frozen(eq=False)
class Segments:
    """The segments of a set of rows, one slot for each place in the template."""

    kinds: tuple[str, ...]
    """Kind of each slot."""
    boundaries: np.ndarray
    """int64 `(rows, slots + 1)`: where each segment begins, and at last the suffix."""
    ids: np.ndarray
    """int64 `(rows, slots)`: number of the distinct segment, an index into the two below."""
    keys: tuple[bytes, ...]
    """One digest a distinct segment: of its tokens, for text of all tokens before it too."""
    sizes: np.ndarray
    """int64 `(distinct segments,)`: their tokens."""

    @property
    def uses(self) -> np.ndarray:
        """int64 `(distinct segments,)`: rows that look at each."""
        return np.bincount(self.ids.ravel(), minlength=len(self.keys))

    @property
    def slot_of(self) -> np.ndarray:
        """int64 `(distinct segments,)`: the slot of each."""
        found = np.zeros(len(self.keys), dtype=np.int64)
        for slot in range(self.ids.shape[1]):
            found[self.ids[:, slot]] = slot
        return found

    @property
    def suffix_starts(self) -> np.ndarray:
        """int64 `(rows,)`: where the suffix begins that is computed for each row."""
        return self.boundaries[:, -1]


def divide_rows(rows: Rows, is_movable: bool, with_text: bool) -> Segments:
    """Divide rows without errors into segments.

    Args:
        rows: Assembled rows of one template.
        is_movable: Whether spans may be read at another place than where they were computed:
            isolated attention on a backbone that allows it.
        with_text: True: the text between the last span and the function tag is a segment; False:
            it belongs to the suffix.
    """
    count = max((int(spans.max()) for spans in rows.spans if len(spans)), default=0)
    if not is_movable or count < 2:
        kinds: tuple[str, ...] = (FIRST,)
        end = rows.suffix if with_text else _span_ends(rows)
        boundaries = np.stack([np.zeros_like(end), end], axis=1)
    else:
        kinds = (FIRST, *(SPAN, TEXT) * (count - 1))
        boundaries = np.zeros((len(rows), len(kinds) + 1), dtype=np.int64)
        for row, spans in enumerate(rows.spans):
            bounds = np.searchsorted(_running_span(spans), np.arange(2, count + 1))
            ends = [int(np.flatnonzero(spans == k)[-1]) + 1 for k in range(2, count + 1)]
            boundaries[row, 1:-1:2], boundaries[row, 2::2] = bounds, ends
            boundaries[row, -1] = rows.suffix[row]
        if not with_text:
            kinds, boundaries = kinds[:-1], boundaries[:, :-1]
    ids, keys, sizes = _number(rows, kinds, boundaries)
    return Segments(kinds, boundaries, ids, keys, sizes)


def _span_ends(rows: Rows) -> np.ndarray:
    """Return where the last span of each row ends, the function tag's place without spans.

    What follows differs between tasks, so that a segment which ends here serves all of them.
    """
    ends = rows.suffix.copy()
    for row, spans in enumerate(rows.spans):
        inside = np.flatnonzero(spans)
        if len(inside):
            ends[row] = inside[-1] + 1
    return ends


def _running_span(spans: np.ndarray) -> np.ndarray:
    """Return for each place the highest span number so far."""
    return np.maximum.accumulate(spans)


def _number(
    rows: Rows, kinds: Sequence[str], boundaries: np.ndarray
) -> tuple[np.ndarray, tuple[bytes, ...], np.ndarray]:
    known: dict[bytes, int] = {}
    sizes: list[int] = []
    ids = np.zeros((len(rows), len(kinds)), dtype=np.int64)
    for row, stream in enumerate(rows.ids):
        for slot, kind in enumerate(kinds):
            begin, end = boundaries[row, slot], boundaries[row, slot + 1]
            seen = stream[(0 if kind == TEXT else begin) : end]
            digest = hashlib.blake2b(seen.tobytes(), digest_size=15).digest()
            key = kind[:1].encode() + digest
            if key not in known:
                known[key] = len(sizes)
                sizes.append(int(end - begin))
            ids[row, slot] = known[key]
    return ids, tuple(known), np.array(sizes, dtype=np.int64)


def partial_rows(
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
    chosen_parts = list(zip(chosen, parts, strict=True))
    lengths = np.asarray(ends) - np.asarray(begins)
    return Rows(
        [rows.ids[i][part] for i, part in chosen_parts],
        [rows.spans[i][part] for i, part in chosen_parts],
        lengths,
        np.maximum(lengths - 1, 0),
        [None] * len(chosen_parts),
    )
