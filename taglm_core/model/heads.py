"""Heads: from the hidden states of the function tag's rows to outputs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from taglm_core.errors import ConfigError
from taglm_core.model.dropout import ByteDropout
from taglm_core.model.feature_head import NUM_MEMBERS, FeatureHead
from taglm_core.plugins.registry import Registered
from taglm_core.specs import Head
from taglm_core.specs.options import check_options
from taglm_core.specs.reference import resolve


def make_head(
    registered: Registered[Head],
    width: int,
    num_outputs: int,
    options: Mapping[str, Any],
    num_features: int = 0,
) -> nn.Module:
    """Return a head in evaluation mode, on torch's default device.

    Args:
        registered: Which.
        width: Numbers that it reads of a row's states.
        num_outputs: Numbers that it gives.
        options: Further arguments of its module, `stages.task.head_options`.
        num_features: Numbers that it reads beside the states; with some it is the mean of several.

    Raises:
        ConfigError: when it does not take an option, or not this value.
    """
    build = resolve(registered.spec.module, f"head {registered.name}")
    check_options(f"head {registered.name}", build, options, ("hidden_size", "num_outputs"))
    count = NUM_MEMBERS if num_features else 1
    try:
        heads = [build(width + num_features, num_outputs, **options) for _ in range(count)]
    except (TypeError, ValueError) as error:
        if not options:
            raise
        shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise ConfigError(
            f"head {registered.name} with stages.task.head_options {shown}: {error}."
        ) from error
    head: nn.Module = FeatureHead(heads, width, num_features) if num_features else heads[0]
    return head.eval()


class LinearHead(nn.Module):
    """The paper's head: a matrix `w_t` in R^(d x d_t) without bias (section 3.1)."""

    def __init__(self, hidden_size: int, num_outputs: int) -> None:
        """Make a matrix of zeros, `(num_outputs, hidden)`.

        Args:
            hidden_size: Columns that it reads.
            num_outputs: Numbers that it gives for each row.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_outputs, hidden_size))

    def forward(self, states: Tensor) -> Tensor:
        """Map `(batch, hidden)` to `(batch, num_outputs)`."""
        return states.float() @ self.weight.T

    @torch.no_grad()
    def start_from_mean_embedding(self, mean_row: Tensor) -> None:
        """Set every output's row to the mean embedding `(hidden,)`, as the paper does."""
        self.weight.copy_(mean_row.to(self.weight).expand_as(self.weight))


class MLPHead(nn.Module):
    """Hidden layers between states and outputs, for what no sum over the state's columns says.

    Its weights are many more than the tag's: `hidden_size * units` in the first layer.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        hidden_size: int,
        num_outputs: int,
        units: int = 64,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        """Make layers with torch's starting values.

        Args:
            hidden_size: Columns that it reads.
            num_outputs: Outputs.
            units: Width of every hidden layer.
            layers: Number of hidden layers, at least 1.
            dropout: Share of hidden units left out of a training step, and half that of columns.

        Raises:
            ValueError: when an option is out of its range.
        """
        super().__init__()
        if units < 1 or layers < 1 or not 0 <= dropout < 1:
            raise ValueError("units and layers must be at least 1, dropout from 0 to below 1")
        self.register_buffer("mean", torch.zeros(hidden_size))
        self.register_buffer("scale", torch.ones(hidden_size))
        inner: list[nn.Module] = [ByteDropout(dropout / 2)]
        for width in [hidden_size, *[units] * (layers - 1)]:
            inner += [nn.Linear(width, units), nn.GELU(), ByteDropout(dropout)]
        self.inner = nn.Sequential(*inner)
        self.outer = nn.Linear(units, num_outputs)

    def forward(self, states: Tensor) -> Tensor:
        """Map `(batch, hidden)` to `(batch, num_outputs)`."""
        outputs: Tensor = self.outer(self.inner((states.float() - self.mean) / self.scale))
        return outputs

    @torch.no_grad()
    def adapt_to(self, states: Tensor) -> None:
        """Take the mean and spread of each column of `(rows, hidden)` as its zero and unit."""
        self.mean.copy_(states.mean(dim=0))
        self.scale.copy_(states.std(dim=0, correction=0).clamp_min(1e-6))
