"""The loss and the score of a task on what its head reads, without the rows behind it."""

from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.data.censoring import exact_of, has_sides, sides_of, values_of
from taglm_core.inference.scores import as_cost, score
from taglm_core.model.closed_form import huber_weights, impute
from taglm_core.model.targets import loss_targets
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Classification, Regression


@attrs.frozen(eq=False)
class ReadRows:
    """What the head reads for some rows, and their targets as `TaskRows.targets` holds them."""

    states: Tensor
    """fp32 `(rows, width)`."""
    targets: Any


class HeadLoss:
    """The loss of a task with a head.

    Regression: mean squared error on standardized targets, averaged over the targets; with a
    Huber threshold a row whose error is above it counts by its size.
    Classification: cross-entropy (multi-label: binary, averaged over the labels).
    Targets that a row lacks have no loss, and every known one counts the same.
    """

    def __init__(
        self, task_model: TaskModel, delta: float | None = None, selects_by_loss: bool = False
    ) -> None:
        """Keep the model.

        Args:
            task_model: Head and scaling, as they are at each call.
            delta: Huber threshold of a regression, in standard deviations of the target; None:
                squares throughout.
            selects_by_loss: Judge by the loss, since the first metric is undefined on the
                validation split.
        """
        self.task_model = task_model
        self.delta = delta
        self.selects_by_loss = selects_by_loss

    def targets(self, values: Any) -> Tensor:
        """Return targets as the loss takes them: standardized, labels or indices.

        Where some are censored, the side of each stands behind it. NaN stands for a target or label
        that a row lacks.
        """
        return loss_targets(self.task_model.task.spec.target, self.task_model.scaling, values)

    def rows(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row, `(batch,)`: that of its known targets over all targets."""
        target = self.task_model.task.spec.target
        functional = torch.nn.functional
        if isinstance(target, Regression):
            filled = self._filled(outputs, targets)
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
            is_missing = targets.isnan()
            loss = functional.binary_cross_entropy_with_logits(
                outputs, targets.masked_fill(is_missing, 0.0), reduction="none"
            )
            return loss.masked_fill(is_missing, 0.0).mean(dim=1)
        return functional.cross_entropy(outputs, targets, reduction="none")

    def mean(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the mean loss of some rows, every known target counting what its row does.

        Args:
            outputs: `(rows, num_outputs)`.
            targets: As `targets` gives them.
            weights: `(rows,)`, what each row counts; None: 1.
        """
        losses, shares = self.rows(outputs, targets), known_shares(targets)
        if weights is not None:
            losses, shares = losses * weights, shares * weights
        return losses.sum() / shares.sum().clamp_min(1e-12)

    @torch.no_grad()
    def of(self, rows: ReadRows) -> float:
        """Return the mean loss of the present head on some rows."""
        outputs = self._outputs(rows.states)
        return float(self.mean(outputs, self.targets(rows.targets).to(outputs.device)))

    def cost(self, rows: ReadRows) -> tuple[float, dict[str, float]]:
        """Return what decides between steps, lower is better, and the metrics of some rows."""
        task = self.task_model.task
        metrics = score(task, exact_of(rows.targets), self.predict(rows.states))
        if not self.selects_by_loss:
            return as_cost(task, metrics), metrics
        loss = self.of(rows)
        return loss, {"loss": loss, **metrics}

    def head_cost(self, rows: ReadRows) -> float:
        """Return what decides between heads, lower is better."""
        if isinstance(self.task_model.task.spec.target, Classification):
            # likelihood, since ranking metrics cannot tell scales of the logits apart
            return self.of(rows)
        return self.cost(rows)[0]

    @torch.no_grad()
    def predict(self, states: Tensor) -> np.ndarray:
        """Return the predictions of the present head."""
        return self.task_model.finish(self._outputs(states))

    def _outputs(self, states: Tensor) -> Tensor:
        return self.task_model.outputs(states.to(self.task_model.model.backbone.device))

    @torch.no_grad()
    def as_squares(self, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return targets and weights of rows whose squared loss has the present gradient.

        Squares of exact targets need neither, so the head is not asked.
        """
        if self.delta is None and self.task_model.scaling.sigma is None:
            return targets, None
        outputs = self._outputs(states.detach()).to(states.device)
        filled = self._filled(outputs, targets)
        return filled, None if self.delta is None else huber_weights(outputs - filled, self.delta)

    def _filled(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return targets without sides, each limit replaced by the mean of what lies beyond it.

        The square of an error to that mean, taken as fixed, has the gradient of the likelihood.
        """
        sigma = self.task_model.scaling.sigma
        if sigma is None or not has_sides(targets):
            return targets
        values, sides = values_of(targets), sides_of(targets)
        filled, _ = impute(outputs.detach(), values, sides, sigma.to(outputs.device))
        return filled


def known_shares(targets: Tensor) -> Tensor:
    """Return the share of the targets that each row knows, `(rows,)`, of those of a `HeadLoss`."""
    if targets.dtype == torch.int64:
        return torch.ones(len(targets), device=targets.device)
    shares: Tensor = (~values_of(targets).isnan()).float().mean(dim=1)
    return shares
