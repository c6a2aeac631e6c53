"""Heads fitted to what they read: the linear one in closed form, any other in passes."""

import copy
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from taglm_core.data.censoring import has_sides, sides_of, values_of
from taglm_core.data.masks import is_known, same_rows
from taglm_core.model.closed_form import (
    ALPHAS,
    SufficientStatistics,
    impute,
    product,
    solve_censored,
    solve_ridge,
)
from taglm_core.model.heads import LinearHead
from taglm_core.model.targets import ridge_targets
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Regression
from taglm_core.training.head_loss import HeadLoss, ReadRows

# of a head without closed form: AdamW on batches of this many rows, fewer where rows are few
_PASS_LR = 2e-3
_PASS_DECAY = 0.1
_MOST_ROWS, _FEWEST_ROWS, _FEWEST_STEPS = 256, 8, 16
_SPREAD_PACE = 0.02
_TIMED_STEPS = 3

_SOLVED_WIDTH = 320
"""Widest head that is solved at every step; one of n times this width at every n-th."""

_MOST_STATISTICS_BYTES = 1 << 30
"""Memory up to which a head of targets with gaps follows the tag."""


class HeadFitter:
    """Fits a head to states and targets and keeps what is best on held-out rows.

    The linear head is solved in closed form, any other by passes of gradient descent. For classes
    the squared loss on one-hot targets gives the direction of the closed form, and the scale of
    the logits is the one with the best validation result among a few.
    """

    def __init__(
        self,
        loss: HeadLoss,
        seed: int = 0,
        epochs: int = 40,
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        """Keep the loss, whose task model holds the head.

        Args:
            loss: Of the task.
            seed: Decides the order of passes over the rows.
            epochs: Passes of the fit of a head without closed form.
            fixed: How the head is fitted, as `fit` found it in another run; the solution is then
                kept without regard to held-out rows. None: held-out rows decide.
        """
        self.loss = loss
        self.fixed = dict(fixed or {})
        self.seed = seed
        self.epochs = epochs
        self.is_fitted = False

    def fit(
        self,
        states: Tensor,
        targets: Tensor,
        held_out: ReadRows,
        weights: Tensor | None = None,
    ) -> dict[str, float]:
        """Fit the head and keep the solution if held-out rows gain by it.

        Args:
            states: fp32 `(rows, width)`, what the head reads for training rows.
            targets: Their targets as `HeadLoss.targets` gives them.
            held_out: Rows that decide.
            weights: `(rows,)`, what each training row counts; None: 1.

        Returns:
            What was found, under the keys `recipe.FIT_KEYS`, and the cost on held-out rows when
            it was kept, else nothing.
        """
        if isinstance(self.loss.task_model.head, LinearHead):
            solutions = self._solutions(states, targets, weights)
            return self._solve(self.loss.task_model.head, solutions, held_out)
        return self._fit_in_passes(states, targets, held_out, weights)

    def _solve(
        self,
        head: LinearHead,
        solutions: list[tuple[float, Tensor, Tensor, Tensor | None]],
        held_out: ReadRows,
    ) -> dict[str, float]:
        task_model = self.loss.task_model
        target, scaling = task_model.task.spec.target, task_model.scaling
        is_new = bool((head.weight == 0).all())
        best_head = (head.weight.detach().clone(), scaling.offset.clone(), _copy(scaling.sigma))
        # the head that gradient steps have found competes unless it was never set
        best = np.inf if is_new else self.loss.head_cost(held_out)
        best = np.inf if self.fixed else best
        found: dict[str, float] = {}
        scales = (1.0,) if isinstance(target, Regression) else (2.0, 5.0, 10.0)
        scales = (self.fixed["fit_scale"],) if "fit_scale" in self.fixed else scales
        for alpha, weights, offsets, sigma in solutions:
            for scale in scales:
                set_head(task_model, weights * scale, offsets * scale, sigma)
                cost = self.loss.head_cost(held_out)
                if cost < best or self.fixed:
                    best, best_head = cost, (weights * scale, offsets * scale, sigma)
                    found = {"fit_alpha": alpha, "fit_scale": scale, "cost": cost}
        set_head(task_model, *best_head)
        return found

    def _solutions(
        self, states: Tensor, targets: Tensor, row_weights: Tensor | None
    ) -> list[tuple[float, Tensor, Tensor, Tensor | None]]:
        """Return alpha, weights, offsets and standard deviations of the closed forms tried."""
        task_model = self.loss.task_model
        alphas = (self.fixed["fit_alpha"],) if "fit_alpha" in self.fixed else ALPHAS
        if has_sides(targets):
            own = (values_of(targets), sides_of(targets))
            return list(solve_censored(states, *own, alphas, row_weights))
        numbers = ridge_targets(task_model.task.spec.target, targets, len(task_model.classes))
        return [
            (*found, None)
            for found in solve_ridge(states, numbers, alphas, self.loss.delta, row_weights)
        ]

    def _fit_in_passes(
        self, states: Tensor, targets: Tensor, held_out: ReadRows, weights: Tensor | None
    ) -> dict[str, float]:
        """Fit a head that has no closed form; the backbone is not run.

        The loss is the task's; where targets are censored, their spread about the outputs is
        followed as the passes go. The pass with the lowest cost is kept, or what the head was
        before if that is better still.
        """
        head, scaling = self.loss.task_model.head, self.loss.task_model.scaling
        assert head is not None, "a text task has no head"
        # what the head was before competes unless it was never fitted
        best = np.inf
        if self.is_fitted and not self.fixed:
            best = self.loss.head_cost(held_out)
        best_head, best_sigma = copy.deepcopy(head.state_dict()), _copy(scaling.sigma)
        adapt = getattr(head, "adapt_to", None)
        if adapt is not None:  # a tag that moved has moved its states
            adapt(states)
        trainable = [parameter.requires_grad for parameter in head.parameters()]
        found: dict[str, float] = {}
        passes = _Passes(self.loss, len(states), self.epochs)
        last = int(self.fixed.get("fit_pass", self.epochs))
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(self.seed)
            head.requires_grad_(True)  # a run frees only what its present stage trains
            for number in range(1, last + 1):
                head.train()
                passes.run(states, targets, weights)
                head.eval()
                cost = self.loss.head_cost(held_out)
                if cost < best or (self.fixed and number == last):
                    best, best_sigma = cost, _copy(scaling.sigma)
                    best_head = copy.deepcopy(head.state_dict())
                    found = {"fit_pass": number, "cost": cost}
        for parameter, requires_grad in zip(head.parameters(), trainable, strict=True):
            parameter.requires_grad_(requires_grad)
        head.load_state_dict(best_head)
        if scaling.sigma is not None and best_sigma is not None:
            scaling.sigma.copy_(best_sigma)
        self.is_fitted = True
        return found


class _Passes:
    """Passes of gradient descent over states, with the schedule of all of them."""

    def __init__(self, loss: HeadLoss, num_rows: int, epochs: int) -> None:
        head = loss.task_model.head
        assert head is not None, "a text task has no head"
        self.loss = loss
        self.head = head
        self.batch_size = max(_FEWEST_ROWS, min(_MOST_ROWS, num_rows // _FEWEST_STEPS))
        total = epochs * math.ceil(num_rows / self.batch_size)
        is_fused = loss.task_model.model.backbone.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(
            head.parameters(), lr=_PASS_LR, weight_decay=_PASS_DECAY, fused=is_fused
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, _PASS_LR, total_steps=total + 1
        )

    def run(self, states: Tensor, targets: Tensor, weights: Tensor | None) -> None:
        """Take the steps of one pass, in an order of torch's random state."""
        task_model = self.loss.task_model
        device = task_model.model.backbone.device
        order = torch.randperm(len(states))
        for i in range(0, len(order), self.batch_size):
            chosen = order[i : i + self.batch_size]
            outputs = task_model.outputs(states[chosen].to(device))
            copies = len(outputs) // len(chosen)  # members of the head, each fitted for itself
            batch = torch.cat([targets[chosen].to(device)] * copies)
            self.optimizer.zero_grad(set_to_none=True)
            counts = None
            if weights is not None:
                counts = torch.cat([weights[chosen].to(device)] * copies)
            self.loss.mean(outputs, batch, counts).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.head.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            self._follow_spread(outputs.detach().cpu(), batch.cpu())

    def _follow_spread(self, outputs: Tensor, targets: Tensor) -> None:
        """Let the standard deviation about the outputs follow a batch of censored targets."""
        scaling = self.loss.task_model.scaling
        if scaling.sigma is None or not has_sides(targets):
            return
        filled, spread = impute(outputs, values_of(targets), sides_of(targets), scaling.sigma)
        variance = ((outputs - filled).square() + spread).nanmean(dim=0)
        variance = torch.where(variance.isnan(), scaling.sigma.square(), variance)
        scaling.sigma.copy_(torch.lerp(scaling.sigma.square(), variance, _SPREAD_PACE).sqrt())


def fit_seconds(
    loss: HeadLoss, head: nn.Module, width: int, targets: Tensor, held_out: Any, epochs: int
) -> float:
    """Return what a fit of a head in passes would take: steps on random rows are timed.

    The task model keeps its own head and scaling.

    Args:
        loss: Of the task.
        head: A new one, which is not used afterwards.
        width: Columns that it reads.
        targets: Those of the rows of the fit, as `HeadLoss.targets` gives them.
        held_out: Targets of the held-out rows, as `ReadRows` holds them.
        epochs: Passes of the fit.
    """
    task_model = loss.task_model
    own = (task_model.head, task_model.features, task_model.scaling)
    assert own[0] is not None, "a text task has no head"
    task_model.scaling = own[2].copy()
    task_model.set_head(head)
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            passes = _Passes(loss, len(targets), epochs + _TIMED_STEPS)
            num_rows = min(len(targets), _TIMED_STEPS * passes.batch_size)
            states = torch.randn(num_rows, width)
            adapt = getattr(head, "adapt_to", None)
            if adapt is not None:
                adapt(states)
            head.requires_grad_(True).train()
            passes.run(states[: passes.batch_size], targets[: passes.batch_size], None)  # allocates
            began = time.monotonic()
            passes.run(states, targets[:num_rows], None)
            step = (time.monotonic() - began) / math.ceil(num_rows / passes.batch_size)
            head.eval()
            rows = ReadRows(states[torch.arange(len(held_out)) % num_rows], held_out)
            began = time.monotonic()
            loss.head_cost(rows)
            evaluation = time.monotonic() - began
    finally:
        task_model.scaling = own[2]
        task_model.set_head(own[0], own[1])
    return epochs * (math.ceil(len(targets) / passes.batch_size) * step + evaluation)


class HeadFollower:
    """Keeps a linear head at its optimum on the rows of recent steps while the tag moves."""

    def __init__(self, loss: HeadLoss, statistics: SufficientStatistics, window: int) -> None:
        """Begin with no rows. See `of`.

        Args:
            loss: Of the task.
            statistics: Of as many groups of targets as are known in the same rows.
            window: Rows after which an earlier row counts a share of 1/e.
        """
        self.loss = loss
        self.statistics = statistics
        self.window = window
        self._alpha = torch.tensor(1e-2, dtype=torch.float64)
        self._steps = torch.zeros((), dtype=torch.int64)

    @classmethod
    def of(cls, loss: HeadLoss, values: np.ndarray, window: int) -> "HeadFollower | None":
        """Return a follower, None where the head has no closed form that a step can afford.

        Args:
            loss: Of the task.
            values: Targets of the training rows, float `(rows, targets)`, with sides where some
                are censored.
            window: See `__init__`.
        """
        target, head = loss.task_model.task.spec.target, loss.task_model.head
        if not (isinstance(head, LinearHead) and isinstance(target, Regression)):
            return None
        num_targets, width = head.weight.shape
        groups = same_rows(is_known(values_of(values)))
        if 8 * len(groups) * width**2 > _MOST_STATISTICS_BYTES:
            return None  # every group keeps sums of its own; the head is trained by gradients
        return cls(loss, SufficientStatistics(width, num_targets, groups), window)

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """Return what the follower sets and what it needs to go on."""
        head = self.loss.task_model.head
        assert head is not None, "a text task has no head"
        weights = [parameter.data for parameter in head.parameters()]
        return (*weights, self.statistics.states, self.statistics.cross, self._alpha, self._steps)

    def restart(
        self,
        states: Tensor,
        targets: Tensor,
        alpha: float | None,
        row_weights: Tensor | None = None,
    ) -> None:
        """Take these rows as the recent ones, and a penalty; None: the one before.

        Args:
            states: `(rows, width)`.
            targets: As the loss takes them.
            alpha: The penalty.
            row_weights: `(rows,)`, what each row counts; None: 1.
        """
        self.statistics.reset()
        targets, weights = self.loss.as_squares(states, targets)
        self.statistics.add(states, targets, weights=product(weights, row_weights))
        if alpha is not None:
            self._alpha.fill_(alpha)

    def follow(self, states: Tensor, targets: Tensor, row_weights: Tensor | None = None) -> None:
        """Set the head to its optimum on the recent rows, these included.

        A wide head moves little in a step and costs the cube of its width, so it is solved at
        every so many steps only.
        """
        targets, weights = self.loss.as_squares(states, targets)
        self.statistics.add(states, targets, self.window, product(weights, row_weights))
        width = self.loss.task_model.width * len(self.statistics.groups)
        if int(self._steps) % max(1, width // _SOLVED_WIDTH) == 0:
            set_head(self.loss.task_model, *self.statistics.solve(float(self._alpha)))
        self._steps.add_(1)


def start_from_mean_embedding(task_model: TaskModel) -> None:
    """Start a linear head as the paper does; another keeps the start of its module."""
    if isinstance(task_model.head, LinearHead):
        mean_row = task_model.model.backbone.embedding_rows().mean(dim=0)
        num_read = task_model.pooling.num_states
        task_model.head.start_from_mean_embedding(mean_row.repeat(num_read) / num_read)


def set_head(
    task_model: TaskModel, weights: Tensor, offsets: Tensor, sigma: Tensor | None = None
) -> None:
    """Set a linear head: `(num_outputs, width)`, `(num_outputs,)` and, if censored, the spread."""
    assert isinstance(task_model.head, LinearHead), "only the linear head has a closed form"
    with torch.no_grad():
        task_model.head.weight.copy_(weights)
        task_model.scaling.offset.copy_(offsets)
        if sigma is not None and task_model.scaling.sigma is not None:
            task_model.scaling.sigma.copy_(sigma)


def _copy(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.clone()
