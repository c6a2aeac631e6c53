"""Broken heads."""

import torch
from torch import nn

import taglm_core as taglm
from contract_cases import Case, plugin


class Flat(nn.Linear):
    """Losing an axis."""

    def forward(self, states):
        """Give `(batch,)`."""
        return super().forward(states).sum(dim=1)


class Double(nn.Linear):
    """Computing in another type."""

    def forward(self, states):
        """Give float64."""
        return super().forward(states).double()


class BatchMean(nn.Linear):
    """Looking at the batch."""

    def forward(self, states):
        """Subtract the mean of the batch."""
        return super().forward(states - states.mean(dim=0))


class Unused(nn.Linear):
    """Holding a parameter that nothing uses."""

    def __init__(self, hidden_size, num_outputs):
        super().__init__(hidden_size, num_outputs)
        self.scale = nn.Parameter(torch.ones(1))


class Narrow(nn.Module):
    """Seeing one number of the state only."""

    def __init__(self, hidden_size, num_outputs):
        super().__init__()
        self.inner = nn.Linear(1, num_outputs)

    def forward(self, states):
        """Look at the first number."""
        return self.inner(states[:, :1])


class Forgetful(nn.Linear):
    """Keeping a part of itself outside its state."""

    def __init__(self, hidden_size, num_outputs):
        super().__init__(hidden_size, num_outputs)
        self.shift = torch.randn(num_outputs, generator=torch.Generator().manual_seed(_next()))

    def forward(self, states):
        """Add what no state holds."""
        return super().forward(states) + self.shift


_made = []


def _next():
    _made.append(None)
    return len(_made)


def no_module(hidden_size, num_outputs):
    """Give a function."""
    return lambda states: states[:, :num_outputs]


def case(check, match, head):
    """Return a case of a head in this module."""
    made = taglm.Head(name="own", module=f"{__name__}:{head.__name__}")
    return Case(kind="head", check=check, match=match, plugin=plugin(heads=[made]))


CASES = [
    case("shape", r"gives the shape \(1,\) for 1 rows; give \(1, 1\)", Flat),
    case("shape", "gives torch.float64; give float32", Double),
    case("shape", "`module` gives function; give a torch.nn.Module", no_module),
    case("row_alone", "other outputs alone than in a batch", BatchMean),
    case("gradient", "no gradient reaches scale", Unused),
    case("overfits", "of the variance is left, more than 5%", Narrow),
    case("state_kept", "loaded from the saved state gives other outputs", Forgetful),
]
