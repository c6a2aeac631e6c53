"""A head of any kind that reads features beside the states."""

import torch
from torch import Tensor, nn

from taglm_core.model.standardized import Standardized

_WEIGHT_OF_STATES = 0.1
"""Of a standard deviation of a state's column. Many columns of states, equal to those of the
features, drown these in training: with them the validation error on drug pairs (O'Neil) was 11.7
instead of 10.6 after 30 passes; variants of a protein (GB1) gave nearly the same for 0.1 and 1."""


class FeatureHead(Standardized):
    """A head that reads states, then features: standardized, cut off and weighted."""

    def __init__(self, inner: nn.Module, num_states: int, num_features: int) -> None:
        """Put a head behind, whose own standardization is not used.

        Args:
            inner: Reads `(batch, num_states + num_features)`.
            num_states: The first columns of what is read.
            num_features: The others.
        """
        super().__init__(num_states + num_features)
        self.inner = inner
        self.num_states = num_states

    def forward(self, rows: Tensor) -> Tensor:
        """Map `(batch, width)` to `(batch, num_outputs)`."""
        outputs: Tensor = self.inner(self.scaled(rows))
        return outputs

    @torch.no_grad()
    def adapt_to(self, rows: Tensor) -> None:
        """Take the mean and spread of each column of training rows `(rows, width)`."""
        self.take_units(rows)
        self.factor[: self.num_states] *= _WEIGHT_OF_STATES
