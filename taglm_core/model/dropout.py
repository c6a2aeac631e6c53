"""Dropout whose mask is made of random bytes."""

import torch
from torch import Tensor, nn

_VALUES = 256
_LEAST, _MOST = -(2**63), 2**63 - 1


class ByteDropout(nn.Module):
    """Leaves out a share of all numbers in training, in steps of 1/256, and scales the others.

    torch draws a number for each element, which on a CPU takes longer than the products of a small
    head; here one draw serves eight elements.
    """

    def __init__(self, share: float) -> None:
        """Keep the share.

        Args:
            share: From 0 to below 1.
        """
        super().__init__()
        self.num_dropped = min(_VALUES - 1, round(share * _VALUES))

    def forward(self, values: Tensor) -> Tensor:
        """Return the values, in training without a share of them."""
        if not (self.training and self.num_dropped):
            return values
        words = torch.empty(-(-values.numel() // 8), dtype=torch.int64, device=values.device)
        mask = words.random_(_LEAST, _MOST).view(torch.uint8)[: values.numel()]
        kept = mask.view(values.shape) >= self.num_dropped
        return values * kept * (_VALUES / (_VALUES - self.num_dropped))

    def extra_repr(self) -> str:
        """Return the share as it is."""
        return f"share={self.num_dropped / _VALUES}"
