"""A head of any kind that reads features beside the states."""

import torch
from torch import Tensor, nn

_MOST_DEVIATIONS = 5.0
_WEIGHT_OF_STATES = 0.1
"""Of a standard deviation of a state's column. Many columns of states, equal to those of the
features, drown these in training: with them the validation error on drug pairs (O'Neil) was 11.7
instead of 10.6 after 30 passes; variants of a protein (GB1) gave nearly the same for 0.1 and 1."""


class FeatureHead(nn.Module):
    """A head that reads states, then features: standardized, cut off and weighted.

    Columns that do not vary in the training rows are left out, whatever they are in other rows.
    """

    mean: Tensor
    factor: Tensor
    weight: Tensor

    def __init__(self, inner: nn.Module, num_states: int, num_features: int) -> None:
        """Put a head behind, whose own standardization is not used.

        Args:
            inner: Reads `(batch, num_states + num_features)`.
            num_states: The first columns of what is read.
            num_features: The others.
        """
        super().__init__()
        self.inner = inner
        width = num_states + num_features
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("factor", torch.zeros(width))
        weight = torch.ones(width)
        weight[:num_states] = _WEIGHT_OF_STATES
        self.register_buffer("weight", weight)

    def scaled(self, rows: Tensor) -> Tensor:
        """Return rows `(batch, width)` as the inner head reads them."""
        deviations = (rows.float() - self.mean) * self.factor
        return deviations.clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS) * self.weight

    def forward(self, rows: Tensor) -> Tensor:
        """Map `(batch, width)` to `(batch, num_outputs)`."""
        outputs: Tensor = self.inner(self.scaled(rows))
        return outputs

    @torch.no_grad()
    def adapt_to(self, rows: Tensor) -> None:
        """Take the mean and spread of each column of training rows `(rows, width)`."""
        self.mean.copy_(rows.mean(dim=0))
        std = rows.std(dim=0, correction=0)
        is_varied = std > 1e-6 * (self.mean.abs() + 1e-6)
        self.factor.copy_(torch.where(is_varied, 1 / std, torch.zeros_like(std)))
