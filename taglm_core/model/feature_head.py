"""A head of any kind that reads features beside the states."""

import torch
from torch import Tensor, nn

_MOST_DEVIATIONS = 5.0


class FeatureHead(nn.Module):
    """A head that reads states and features: these are standardized and cut off, then put behind.

    Columns that do not vary in the training rows are left out, whatever they are in other rows.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, inner: nn.Module, num_features: int) -> None:
        """Put a head behind.

        Args:
            inner: Reads `(batch, states + num_features)`.
            num_features: The last columns of what is read.
        """
        super().__init__()
        self.inner = inner
        self.num_features = num_features
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("factor", torch.zeros(num_features))

    def scaled(self, rows: Tensor) -> Tensor:
        """Return `(batch, width)` with the features in units of their spread."""
        states, features = rows[:, : -self.num_features], rows[:, -self.num_features :]
        deviations = (features.float() - self.mean) * self.factor
        limited = deviations.clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        return torch.cat([states.float(), limited], dim=1)

    def forward(self, rows: Tensor) -> Tensor:
        """Map `(batch, width)` to `(batch, num_outputs)`."""
        outputs: Tensor = self.inner(self.scaled(rows))
        return outputs

    @torch.no_grad()
    def adapt_to(self, rows: Tensor) -> None:
        """Take the mean and spread of each feature of training rows `(rows, width)`."""
        features = rows[:, -self.num_features :].float()
        self.mean.copy_(features.mean(dim=0))
        std = features.std(dim=0, correction=0)
        is_varied = std > 1e-6 * (self.mean.abs() + 1e-6)
        self.factor.copy_(torch.where(is_varied, 1 / std, torch.zeros_like(std)))
        if (adapt := getattr(self.inner, "adapt_to", None)) is not None:
            adapt(self.scaled(rows))
