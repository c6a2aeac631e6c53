"""The hidden states of a split's rows, on cached segments where there are any."""

import numpy as np
import torch
from torch import Tensor

from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import Batch, collate
from taglm_core.model.taskmodel import TaskModel
from taglm_core.training import processes
from taglm_core.training.splits import SplitData


class StateReader:
    """Runs rows of splits through a task's model."""

    def __init__(self, task_model: TaskModel, max_tokens: int) -> None:
        """Keep the model.

        Args:
            task_model: The model.
            max_tokens: Token budget of a batch where `all` reads many rows.
        """
        self.task_model = task_model
        self.max_tokens = max_tokens

    def run(self, split: SplitData, indices: np.ndarray) -> tuple[Tensor, Batch]:
        """Return hidden states `(batch, seq, hidden)` and the batch that they belong to."""
        if split.cached is not None:
            return split.cached.states(indices)
        model = self.task_model.model
        batch = collate(split.rows, indices, self.task_model.is_isolated, model.backbone.device)
        return model.hidden_states(batch), batch

    def pooled(self, split: SplitData, indices: np.ndarray) -> Tensor:
        """Return what the head reads for one batch, `(batch, width)`.

        Each of several processes runs its own rows of the batch.
        """
        own = np.flatnonzero(processes.is_own(indices))
        return processes.whole(self._own(split, indices[own]), own, len(indices))

    def _own(self, split: SplitData, indices: np.ndarray) -> Tensor:
        if not len(indices):
            return torch.zeros(
                0, self.task_model.width, device=self.task_model.model.backbone.device
            )
        states, batch = self.run(split, indices)
        return self.task_model.pooling.of_states(states, batch.read)

    @torch.no_grad()
    def all(self, split: SplitData, indices: np.ndarray | None = None) -> Tensor:
        """Return what the head reads for some rows, fp32 `(rows, width)` in their order.

        Args:
            split: The rows.
            indices: Which of them; None: all.
        """
        chosen = np.arange(len(split.rows)) if indices is None else indices
        places = np.flatnonzero(processes.is_own(chosen))
        own = chosen[places]
        found = torch.zeros(len(own), self.task_model.width)
        lengths = split.rows.lengths[own]
        cost = lengths if split.cached is None else np.maximum(lengths // 4, 1)
        for batch in batches_by_tokens(cost, self.max_tokens):
            found[torch.from_numpy(batch)] = self._own(split, own[batch]).float().cpu()
        return processes.whole(found, places, len(chosen))


def step_lengths(split: SplitData) -> np.ndarray:
    """Return int64 `(rows,)`: the tokens that a step computes for each row."""
    lengths = split.rows.lengths
    return lengths if split.cached is None else lengths - split.rows.suffix
