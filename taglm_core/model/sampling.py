"""Drawing from logits such that each row has random numbers of its own."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class RowDraws:
    """Draws one token a row and step, from a generator of each row.

    The largest of logits plus Gumbel noise is an exact draw from their softmax, so a row's draws
    depend on its own generator and logits alone, not on the rows beside it.
    """

    def __init__(self, seeds: Sequence[int], temperature: float = 1.0, top_p: float = 1.0) -> None:
        """Start a generator a row.

        Args:
            seeds: One a row.
            temperature: Divides the logits.
            top_p: Share of probability that is kept, the most probable tokens first.
        """
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.temperature = temperature
        self.top_p = top_p

    def noisy(self, logits: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Return logits whose largest entry is a draw: `(rows, tokens)` to the same.

        Args:
            logits: fp `(rows, tokens)`.
            rows: Which generators; None: all in order.
        """
        chosen = range(len(self.generators)) if rows is None else rows
        scaled = self._kept(logits.float() / self.temperature)
        noise = torch.stack(
            [
                torch.empty(logits.shape[1]).exponential_(generator=self.generators[i])
                for i in chosen
            ]
        )
        gumbel = -noise.clamp_min(1e-30).log()  # -log of an exponential variate is Gumbel
        return scaled + gumbel.to(scaled.device)

    def draw(self, logits: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Return one token a row: fp `(rows, tokens)` to int64 `(rows,)`."""
        return self.noisy(logits, rows).argmax(dim=1)

    def _kept(self, logits: Tensor) -> Tensor:
        """Put -inf wherever the more probable tokens already reach `top_p`."""
        if self.top_p >= 1:
            return logits
        ordered, order = logits.sort(dim=1, descending=True)
        before = ordered.softmax(dim=1).cumsum(dim=1) - ordered.softmax(dim=1)
        is_out = torch.zeros_like(logits, dtype=torch.bool).scatter(1, order, before >= self.top_p)
        return logits.masked_fill(is_out, -torch.inf)


def row_seed(seed: int, content: np.ndarray | bytes) -> int:
    """Return the seed of a row, from the run's seed and what stands in the row."""
    raw = content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes()
    digest = hashlib.blake2b(seed.to_bytes(8, "big", signed=True) + raw, digest_size=7)
    return int.from_bytes(digest.digest(), "big")
