"""What a head learns and gives: the only place where targets and outputs become each other.

Words of classes and their indices become each other in `taglm_core.data.targets`.
"""

import copy
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.data.censoring import BELOW, has_sides, sides_of, values_of
from taglm_core.data.masks import known_targets
from taglm_core.model.closed_form import mean_above
from taglm_core.specs import Classification, Regression, Target


def _double(value: Tensor) -> Tensor:
    return value.double()


def _single(value: Tensor) -> Tensor:
    return value.float()


def _single_or_none(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.float()


@attrs.define(kw_only=True)
class Scaling:
    """From head outputs to the user's units: `(output + offset) * std + mean`.

    Of a censored target the output is the mean of a normal variable of which only what lies above
    the limit is seen (Tobin 1958), and the prediction the mean of what is seen.
    """

    mean: Tensor = attrs.field(converter=_double)
    """float64 `(num_outputs,)`: means of the training targets; 0 for classes."""
    std: Tensor = attrs.field(converter=_double)
    """float64 `(num_outputs,)`: standard deviations of the training targets; 1 for classes."""
    offset: Tensor = attrs.field(converter=_single)
    """`(num_outputs,)`: constant term of the closed-form head, in standardized units."""
    censored_below: Tensor | None = attrs.field(default=None, converter=_single_or_none)
    """`(num_outputs,)`: where the target is cut off, in standardized units; None: nowhere."""
    sigma: Tensor | None = attrs.field(default=None, converter=_single_or_none)
    """`(num_outputs,)`: standard deviation about the output, in standardized units; None where no
    value is censored."""

    @staticmethod
    def of_targets(targets: np.ndarray, censored_below: float | None = None) -> "Scaling":
        """Return the scaling of regression targets, cut off at `censored_below`.

        Each target is scaled by the rows in which it is known, a limit counting as a value.

        Args:
            targets: `(rows, targets)`, NaN where one is missing, with sides if some are censored.
            censored_below: Left-censoring limit of all rows; None: there is none.
        """
        is_censored = has_sides(targets) or censored_below is not None
        targets = values_of(targets)
        mean = torch.from_numpy(np.nanmean(targets, axis=0))
        # by the largest value first, so that no square under- or overflows at the user's scale
        size = np.nanmax(np.abs(targets - mean.numpy()), axis=0)
        size = np.where(size > 0, size, 1.0)
        std = torch.from_numpy(np.nanstd(targets / size, axis=0) * size)
        # a constant target keeps its unit: nothing is to be learned but the mean
        is_constant = torch.from_numpy(np.nanmin(targets, axis=0) == np.nanmax(targets, axis=0))
        std = torch.where(is_constant, torch.ones_like(std), std)
        scaling = Scaling(mean=mean, std=std, offset=torch.zeros(len(mean)))
        if censored_below is not None:
            scaling.censored_below = ((censored_below - mean) / std).float()
        if is_censored:
            scaling.sigma = torch.ones(len(mean))
        return scaling

    @staticmethod
    def plain(num_outputs: int) -> "Scaling":
        """Return the scaling that changes nothing."""
        zero = torch.zeros(num_outputs, dtype=torch.float64)
        return Scaling(mean=zero, std=torch.ones_like(zero), offset=torch.zeros(num_outputs))

    def standardized(self, targets: np.ndarray) -> Tensor:
        """Return targets in standardized units, fp32 `(rows, targets)`, NaN where missing.

        Where some are censored, by a limit of their own or by that of all rows, the side of each
        stands behind it: `(rows, targets, 2)`.
        """
        given = torch.as_tensor(targets, dtype=torch.float64)
        values: Tensor = ((values_of(given) - self.mean) / self.std).float()
        sides = sides_of(given).float()
        if self.censored_below is not None:
            is_cut = values <= self.censored_below + 1e-6
            values = torch.where(is_cut, self.censored_below, values)
            sides = torch.where(is_cut, float(BELOW), sides)
        elif not has_sides(given):
            return values
        return torch.stack([values, sides], dim=2)

    def copy(self) -> "Scaling":
        """Return a scaling with the same numbers, held apart."""
        return copy.deepcopy(self)


def num_outputs(target: Target, classes: Sequence[str]) -> int:
    """Return how many outputs the head of a target has, 0 for text."""
    if isinstance(target, Regression):
        return len(target.names)
    if isinstance(target, Classification):
        return len(target.names) if target.multi_label else len(classes)
    return 0


def loss_targets(target: Target, scaling: Scaling, values: Any) -> Tensor:
    """Return targets as the loss takes them.

    Args:
        target: Numbers or classes.
        scaling: Of a regression target.
        values: As `TaskRows.targets` holds them.

    Returns:
        Numbers: fp32 `(rows, targets)`, standardized, with sides where some are censored. Labels:
        fp32 `(rows, labels)`, 0 and 1. Both NaN where a row lacks one. Classes: int64 `(rows,)`.
    """
    if isinstance(target, Regression):
        return scaling.standardized(np.asarray(values, dtype=np.float64))
    if isinstance(target, Classification) and target.multi_label:
        return torch.tensor(known_targets(values), dtype=torch.float32)
    return torch.tensor(np.asarray(values), dtype=torch.int64)


def ridge_targets(target: Target, wanted: Tensor, num_classes: int) -> Tensor:
    """Return what the closed form is fitted to: numbers, or classes as numbers around 0.

    Args:
        target: Numbers or classes.
        wanted: As `loss_targets` gives them, without sides.
        num_classes: Number of classes.

    Returns:
        fp32 `(rows, num_outputs)`.
    """
    if isinstance(target, Regression):
        return wanted
    if isinstance(target, Classification) and target.multi_label:
        return wanted - 0.5
    return torch.nn.functional.one_hot(wanted, num_classes).float() - 1.0 / num_classes


def predictions(target: Target, scaling: Scaling, outputs: Tensor) -> np.ndarray:
    """Return the predictions that outputs mean.

    Args:
        target: Numbers or classes.
        scaling: Of a regression target.
        outputs: `(rows, num_outputs)`, standardized, or logits.

    Returns:
        Regression: float64 `(rows, targets)` in the user's units. Classes: float64
        `(rows, classes)` probabilities; multi-label: `(rows, labels)` probabilities.
    """
    values = outputs.detach().double().cpu()
    if isinstance(target, Classification):
        return (values.sigmoid() if target.multi_label else values.softmax(dim=1)).numpy()
    if scaling.censored_below is not None and scaling.sigma is not None:
        values = mean_above(values, scaling.censored_below.double(), scaling.sigma.double())
    return (values * scaling.std + scaling.mean).numpy()
