"""Drawing rows from a domain by its own decode loop."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.inference.domains import TrainedDomain
from taglm_core.model.sampling import RowDraws, row_seed

_BYTES = 2**30
_FEWEST_ROWS, _MOST_ROWS = 16, 512
_CROWDED = 0.8
"""Share of a batch that is still drawn below which the rows that have ended leave it."""


@attrs.frozen
class Drawn:
    """Rows drawn from a domain."""

    rows: list[str]
    is_finished: list[bool]
    """False: cut at the longest length before the end was drawn."""


@torch.no_grad()
def draw(
    trained: TrainedDomain,
    count: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_length: int = 256,
    seed: int = 0,
    batch_size: int | None = None,
    guidance: float = 1.0,
    on_progress: Callable[[int], None] | None = None,
) -> Drawn:
    """Draw rows symbol by symbol from the domain's softmax.

    Each row has random numbers of its own, so the batch size changes nothing.

    Args:
        trained: The domain, with or without its tag.
        count: How many rows.
        temperature: Divides the logits.
        top_p: Share of probability that is kept, the most probable symbols first.
        max_length: Most symbols of a row.
        seed: Seed of the draws.
        batch_size: Rows that are drawn at a time; None: as many as fit into 1 GiB, at most 512.
        guidance: How often what the conditions change counts: log p + guidance (log p with the
            conditions - log p), classifier-free guidance (Sanchez et al. 2023, arXiv 2306.17806).
            1: the conditions as trained.
        on_progress: Called with the number of rows done.
    """
    pieces: list[list[int]] = []
    finished: list[bool] = []
    start = _Step.start(trained, guidance)
    limit = min(max_length, trained.model.backbone.max_positions - len(trained.before()))
    if batch_size is None:
        batch_size = start.fitting(limit)
    for first in range(0, count, batch_size):
        numbers = range(first, min(first + batch_size, count))
        seeds = [row_seed(seed, str(number).encode()) for number in numbers]
        ids, ended = _batch(start.rows(len(seeds)), RowDraws(seeds, temperature, top_p), limit)
        pieces += ids
        finished += ended
        if on_progress is not None:
            on_progress(len(pieces))
    return Drawn([trained.decode(piece) for piece in pieces], finished)


@attrs.define
class _Step:
    """The next symbol of some rows, after what stands before them."""

    trained: TrainedDomain
    guidance: float
    caches: list[Any]
    """A transformers cache; with guidance a second one, without the conditions."""
    logits: Tensor
    """fp32 `(rows, symbols + 1)`."""

    @staticmethod
    def start(trained: TrainedDomain, guidance: float) -> "_Step":
        """Run what stands before every row once, as one row."""
        from transformers import DynamicCache

        befores = [trained.before()]
        if guidance != 1 and trained.conditions:
            befores.append(trained.before(with_conditions=False))
        step = _Step(trained, guidance, [DynamicCache() for _ in befores], torch.zeros(1, 1))
        device = trained.model.backbone.device
        step._run([torch.from_numpy(b.astype(np.int64)).to(device)[None] for b in befores])
        step.logits[:, trained.softmax.end] = -torch.inf  # an empty row is no row
        return step

    def fitting(self, limit: int) -> int:
        """Return how many rows of `limit` symbols have room for their keys and values."""
        row = 0.0
        for cache in self.caches:
            held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
            row += held * (1 + limit / cache.get_seq_length())
        return max(_FEWEST_ROWS, min(_MOST_ROWS, int(_BYTES / row)))

    def rows(self, count: int) -> "_Step":
        """Return the same for so many rows."""
        caches = copy.deepcopy(self.caches)
        for cache in caches:
            cache.batch_repeat_interleave(count)
        return attrs.evolve(self, caches=caches, logits=self.logits.expand(count, -1))

    def keep(self, places: Sequence[int]) -> None:
        """Drop all rows but these."""
        chosen = torch.tensor(places, device=self.trained.model.backbone.device)
        for cache in self.caches:
            cache.batch_select_indices(chosen)

    def take(self, symbols: Tensor) -> None:
        """Append a symbol to each row, int64 `(rows,)`."""
        ids = (symbols + self.trained.base).unsqueeze(1).to(self.trained.model.backbone.device)
        self._run([ids] * len(self.caches))

    def _run(self, ids: Sequence[Tensor]) -> None:
        """Run tokens `(rows, tokens)` for each cache."""
        model, found = self.trained.model, []
        for tokens, cache in zip(ids, self.caches, strict=True):
            past = cache.get_seq_length()
            positions = torch.arange(past, past + tokens.shape[1], device=tokens.device)
            states = model.run(tokens, None, positions.expand_as(tokens), cache)
            found.append(self.trained.softmax.logits(states[:, -1]))
        if len(found) > 1:
            guided, plain = (logits.log_softmax(dim=1) for logits in found)
            found[0] = plain + self.guidance * (guided - plain)
        self.logits = found[0]


def _batch(step: _Step, draws: RowDraws, limit: int) -> tuple[list[list[int]], list[bool]]:
    """Draw one batch; rows that have ended leave it once they are a share of it."""
    end, count = step.trained.softmax.end, len(draws.generators)
    present = list(range(count))  # the row at each place of the batch
    pieces: list[list[int]] = [[] for _ in range(count)]
    is_done = [False] * count
    while True:
        going = [place for place, row in enumerate(present) if not is_done[row]]
        rows = [present[place] for place in going]
        last = torch.zeros(len(present), dtype=torch.long)
        chosen = draws.draw(step.logits[going], rows).tolist()
        for place, row, symbol in zip(going, rows, chosen, strict=True):
            if symbol == end:
                is_done[row] = True
            else:
                pieces[row].append(symbol)
                last[place] = symbol
        going = [place for place in going if not is_done[present[place]]]
        if not going or len(pieces[present[going[0]]]) >= limit:
            return pieces, is_done
        if len(going) <= _CROWDED * len(present):  # each time copies the cache
            step.keep(going)
            present, last = [present[place] for place in going], last[going]
        step.take(last)
