"""What a head reads, in units of the training rows."""

import torch
from torch import Tensor, nn

MOST_DEVIATIONS = 5.0
"""Standard deviations at which a column is cut off."""


class Standardized(nn.Module):
    """Standardizes columns, cuts them off at five standard deviations and weighs them.

    Columns that do not vary in the training rows are left out, whatever they are in other rows.
    """

    mean: Tensor
    std: Tensor
    factor: Tensor

    def __init__(self, width: int) -> None:
        """Make room for the numbers of training rows.

        Args:
            width: Columns.
        """
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.register_buffer("factor", torch.zeros(width))

    @torch.no_grad()
    def take_units(self, rows: Tensor) -> None:
        """Take zero and unit of each column from training rows `(rows, width)`, weights 1 or 0."""
        self.mean.copy_(rows.mean(dim=0))
        std = rows.std(dim=0, correction=0)
        is_varied = std > 1e-6 * (self.mean.abs() + 1e-6)
        self.std.copy_(torch.where(is_varied, std, torch.ones_like(std)))
        self.factor.copy_(is_varied)

    def scaled(self, rows: Tensor) -> Tensor:
        """Return rows `(rows, width)` in units of the training rows, times their weights."""
        deviations = (rows.float() - self.mean) / self.std
        return deviations.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS) * self.factor
