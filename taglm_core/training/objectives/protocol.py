"""What the training loop asks of an objective."""

from typing import Protocol

import numpy as np
from torch import Tensor, nn


class Objective(Protocol):
    """A loss on training rows and a score on held-out rows."""

    lengths: np.ndarray
    """int64 `(rows,)`: tokens that a step computes for each training row."""
    sorts_batches: bool
    """Whether rows of like length should meet in a batch."""

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """Tensors that `refine` and `begin` change in place beside the parameters."""
        ...

    def refine(self) -> None:
        """Improve what has a closed form, before an evaluation."""
        ...

    def begin(self, indices: np.ndarray, num_batches: int) -> None:
        """Hear the rows of a step, and in how many batches their loss will be asked for."""
        ...

    def loss(self, indices: np.ndarray) -> tuple[Tensor, float]:
        """Return the summed loss of some training rows, and what to divide it by."""
        ...

    def weight(self, indices: np.ndarray) -> float:
        """Return what the loss of some rows will be divided by, without computing it."""
        ...

    def moved(self) -> None:
        """Hear that parameters or buffers have been set: what was computed with the old is void."""
        ...

    def evaluate(self) -> tuple[float, dict[str, float]]:
        """Return a score on held-out rows, lower is better, and what to log."""
        ...


class TaskObjective(Objective, Protocol):
    """The objective of one task, of which several may share a function tag."""

    @property
    def head_parameters(self) -> tuple[nn.Parameter, ...]:
        """Parameters of the head that gradient steps train."""
        ...

    def start(self, how: str) -> dict[str, float]:
        """Give the head its start, `fit` or `mean_embedding`; return what to log."""
        ...

    def valid_loss(self) -> float:
        """Return the loss on the validation split, a mean over its rows or tokens."""
        ...
