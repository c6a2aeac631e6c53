"""Stages 2 and 3: a function tag and a head learn a task on frozen domain tags."""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from taglm_core.data.masks import is_known, same_rows
from taglm_core.inference.scores import as_cost, score
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import IGNORED, collate
from taglm_core.model.heads import LinearHead, SufficientStatistics, huber_weights, impute
from taglm_core.model.tagged import pick
from taglm_core.model.targets import loss_targets
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Classification, Regression
from taglm_core.training.head_fit import resolve_head, set_head
from taglm_core.training.splits import SplitData

logger = logging.getLogger(__name__)

_SOLVED_WIDTH = 320
"""Widest head that is solved at every step; one of n times this width at every n-th."""

_MOST_MOMENTS_BYTES = 1 << 30
"""Memory up to which a head of targets with gaps follows the tag."""


class TaskObjective:
    """The loss of a task on its training split, the first metric on its validation split.

    Regression: mean squared error on standardised targets, averaged over the targets; with a
    Huber threshold a row whose error is above it counts by its size.
    Classification: cross-entropy (multi-label: binary, averaged over the labels). Text: negative
    log-likelihood of the output's tokens, averaged over tokens.
    Targets that a row lacks have no loss, and every known one counts the same.
    """

    def __init__(
        self,
        task_model: TaskModel,
        train: SplitData,
        valid: SplitData,
        max_tokens: int,
        *,
        fit_rows: int = 0,
        seed: int = 0,
        sorts_batches: bool = False,
        delta: float | None = None,
        fit_epochs: int = 40,
        selects_by_loss: bool = False,
    ) -> None:
        """Keep the splits.

        Args:
            task_model: Model, head and scaling.
            train: Training rows.
            valid: Validation rows.
            max_tokens: Token budget of a batch of the evaluation.
            fit_rows: Most training rows to which `refine` fits the head; 0: it does not.
            seed: Decides which, and the order of passes over them.
            sorts_batches: Whether rows of like length meet in a step, where whole rows are run in
                every one. Never decided by what is kept, so that the curves are the same.
            delta: Huber threshold of a regression, in standard deviations of the target; None:
                squares throughout.
            fit_epochs: Passes of the fit of a head without closed form.
            selects_by_loss: Judge by the loss, since the first metric is undefined on the
                validation split.
        """
        self.delta = delta
        self.selects_by_loss = selects_by_loss
        self.fit_epochs = fit_epochs
        self.is_fitted = False
        self.fit_rows = fit_rows
        self.seed = seed
        self.task_model = task_model
        self.train = train
        self.valid = valid
        self.max_tokens = max_tokens
        lengths = train.rows.lengths
        self.lengths = lengths if train.cached is None else lengths - train.rows.suffix
        self.sorts_batches = sorts_batches
        self._wanted = self.labels(train.targets)
        self._shares = None if self._wanted is None else known_shares(self._wanted)
        self._alpha = torch.tensor(1e-2, dtype=torch.float64)
        self._steps = torch.zeros((), dtype=torch.int64)
        self.statistics = self._new_statistics()
        self._valid_states: Tensor | None = None
        self._is_solved = False

    @property
    def is_text(self) -> bool:
        """Whether the LM's own head writes the output."""
        return self.task_model.head is None

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """Return what the closed form sets, and what it needs to go on."""
        if self.is_text:
            return ()
        head, scaling = self.task_model.head, self.task_model.scaling
        assert head is not None, "a task that is not text has a head"
        found = [scaling.offset, *head.buffers()]
        if scaling.sigma is not None:
            found.append(scaling.sigma)
        if self.statistics is not None:
            found += [parameter.data for parameter in head.parameters()]
            found += [self.statistics.states, self.statistics.cross, self._alpha, self._steps]
        return tuple(found)

    @property
    def follows(self) -> bool:
        """Whether the head is solved at every step, so that no gradient trains it."""
        return self.statistics is not None

    def _new_statistics(self) -> SufficientStatistics | None:
        target, head = self.task_model.task.spec.target, self.task_model.head
        if not (self.fit_rows and isinstance(head, LinearHead) and isinstance(target, Regression)):
            return None
        width, targets = head.weight.shape[1], head.weight.shape[0]
        groups = same_rows(is_known(self.train.targets))
        if 8 * len(groups) * width**2 > _MOST_MOMENTS_BYTES:
            return None  # every group keeps sums of its own; the head is trained by gradients
        return SufficientStatistics(width, targets, groups)

    def refine(self) -> None:
        """Fit the head to the present tag, if that gains on the validation split."""
        if self.fit_rows:
            resolve_head(self)

    def follow_from(self, states: Tensor, targets: Tensor, alpha: float | None) -> None:
        """Take these rows as the recent ones, and a penalty; None: the one before."""
        assert self.statistics is not None, "asked for by `follows`"
        self.statistics.reset()
        targets, weights = self._counted(states, targets)
        self.statistics.add(states, targets, weights=weights)
        if alpha is not None:
            self._alpha.fill_(alpha)

    def _follow(self, states: Tensor, wanted: Tensor) -> None:
        """Set the head to its optimum on the recent rows, these included.

        A wide head moves little in a step and costs the cube of its width, so it is solved at
        every so many steps only.
        """
        assert self.statistics is not None, "asked for by `follows`"
        window = min(self.fit_rows, len(self.train.rows))
        wanted, weights = self._counted(states, wanted)
        self.statistics.add(states, wanted, window, weights)
        width = self.task_model.width * len(self.statistics.groups)
        if int(self._steps) % max(1, width // _SOLVED_WIDTH) == 0:
            set_head(self.task_model, *self.statistics.solve(float(self._alpha)))
        self._steps.add_(1)

    @torch.no_grad()
    def _counted(self, states: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return targets and weights of rows in the closed form, by what the present head says.

        Squares of exact targets need neither, so the head is not asked.
        """
        if self.delta is None and self.task_model.scaling.censored_below is None:
            return wanted, None
        device = self.task_model.model.backbone.device
        outputs = self.task_model.outputs(states.detach().to(device)).to(states.device)
        filled = self._filled(outputs, wanted)
        return filled, None if self.delta is None else huber_weights(outputs - filled, self.delta)

    def _filled(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Return targets, those that a limit hides replaced by their mean below it.

        The square of an error to that mean, taken as fixed, has the gradient of the likelihood.
        """
        scaling = self.task_model.scaling
        if scaling.censored_below is None or scaling.sigma is None:
            return wanted
        censored_below, sigma = (
            scaling.censored_below.to(outputs.device),
            scaling.sigma.to(outputs.device),
        )
        return impute(outputs.detach(), wanted, censored_below, sigma)[0]

    def labels(self, targets: Any) -> Tensor | None:
        """Return targets as the loss takes them: standardised, labels or indices; None: text.

        NaN stands for a target or label that a row lacks.
        """
        if self.is_text:
            return None
        return loss_targets(self.task_model.task.spec.target, self.task_model.scaling, targets)

    def _wanted_of(self, indices: np.ndarray) -> Tensor:
        assert self._wanted is not None, "text has no labels"
        return self._wanted[torch.from_numpy(indices)]

    def begin(self, indices: np.ndarray, num_batches: int) -> None:
        """Solve a head that follows the tag once for all parts of a step.

        How a step is cut depends on what is kept of its rows; its result must not.
        """
        self._is_solved = self.follows and num_batches > 1
        if self._is_solved:
            self._follow(self.states_of(self.train, indices), self._wanted_of(indices))

    def weight(self, indices: np.ndarray) -> float:
        """Return rows, those that lack targets by their share, or for text the output tokens."""
        if self._shares is not None:
            return float(self._shares[torch.from_numpy(indices)].sum())
        rows = self.train.rows
        return float((rows.lengths[indices] - rows.read[indices] - 1).sum())

    def loss(self, indices: np.ndarray) -> tuple[Tensor, float]:
        """Return the summed loss and the weight of some training rows."""
        if self.is_text:
            return self._text_loss(self.train, indices), self.weight(indices)
        self._valid_states = None  # a step moves the tag
        states = self._read(self.train, indices)
        wanted = self._wanted_of(indices).to(states.device)
        if self.follows and not self._is_solved:
            self._follow(states, wanted)
        outputs = self.task_model.outputs(states)
        return self.row_losses(outputs, wanted).sum(), self.weight(indices)

    def row_losses(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Return the loss of each row, `(batch,)`: that of its known targets over all targets."""
        target = self.task_model.task.spec.target
        functional = torch.nn.functional
        if isinstance(target, Regression):
            filled = self._filled(outputs, wanted)
            present = outputs.detach()
            # before the difference, since a gradient through NaN is NaN even where it is not used
            errors = outputs - torch.where(filled.isnan(), present, filled)
            loss = errors.square().mean(dim=1)
            if self.delta is None:
                return loss
            # the quadratic that touches Huber's loss at the present error, so that head and tag
            # descend the same function
            return loss * huber_weights(present - filled, self.delta)
        if isinstance(target, Classification) and target.multi_label:
            is_missing = wanted.isnan()
            loss = functional.binary_cross_entropy_with_logits(
                outputs, wanted.masked_fill(is_missing, 0.0), reduction="none"
            )
            return loss.masked_fill(is_missing, 0.0).mean(dim=1)
        return functional.cross_entropy(outputs, wanted, reduction="none")

    def loss_of(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean loss of some rows, every known target counting the same."""
        share = known_shares(wanted).sum()
        return self.row_losses(outputs, wanted).sum() / share

    @torch.no_grad()
    def valid_loss(self, states: Tensor | None = None) -> float:
        """Return the loss on the validation split, a mean over its rows; not for text.

        Args:
            states: What the head reads for it; None: it is computed.
        """
        device = self.task_model.model.backbone.device
        states = self.valid_states() if states is None else states
        outputs = self.task_model.outputs(states.to(device))
        wanted = self.labels(self.valid.targets)
        assert wanted is not None, "a text task has no head"
        return float(self.loss_of(outputs, wanted.to(device)))

    def cost(self, states: Tensor) -> tuple[float, dict[str, float]]:
        """Return what decides between heads and steps, lower is better, and the metrics.

        Args:
            states: What the head reads for the validation split.
        """
        task = self.task_model.task
        metrics = score(task, self.valid.targets, self._finish(states))
        if not self.selects_by_loss:
            return as_cost(task, metrics), metrics
        loss = self.valid_loss(states)
        return loss, {"loss": loss, **metrics}

    def _states(self, split: SplitData, indices: np.ndarray) -> tuple[Tensor, Any]:
        """Return hidden states `(batch, seq, hidden)` and the batch that they belong to."""
        model, isolated = self.task_model.model, self.task_model.is_isolated
        device = model.backbone.device
        if split.cached is not None:
            return split.cached.states(indices)
        batch = collate(split.rows, indices, isolated, device)
        return model.hidden_states(batch), batch

    def _read(self, split: SplitData, indices: np.ndarray) -> Tensor:
        states, batch = self._states(split, indices)
        return pick(states, batch.read, self.task_model.num_read)  # (batch, width)

    def _text_loss(self, split: SplitData, indices: np.ndarray) -> Tensor:
        states, batch = self._states(split, indices)
        column = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        is_output = (column > batch.read.unsqueeze(1)) & batch.is_real  # (batch, seq)
        labels = batch.ids.masked_fill(~is_output, IGNORED)[:, 1:]
        keeps = labels != IGNORED
        logits = self.task_model.model.backbone.logits(states[:, :-1][keeps]).float()
        return torch.nn.functional.cross_entropy(logits, labels[keeps], reduction="sum")

    @torch.no_grad()
    def states_of(self, split: SplitData, indices: np.ndarray | None = None) -> Tensor:
        """Return what the head reads for some rows, fp32 `(rows, width)` in their order."""
        chosen = np.arange(len(split.rows)) if indices is None else indices
        found = torch.zeros(len(chosen), self.task_model.width)
        lengths = split.rows.lengths[chosen]
        cost = lengths if split.cached is None else np.maximum(lengths // 4, 1)
        for batch in batches_by_tokens(cost, self.max_tokens):
            found[torch.from_numpy(batch)] = self._read(split, chosen[batch]).float().cpu()
        return found

    def valid_states(self) -> Tensor:
        """Return what the head reads for the validation split, fp32 `(rows, width)`.

        Solving the head and judging it read the same states, so they are computed once and kept
        until `evaluate` has judged them or a step moves the tag.
        """
        if self._valid_states is None:
            self._valid_states = self.states_of(self.valid)
        return self._valid_states

    def predict(self, split: SplitData) -> np.ndarray:
        """Return predictions of a numeric task for a split."""
        return self._finish(self.states_of(split))

    @torch.no_grad()
    def _finish(self, states: Tensor) -> np.ndarray:
        device = self.task_model.model.backbone.device
        return self.task_model.finish(self.task_model.outputs(states.to(device)))

    @torch.no_grad()
    def evaluate(self) -> tuple[float, dict[str, float]]:
        """Return the cost on the validation split and what to log."""
        if self.is_text:
            total = tokens = 0.0
            rows = self.valid.rows
            for batch in batches_by_tokens(rows.lengths, self.max_tokens):
                total += float(self._text_loss(self.valid, batch))
                tokens += float((rows.lengths[batch] - rows.read[batch] - 1).sum())
            nats = total / max(tokens, 1.0)
            return nats, {"nats_per_token": nats}
        cost, metrics = self.cost(self.valid_states())
        self._valid_states = None
        return cost, {name: value for name, value in metrics.items() if "." not in name}


def known_shares(wanted: Tensor) -> Tensor:
    """Return the share of the targets that each row knows, `(rows,)`, of what `labels` gives."""
    if wanted.dtype == torch.int64:
        return torch.ones(len(wanted), device=wanted.device)
    return (~wanted.isnan()).float().mean(dim=1)


def head_parameters(head: nn.Module | None) -> tuple[nn.Parameter, ...]:
    """Return a head's parameters, none for text."""
    return tuple(head.parameters()) if head is not None else ()


def trained_names(task_model: TaskModel, enriched: Iterable[str]) -> dict[str, Any]:
    """Return name -> parameter or module of everything that a task stage trains."""
    task, model = task_model.task, task_model.model
    named: dict[str, Any] = {f"<{task.function_tag}>": model.tags[task.function_tag]}
    named |= {f"<{tag}>": model.tags[tag] for tag in enriched}
    if task_model.head is not None:
        named[f"head {task.name}"] = task_model.head
    return named
