"""Whole prefixes in the caches of transformers, for rows that cached segments do not fit.

While only the function tag and the head are trained, the keys and values of everything before the
function tag never change, so a training step costs `tag_length` tokens a row.
"""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from taglm_core.model.assembly import Rows
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import Batch, collate
from taglm_core.model.tagged import PastBatch, TaggedModel

logger = logging.getLogger(__name__)


class WholePrefixes:
    """Keys and values of the prefixes of a set of rows, as many as the limit allows.

    An epoch is a scan, so a fixed share is cached and the rest is run again each time.
    """

    def __init__(
        self,
        model: TaggedModel,
        rows: Rows,
        is_isolated: bool,
        limit_bytes: int,
        max_tokens: int = 8192,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        """Run the prefixes and keep them.

        Args:
            model: The tagged model; its prefix parameters must stay as they are.
            rows: Rows without errors.
            is_isolated: Attention of the template.
            limit_bytes: Most memory that the store may take.
            max_tokens: Token budget of a forward batch.
            on_progress: Called with the number of rows done.
        """
        self.model = model
        self.rows = rows
        self.is_isolated = is_isolated
        self.starts = np.full(len(rows), -1, dtype=np.int64)
        self.cached: Tensor | None = None
        self._fill(limit_bytes, max_tokens, on_progress)

    @property
    def num_cached(self) -> int:
        """Rows whose prefix is kept."""
        return int((self.starts >= 0).sum())

    @property
    def num_bytes(self) -> int:
        """Memory that the kept prefixes take."""
        return 0 if self.cached is None else self.cached.numel() * self.cached.element_size()

    def _fill(self, limit: int, max_tokens: int, on_progress: Callable[[int], None] | None) -> None:
        lengths = self.rows.suffix
        if not len(self.rows) or int(lengths.max()) == 0:
            return
        first = self._run([0])  # one row tells the bytes of a token
        per_token = first[0, 0].numel() * first.element_size()
        most = limit // per_token
        kept = np.flatnonzero(np.cumsum(lengths) <= most)
        if not len(kept):
            return
        ends = np.cumsum(lengths[kept])
        self.cached = torch.empty(
            (int(ends[-1]), *first.shape[2:]), dtype=first.dtype, device=first.device
        )
        done = 0
        for indices in batches_by_tokens(lengths[kept], max_tokens):
            chosen = kept[indices]
            past = self._run(chosen)
            for place, row in enumerate(chosen):
                length = int(lengths[row])
                start = int(ends[indices[place]]) - length
                self.cached[start : start + length] = past[place, :length]
                self.starts[row] = start
            done += len(chosen)
            if on_progress is not None:
                on_progress(done)

    def _run(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        batch = collate(
            self.rows, indices, self.is_isolated, self.model.backbone.device, only="prefix"
        )
        return self.model.keys_and_values(batch)

    def states(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, Batch]:
        """Run the suffixes of some rows: `(batch, seq, hidden)`, and the suffixes."""
        device = self.model.backbone.device
        batch = collate(self.rows, indices, self.is_isolated, device, only="suffix")
        return self.model.suffix_states(batch, self.gather(indices)), batch

    def gather(self, indices: Sequence[int] | np.ndarray) -> PastBatch:
        """Return the prefixes of some rows, padded on the left."""
        chosen = np.asarray(indices)
        lengths = self.rows.suffix[chosen]
        longest = int(lengths.max())
        column = np.arange(longest)
        offset = column - (longest - lengths)[:, None]  # (batch, past): place in the prefix
        real = offset >= 0
        missing = np.flatnonzero(self.starts[chosen] < 0)
        is_real = torch.from_numpy(real).to(self.model.backbone.device)
        if self.cached is not None and not len(missing):
            flat = np.where(real, self.starts[chosen][:, None] + offset, 0)
            gathered = self.cached[torch.from_numpy(flat).to(self.cached.device)]
            return PastBatch(gathered, is_real)
        ran = self._run(chosen[missing])
        gathered = torch.zeros(
            (len(chosen), longest, *ran.shape[2:]), dtype=ran.dtype, device=ran.device
        )
        run_at = {int(place): k for k, place in enumerate(missing)}
        for place, row in enumerate(chosen):
            length = int(lengths[place])
            if place in run_at:
                piece = ran[run_at[place], :length]
            else:
                start = int(self.starts[row])
                piece = self.cached[start : start + length]  # type: ignore[index]
            gathered[place, longest - length :] = piece
        return PastBatch(gathered, is_real)
