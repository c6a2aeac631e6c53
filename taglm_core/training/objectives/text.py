"""The objective of a task whose output the LM writes: the likelihood of the output's tokens."""

import numpy as np
import torch
from torch import Tensor, nn

from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import IGNORED
from taglm_core.model.taskmodel import TaskModel
from taglm_core.training import processes
from taglm_core.training.objectives.reading import StateReader, step_lengths
from taglm_core.training.splits import SplitData


class TextObjective:
    """Negative log-likelihood of the output, in nats, averaged over its tokens."""

    def __init__(
        self,
        task_model: TaskModel,
        train: SplitData,
        valid: SplitData,
        max_tokens: int,
        *,
        sorts_batches: bool = False,
    ) -> None:
        """Keep the splits.

        Args:
            task_model: The model.
            train: Training rows.
            valid: Validation rows.
            max_tokens: Token budget of a batch of the evaluation.
            sorts_batches: Whether rows of like length meet in a step.
        """
        self.train = train
        self.valid = valid
        self.max_tokens = max_tokens
        self.sorts_batches = sorts_batches
        self.lengths = step_lengths(train)
        self._backbone = task_model.model.backbone
        self._device = self._backbone.device
        self._reader = StateReader(task_model, max_tokens)

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """Return nothing: the tag is all that changes."""
        return ()

    @property
    def head_parameters(self) -> tuple[nn.Parameter, ...]:
        """Return nothing: the LM's own head is frozen."""
        return ()

    def start(self, how: str) -> dict[str, float]:
        """Do nothing: there is no head to start."""
        return {}

    def refine(self) -> None:
        """Do nothing: a tag has no closed form."""

    def begin(self, indices: np.ndarray, num_batches: int) -> None:
        """Do nothing: the loss of a row depends on that row alone."""

    def weight(self, indices: np.ndarray) -> float:
        """Return how many output tokens some training rows have."""
        return _num_outputs(self.train, indices)

    def loss(self, indices: np.ndarray) -> tuple[Tensor, float]:
        """Return the summed loss of some training rows and their output tokens."""
        return self._loss(self.train, indices), self.weight(indices)

    def _loss(self, split: SplitData, indices: np.ndarray) -> Tensor:
        """Return the summed loss of some rows, of which each process runs its own."""
        own = indices[processes.is_own(indices)]
        part = self._own_loss(split, own) if len(own) else torch.zeros((), device=self._device)
        return processes.total(part)

    def _own_loss(self, split: SplitData, indices: np.ndarray) -> Tensor:
        states, batch = self._reader.run(split, indices)
        position = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        is_output = (position > batch.read.unsqueeze(1)) & batch.is_real  # (batch, seq)
        labels = batch.ids.masked_fill(~is_output, IGNORED)[:, 1:]
        has_label = labels != IGNORED
        logits = self._backbone.logits(states[:, :-1][has_label]).float()
        return torch.nn.functional.cross_entropy(logits, labels[has_label], reduction="sum")

    def moved(self) -> None:
        """Do nothing: nothing is kept between evaluations."""

    @torch.no_grad()
    def valid_loss(self) -> float:
        """Return nats per output token of the validation split."""
        total = tokens = 0.0
        for batch in batches_by_tokens(self.valid.rows.lengths, self.max_tokens):
            total += float(self._loss(self.valid, batch))
            tokens += _num_outputs(self.valid, batch)
        return total / max(tokens, 1.0)

    def evaluate(self) -> tuple[float, dict[str, float]]:
        """Return nats per output token of the validation split, the score and the record."""
        nats = self.valid_loss()
        return nats, {"nats_per_token": nats}


def _num_outputs(split: SplitData, indices: np.ndarray) -> float:
    rows = split.rows
    return float((rows.lengths[indices] - rows.read[indices] - 1).sum())
