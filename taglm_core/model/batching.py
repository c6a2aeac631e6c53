"""Batches by token budget: rows of like length together, so that little is padded."""

from collections.abc import Iterator, Sequence

import numpy as np

_SMALL = 2048
"""Tokens up to which a batch may be padded anyhow."""


def batches_by_tokens(
    lengths: Sequence[int] | np.ndarray,
    max_tokens: int,
    max_rows: int | None = None,
    rng: np.random.Generator | None = None,
    most_padding: float | None = None,
) -> Iterator[np.ndarray]:
    """Yield index batches whose padded size stays within a token budget.

    Rows are sorted by length and cut into batches; every row comes once. With `rng` rows of equal
    length are shuffled among each other and the batches come in random order.

    Args:
        lengths: Tokens of each row.
        max_tokens: Most rows x longest row of a batch; a longer single row is a batch by itself.
        max_rows: Most rows of a batch; None: no limit.
        most_padding: Share of padding beyond which a batch is cut; small batches, whose overhead
            would be more than what they pad, are not. None: no limit.
        rng: Source of the order; None: longest first, which shows at once whether memory holds.

    Yields:
        int64 `(rows_of_batch,)` indices.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if not len(sizes):
        return
    order = np.argsort(-sizes, kind="stable")
    if rng is not None:
        # a little noise mixes neighbors, so that batches differ between epochs
        noise = rng.uniform(0.97, 1.03, size=len(sizes))
        order = np.argsort(-(sizes * noise), kind="stable")
    cuts = []
    start = 0
    while start < len(order):
        count = max(1, max_tokens // max(1, int(sizes[order[start]])))
        # under the noise a later row may be a little longer than the first
        longest = int(sizes[order[start : start + count]].max())
        count = max(1, max_tokens // max(1, longest))
        if max_rows is not None:
            count = min(count, max_rows)
        if most_padding is not None:
            count = _unpadded(sizes[order[start : start + count]], most_padding)
        cuts.append(order[start : start + count])
        start += count
    if rng is not None:
        cuts = [cuts[i] for i in rng.permutation(len(cuts))]
    yield from cuts


def _unpadded(sizes: np.ndarray, most_padding: float) -> int:
    """Return how many of the leading rows make a batch of little padding."""
    rows = np.arange(1, len(sizes) + 1)
    area = rows * np.maximum.accumulate(sizes)
    fits = (np.cumsum(sizes) >= (1 - most_padding) * area) | (area <= _SMALL)
    return int(np.flatnonzero(fits)[-1]) + 1
