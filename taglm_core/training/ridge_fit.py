"""Ridge regressions on what heads read, judged by rows that were left out."""

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

NUM_FOLDS = 5
"""Folds of the cross-validation in the training rows."""
RIDGE_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-2, 1, 7))
"""Penalties that are tried."""
_MOST_DIRECTIONS = 2000


@attrs.frozen(eq=False)
class Errors:
    """By what predictions miss the standardized targets of rows that they were not fitted to."""

    valid: Tensor
    """float64 `(rows, outputs)` of the validation split; NaN where a target is missing."""
    left_out: Tensor | None
    """The same of the training rows by cross-validation; None: there are too many."""

    @staticmethod
    def mean_of(members: Sequence["Errors"]) -> "Errors":
        """Return the errors of the mean of several predictions."""
        valid = torch.stack([each.valid for each in members]).mean(dim=0)
        known = [each.left_out for each in members if each.left_out is not None]
        return Errors(valid, torch.stack(known).mean(dim=0) if known else None)

    @property
    def on_valid(self) -> float:
        """Mean squared error on the validation split."""
        return mean_square(self.valid)

    @property
    def cross_validated(self) -> float | None:
        """Mean squared error by cross-validation."""
        return None if self.left_out is None else mean_square(self.left_out)

    @property
    def cost(self) -> float:
        """What decides: the validation split's, or the mean of both."""
        cross = self.cross_validated
        return self.on_valid if cross is None else (self.on_valid + cross) / 2


def mean_square(errors: Tensor) -> float:
    """Return the mean square of known errors; 0 where there are none."""
    return 0.0 if errors.isnan().all() else float(errors.square().nanmean())


@attrs.frozen(eq=False)
class Solution:
    """A map from a row's columns to centered targets."""

    weights: Tensor
    """`(columns, outputs)`."""
    errors: Errors
    alphas: tuple[float, ...]
    """Penalty of each group of targets."""
    width: float | None = None
    """Of the kernel, one of `GAMMAS`; None: there is none."""


@attrs.frozen
class TargetRows:
    """Targets of the rows that heads are fitted to and judged by."""

    train: Tensor
    """float64 `(rows, outputs)`, centered; NaN where one is missing."""
    valid: Tensor
    mean: Tensor
    """`(outputs,)` that was taken away."""
    groups: tuple[np.ndarray, ...]
    """Outputs that the same training rows know."""
    folds: Tensor | None
    """int64 `(rows,)`; None: no cross-validation."""
    roots: Tensor | None = None
    """float64 `(rows, 1)`: square roots of what each training row counts; None: 1."""


def linear_solution(states: Tensor, valid_states: Tensor, rows: TargetRows) -> Solution:
    """Return what the linear head costs on centered states, their mean square scaled to 1."""
    mean = states.mean(dim=0)
    train, valid = (states - mean).double(), (valid_states - mean).double()
    if min(train.shape) > _MOST_DIRECTIONS:  # random directions keep distances, and cost less
        generator = torch.Generator().manual_seed(0)
        shape = (train.shape[1], _MOST_DIRECTIONS)
        directions = torch.randn(shape, generator=generator, dtype=torch.float64)
        train, valid = train @ directions, valid @ directions
    size = train.square().sum(dim=1).mean().sqrt().clamp_min(1e-12)
    return solve_rows(train / size, valid / size, rows)


@attrs.frozen(eq=False)
class Directions:
    """Rows in coordinates whose columns are orthogonal, so that penalties shrink each alone."""

    turned: Tensor
    """float64 `(rows, directions)`."""
    values: Tensor
    """`(directions,)`: squared length of each column."""
    vectors: Tensor | None = None
    """`(columns, directions)` of the rows' own columns; None: the columns are the directions."""

    def weights(self, solved: Tensor) -> Tensor:
        """Return weights `(columns, outputs)` of the rows' columns, of those of the directions."""
        return solved if self.vectors is None else self.vectors @ solved


