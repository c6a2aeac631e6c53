"""Heads of any kind that read features beside the states, and their mean."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from taglm_core.model.standardized import Standardized

NUM_MEMBERS = 3
"""Heads that are fitted side by side and averaged."""
WEIGHTS_OF_STATES = (0.03, 1.0)
"""Of a standard deviation of a state's column; validation chooses. Many columns of states, equal to
those of the features, may drown these in training: on drug pairs (O'Neil, one head) the validation
error was 11.7 with 1, 10.55 with 0.1, 10.4 with 0.03 and 10.5 without states. On affinities (Davis)
the loss was 0.642 with 1 and 0.656 with 0.03."""


class FeatureHead(Standardized):
    """Heads that read states, then features: standardized, cut off and weighted; their mean.

    They differ in their starting values and in what dropout leaves out. Each is fitted for itself.
    """

    weight_of_states: Tensor

    def __init__(self, members: Sequence[nn.Module], num_states: int, num_features: int) -> None:
        """Put heads behind, whose own standardization is not used.

        Args:
            members: Each reads `(batch, num_states + num_features)`.
            num_states: The first columns of what is read.
            num_features: The others.
        """
        super().__init__(num_states + num_features)
        # what `adapt_to` gives the first columns; features have 1
        self.register_buffer("weight_of_states", torch.tensor(WEIGHTS_OF_STATES[0]))
        self.members = nn.ModuleList(members)
        self.num_states = num_states

    def forward(self, rows: Tensor) -> Tensor:
        """Map `(batch, width)` to `(batch, num_outputs)`.

        In training mode to `(members * batch, num_outputs)`: the outputs of one member after those
        of another, so that each has a loss of its own.
        """
        scaled = self.scaled(rows)
        outputs = [member(scaled) for member in self.members]
        return torch.cat(outputs) if self.training else torch.stack(outputs).mean(dim=0)

    @torch.no_grad()
    def adapt_to(self, rows: Tensor) -> None:
        """Take the mean and spread of each column of training rows `(rows, width)`."""
        self.take_units(rows)
        self.factor[: self.num_states] *= self.weight_of_states
