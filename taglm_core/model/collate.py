"""Padded batches of assembled rows, and their attention masks."""

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.errors import ConfigError
from taglm_core.model.assembly import Rows

IGNORED = -100


@attrs.frozen
class Batch:
    """Padded rows, ready to be embedded."""

    ids: Tensor
    """int64 `(batch, seq)`; padding holds 0."""
    is_real: Tensor
    """bool `(batch, seq)`: False at padding."""
    position_ids: Tensor
    """int64 `(batch, seq)`: counted from each row's first real token."""
    spans: Tensor | None
    """int8 `(batch, seq)` span numbers when isolated, None when causal."""
    read: Tensor
    """int64 `(batch,)`: where in `seq` each row's function tag ends."""

    @property
    def lengths(self) -> Tensor:
        """int64 `(batch,)`: real tokens of each row."""
        return self.is_real.sum(dim=1)

    def mask(self, dtype: torch.dtype) -> Tensor | None:
        """Return the attention mask for the backbone.

        Returns:
            None for causal rows padded on the right, whose real tokens never see padding;
            int64 `(batch, seq)` for causal rows padded on the left; float
            `(batch, 1, seq, seq)` when isolated: 0 where a query sees a key, else the lowest
            number of `dtype`. A span sees itself, everything else sees all before it.
        """
        if self.spans is None:
            return None if bool(self.is_real[:, 0].all()) else self.is_real.long()
        seq = self.ids.shape[1]
        causal = torch.ones(seq, seq, dtype=torch.bool, device=self.ids.device).tril()
        query, key = self.spans.unsqueeze(2), self.spans.unsqueeze(1)
        sees = causal & ((query == 0) | (query == key)) & self.is_real.unsqueeze(1)
        # a padded query sees itself, so that no softmax runs over nothing
        sees |= torch.eye(seq, dtype=torch.bool, device=self.ids.device)
        blocked = torch.zeros(sees.shape, dtype=dtype, device=self.ids.device)
        return blocked.masked_fill(~sees, torch.finfo(dtype).min).unsqueeze(1)


def collate(
    rows: Rows,
    indices: Sequence[int] | np.ndarray,
    is_isolated: bool,
    device: torch.device | str = "cpu",
    side: str = "right",
    only: str = "all",
) -> Batch:
    """Pad rows to the longest.

    Args:
        rows: Assembled rows.
        indices: Which of them.
        is_isolated: Whether to carry span numbers for the mask.
        device: Where the tensors go.
        side: Padding side, "right" or "left".
        only: "all"; "prefix": up to the function tag; "suffix": from the function tag on.

    Raises:
        ConfigError: for another `side` or `only`.
    """
    if side not in ("right", "left") or only not in ("all", "prefix", "suffix"):
        raise ConfigError(f"collate: side={side!r}, only={only!r} is not known.")
    chosen = [int(i) for i in indices]
    begin = [int(rows.suffix[i]) if only == "suffix" else 0 for i in chosen]
    stop = [int(rows.suffix[i]) if only == "prefix" else len(rows.ids[i]) for i in chosen]
    lengths = np.array(stop) - np.array(begin)
    seq = int(lengths.max()) if len(lengths) else 0
    ids = np.zeros((len(chosen), seq), dtype=np.int64)
    spans = np.zeros((len(chosen), seq), dtype=np.int8)
    starts = np.zeros(len(chosen), dtype=np.int64) if side == "right" else seq - lengths
    for place, i in enumerate(chosen):
        where = slice(int(starts[place]), int(starts[place] + lengths[place]))
        ids[place, where] = rows.ids[i][begin[place] : stop[place]]
        spans[place, where] = rows.spans[i][begin[place] : stop[place]]
    column = np.arange(seq)
    is_real = (column >= starts[:, None]) & (column < (starts + lengths)[:, None])
    positions = np.maximum(column - starts[:, None], 0) + np.array(begin)[:, None]
    read = rows.read[chosen] - np.array(begin) + starts
    return Batch(
        ids=torch.from_numpy(ids).to(device),
        is_real=torch.from_numpy(is_real).to(device),
        position_ids=torch.from_numpy(positions).to(device),
        spans=torch.from_numpy(spans).to(device) if is_isolated else None,
        read=torch.from_numpy(np.asarray(read)).to(device),
    )