def directions_of(x: Tensor) -> Directions:
    """Turn rows, float64 `(rows, columns)`."""
    if x.shape[1] <= x.shape[0]:
        values, vectors = torch.linalg.eigh(x.T @ x)
        return Directions(x @ vectors, values.clamp_min(0.0), vectors)
    # the same space from the other side: at most as many directions as rows
    values, left = torch.linalg.eigh(x @ x.T)
    values = values.clamp_min(0.0)
    turned = left * values.sqrt()
    return Directions(turned, values, x.T @ (left / values.sqrt().clamp_min(1e-12)))


def solve_rows(
    train: Tensor,
    valid: Tensor,
    rows: TargetRows,
    alphas: Sequence[float] | None = None,
    whole: Directions | None = None,
) -> Solution:
    """Solve a ridge regression of each group of targets, with the penalty that costs least.

    Args:
        train: float64 `(rows, columns)`.
        valid: The same of the validation split.
        rows: Targets.
        alphas: Penalty of each group of targets; None: the one that costs least.
        whole: Directions of all training rows; None: they are looked for.
    """
    chosen: list[float] = []
    weights = torch.zeros(train.shape[1], rows.train.shape[1], dtype=torch.float64)
    valid_errors = torch.full_like(rows.valid, torch.nan)
    left_out_errors = None if rows.folds is None else torch.full_like(rows.train, torch.nan)
    for place, group in enumerate(rows.groups):
        tried = RIDGE_ALPHAS
        if alphas is not None:  # other rows may make other groups
            tried = (alphas[min(place, len(alphas) - 1)],)
        columns = torch.from_numpy(group)
        known = ~rows.train[:, columns[0]].isnan()
        x, y = train[known], rows.train[known][:, columns]
        if rows.roots is not None:  # squares of these are weighted squares
            x, y = rows.roots[known] * x, rows.roots[known] * y
        folds = None if rows.folds is None else rows.folds[known]
        if whole is not None and rows.roots is None and bool(known.all()):
            turned = whole
        else:
            turned = directions_of(x)
        best: tuple[float, Tensor, Tensor, Tensor | None] | None = None
        found = penalties(turned, y, folds, tried)
        for alpha, (solved, left_out) in zip(tried, found, strict=True):
            errors = rows.valid[:, columns] - valid @ solved
            # a validation split without this target leaves cross-validation to decide
            parts = [errors.square().nanmean()] if not errors.isnan().all() else []
            parts += [left_out.square().mean()] if left_out is not None else []
            cost = float(torch.stack(parts).mean()) if parts else 0.0
            if best is None or cost < best[0]:
                best, kept = (cost, solved, errors, left_out), alpha
        assert best is not None, "several penalties are tried"
        chosen.append(kept)
        weights[:, columns] = best[1]
        valid_errors[:, columns] = best[2]
        if best[3] is not None and left_out_errors is not None:
            left_out_errors[known.nonzero(), columns] = best[3]
    return Solution(weights, Errors(valid_errors, left_out_errors), tuple(chosen))


def penalties(
    x: Directions, y: Tensor, folds: Tensor | None, alphas: Sequence[float]
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield for each penalty the weights `(columns, outputs)` and the errors of rows left out.

    The errors of a fold follow from the whole fit: `(I - H_kk)^-1 r_k`, where `H` maps targets to
    predictions and `r` are the residuals.
    """
    for alpha in alphas:
        shrink = 1.0 / (x.values + alpha)
        solved = shrink.unsqueeze(1) * (x.turned.T @ y)
        left_out = None
        if folds is not None:
            residuals = y - x.turned @ solved
            left_out = torch.empty_like(y)
            for fold in range(NUM_FOLDS):
                own = folds == fold
                part = x.turned[own]
                hat = (part * shrink) @ part.T
                eye = torch.eye(len(part), dtype=y.dtype)
                left_out[own] = torch.linalg.solve(eye - hat, residuals[own])
        yield x.weights(solved), left_out
