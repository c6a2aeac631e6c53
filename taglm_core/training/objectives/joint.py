"""Tasks that share a function tag, as one objective."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from taglm_core.training.objectives.protocol import TaskObjective


class JointObjective:
    """Tasks that train one function tag together; a batch holds rows of all of them.

    The loss is the mean over the rows of a batch, whatever their task; the score is the mean over
    the tasks of the loss on their validation splits, since metrics of different kinds do not add.
    """

    def __init__(self, members: Mapping[str, TaskObjective]) -> None:
        """Join the objectives of the tasks, by name."""
        self.members = dict(members)
        objectives = list(self.members.values())
        self.lengths = np.concatenate([member.lengths for member in objectives])
        self.sorts_batches = any(member.sorts_batches for member in objectives)
        self._starts = np.cumsum([0, *(len(member.lengths) for member in objectives)])

    def _shares(self, indices: np.ndarray) -> Iterator[tuple[TaskObjective, np.ndarray]]:
        """Yield each task that has rows among `indices`, with their places in its own split."""
        for k, member in enumerate(self.members.values()):
            begin, end = self._starts[k], self._starts[k + 1]
            own = indices[(indices >= begin) & (indices < end)] - begin
            if len(own):
                yield member, own

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """Return the buffers of all tasks."""
        return tuple(buffer for member in self.members.values() for buffer in member.buffers)

    def refine(self) -> None:
        """Solve the heads for the present tag."""
        for member in self.members.values():
            member.refine()

    def begin(self, indices: np.ndarray, num_batches: int) -> None:
        """Tell each task which of its rows the step has."""
        for member, own in self._shares(indices):
            member.begin(own, num_batches)

    def weight(self, indices: np.ndarray) -> float:
        """Return rows, those that lack targets by their share."""
        return sum(member.weight(own) for member, own in self._shares(indices))

    def loss(self, indices: np.ndarray) -> tuple[Tensor, float]:
        """Return the summed loss and the weight of some training rows."""
        losses = [member.loss(own)[0] for member, own in self._shares(indices)]
        return torch.stack(losses).sum(), self.weight(indices)

    def moved(self) -> None:
        """Tell each task."""
        for member in self.members.values():
            member.moved()

    @torch.no_grad()
    def evaluate(self) -> tuple[float, dict[str, float]]:
        """Return the mean validation loss and each task's metrics as `task.metric`."""
        shown: dict[str, float] = {}
        losses = []
        for name, member in self.members.items():
            losses.append(member.valid_loss())
            shown |= {f"{name}.{key}": value for key, value in member.evaluate()[1].items()}
        return float(np.mean(losses)), {"loss": float(np.mean(losses)), **shown}
