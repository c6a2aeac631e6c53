"""Ridge regressions on what heads read, linear and of kernels, judged by rows left out."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.model.kernel_head import KernelHead

FEW_POINTS = 1500
"""Training rows with which kernel heads compare while one is chosen; of more rows as many are
drawn (Nystroem)."""
MOST_POINTS = 3000
"""Training rows with which the chosen one compares in the end."""
NUM_FOLDS = 5
"""Folds of the cross-validation in the training rows."""
GAMMAS = (0.3, 1.0, 3.0)
"""Of the kernel, over the median squared distance of training rows."""
RIDGE_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-2, 1, 7))
"""Penalties that are tried."""
FEATURES_ALONE = 1
"""Place, among the regressions of a head with features, of the one that reads no states."""
_MULTIPLES = (1.0, 10**0.5, 10.0)
"""Of the penalty that few points had, tried with more of them."""
_CHUNK = 1000
_LEAST_EIGENVALUE = 1e-6
_MEDIAN_ROWS = 500
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
        return _mean_square(self.valid)

    @property
    def cross_validated(self) -> float | None:
        """Mean squared error by cross-validation."""
        return None if self.left_out is None else _mean_square(self.left_out)

    @property
    def cost(self) -> float:
        """What decides: the validation split's, or the mean of both."""
        cross = self.cross_validated
        return self.on_valid if cross is None else (self.on_valid + cross) / 2


def _mean_square(errors: Tensor) -> float:
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


@attrs.frozen(eq=False)
class Kernel:
    """One regression of a kernel head, fitted."""

    gamma: float
    """Of its kernel."""
    weight: Tensor
    """float64 `(outputs, points)`."""
    solution: Solution


class Kernels:
    """Regressions that were fitted, by all that decides them: the same one is not fitted twice.

    A head with features fits anew what the head on states alone has fitted, and after the training
    of a tag the features are what they were.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._held: dict[bytes, Kernel] = {}

    def get(self, decides: Sequence[Any], fit: Callable[[], Kernel]) -> Kernel:
        """Return the regression of these rows, fitted where it is not there yet.

        Args:
            decides: Tensors, and whatever has an exact `repr`.
            fit: Fits it.
        """
        digest = hashlib.sha256()
        for part in decides:
            is_tensor = isinstance(part, Tensor)
            told = (part.dtype, tuple(part.shape)) if is_tensor else part
            digest.update(repr(told).encode())
            if is_tensor:
                digest.update(part.contiguous().numpy())
        key = digest.digest()
        if key not in self._held:
            self._held[key] = fit()
        return self._held[key]


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


def fit_kernel(
    inputs: Tensor,
    valid_inputs: Tensor,
    blocks: tuple[int, ...],
    rows: TargetRows,
    seed: int,
    recipe: Mapping[str, Any] | None = None,
    kernels: Kernels | None = None,
) -> tuple[KernelHead, list[Solution]]:
    """Return a kernel head, fitted, and the solution of each of its kernels.

    A head with features is the mean of three regressions: on the states, on the features and on
    both, since their errors differ.

    Args:
        inputs: `(rows, width)`, what training rows are read as.
        valid_inputs: The same of the validation split.
        blocks: Widths of the states and of each source of features.
        rows: Targets.
        seed: Draws the training rows that rows are compared with.
        recipe: Widths of the kernels and penalties; None: those that cost least.
        kernels: Fitted before, and those of this head afterwards; None: there are none.
    """
    if recipe is not None and recipe.get("points", 0) > FEW_POINTS:
        return fit_more_points(inputs, valid_inputs, blocks, rows, seed, recipe, (1.0,))
    head, scaled = _head(inputs, valid_inputs, blocks, rows, seed, FEW_POINTS)
    held = Kernels() if kernels is None else kernels
    solutions = []
    for number, columns in enumerate(head.reads):
        given = dict(recipe["kernels"][number]) if recipe is not None else {}
        read = [each[:, columns] for each in (*scaled, head.points)]
        decides = (*read, rows.train, rows.valid, rows.folds, rows.roots, given)
        found = held.get(decides, lambda: _fit_one(head, scaled, number, rows, given))  # noqa: B023
        _set(head, number, found)
        solutions.append(found.solution)
    return head, solutions


def fit_more_points(
    inputs: Tensor,
    valid_inputs: Tensor,
    blocks: tuple[int, ...],
    rows: TargetRows,
    seed: int,
    made: Mapping[str, Any],
    multiples: Sequence[float] = _MULTIPLES,
) -> tuple[KernelHead, list[Solution]]:
    """Return a kernel head that compares with `MOST_POINTS` rows, its widths chosen before.

    Args:
        inputs: As `fit_kernel` takes them.
        valid_inputs: See there.
        blocks: See there.
        rows: Targets.
        seed: See there.
        made: The head with few points: under `kernels` the width and penalties of each.
        multiples: Of these penalties, of which the validation split chooses.
    """
    head, scaled = _head(inputs, valid_inputs, blocks, rows, seed, MOST_POINTS)
    solutions = []
    for number, given in enumerate(made["kernels"]):
        found = _fit_more(head, scaled, number, rows, given, multiples)
        _set(head, number, found)
        solutions.append(found.solution)
    return head, solutions


def more_points_seconds(num_rows: int, num_kernels: int) -> float:
    """Return about what `fit_more_points` takes on so many rows, of a product that is timed."""
    points, size = min(num_rows, MOST_POINTS), 500
    timed = torch.ones(size, size, dtype=torch.float64)
    began = time.monotonic()
    product = timed @ timed @ timed
    pace = 4 * product.numel() * size / max(1e-6, time.monotonic() - began)
    return num_kernels * (4 * num_rows + 4 * points) * points**2 / pace


def _head(
    inputs: Tensor,
    valid_inputs: Tensor,
    blocks: tuple[int, ...],
    rows: TargetRows,
    seed: int,
    num_points: int,
) -> tuple[KernelHead, list[Tensor]]:
    """Return a head without weights, and the rows of both splits as it scales them."""
    rng = np.random.default_rng([seed, 79])
    drawn = torch.from_numpy(np.sort(rng.permutation(len(inputs))[:num_points]))
    reads = _columns(blocks)
    head = KernelHead(inputs.shape[1], rows.train.shape[1], len(drawn), len(reads)).eval()
    head.reads.copy_(reads)
    head.scale_by(inputs, blocks)
    head.points.copy_(head.scaled(inputs[drawn]))
    return head, [head.scaled(each) for each in (inputs, valid_inputs)]


def _set(head: KernelHead, number: int, kernel: Kernel) -> None:
    with torch.no_grad():
        head.gamma[number] = kernel.gamma
        head.weight[number] = kernel.weight


def _fit_more(
    head: KernelHead,
    scaled: Sequence[Tensor],
    number: int,
    rows: TargetRows,
    given: Mapping[str, Any],
    multiples: Sequence[float],
) -> Kernel:
    """Fit a kernel of a known width without the eigenvectors, which would take far longer."""
    train, valid = scaled
    median = max(float(head.distances(train[:_MEDIAN_ROWS], number).median()), 1e-6)
    gamma = given["width"] / median
    root = _inverse_root(torch.exp(-gamma * head.distances(head.points, number)))
    grams = [torch.zeros_like(root) for _ in rows.groups]
    crosses = [torch.zeros(len(root), len(group), dtype=root.dtype) for group in rows.groups]
    for first in range(0, len(train), _CHUNK):
        own = slice(first, first + _CHUNK)
        similar = torch.exp(-gamma * head.distances(train[own], number)) @ root
        for group, gram, cross in zip(rows.groups, grams, crosses, strict=True):
            y = rows.train[own][:, group]
            known = ~y[:, 0].isnan()
            x, y = similar[known], y[known]
            if rows.roots is not None:
                x, y = rows.roots[own][known] * x, rows.roots[own][known] * y
            gram.addmm_(x.T, x)
            cross.addmm_(x.T, y)
    read = torch.exp(-gamma * head.distances(valid, number)) @ root
    weights = torch.zeros(len(root), rows.train.shape[1], dtype=root.dtype)
    errors, alphas = torch.full_like(rows.valid, torch.nan), []
    eye = torch.eye(len(root), dtype=root.dtype)
    for place, group in enumerate(rows.groups):
        best: tuple[float, float, Tensor, Tensor] | None = None
        for multiple in multiples:
            alpha = multiple * given["alphas"][min(place, len(given["alphas"]) - 1)]
            lower = torch.linalg.cholesky(grams[place] + alpha * eye)
            solved = torch.cholesky_solve(crosses[place], lower)
            missed = rows.valid[:, group] - read @ solved
            if best is None or _mean_square(missed) < best[0]:
                best = (_mean_square(missed), alpha, solved, missed)
        assert best is not None, "one penalty at least is tried"
        alphas.append(best[1])
        weights[:, group] = best[2]
        errors[:, group] = best[3]
    solution = Solution(weights, Errors(errors, None), tuple(alphas), given["width"])
    return Kernel(gamma, (root @ weights).T, solution)


def _columns(blocks: tuple[int, ...]) -> Tensor:
    """Return which columns each kernel reads, bool `(kernels, width)`."""
    every = torch.ones(sum(blocks), dtype=torch.bool)
    if len(blocks) == 1:
        return every.unsqueeze(0)
    is_state = torch.arange(sum(blocks)) < blocks[0]
    return torch.stack([is_state, ~is_state, every])


def _fit_one(
    head: KernelHead,
    scaled: Sequence[Tensor],
    number: int,
    rows: TargetRows,
    given: Mapping[str, Any],
) -> Kernel:
    """Fit a kernel of the best width, or of the given one.

    Args:
        head: With its points.
        scaled: What it reads of the training rows and of the validation split.
        number: Of the kernel.
        rows: Targets.
        given: `width` and `alphas`, or nothing.
    """
    distances, valid_distances, own = (
        head.distances(each, number) for each in (*scaled, head.points)
    )
    median = max(float(distances[:_MEDIAN_ROWS].median()), 1e-6)
    best: Kernel | None = None
    for width in (given["width"],) if "width" in given else GAMMAS:
        gamma = width / median
        kernel = torch.exp(-gamma * own)
        valid, whole = torch.exp(-gamma * valid_distances), None
        if len(own) == len(distances):  # the points are the rows, and turned by the kernel already
            values, vectors = _principal(kernel)
            train, root = vectors * values.sqrt(), vectors / values.sqrt()
            whole = Directions(train, values)
            valid = valid @ root
        else:
            root = _inverse_root(kernel)
            train, valid = torch.exp(-gamma * distances) @ root, valid @ root
        solved = solve_rows(train, valid, rows, given.get("alphas"), whole)
        solution = attrs.evolve(solved, width=width)
        if best is None or solution.errors.cost < best.solution.errors.cost:
            best = Kernel(gamma, (root @ solution.weights).T, solution)
    assert best is not None, "several widths are tried"
    return best


def _principal(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return a kernel's eigenvalues `(rank,)` that count, and their vectors `(points, rank)`."""
    values, vectors = torch.linalg.eigh(kernel)
    is_kept = values > _LEAST_EIGENVALUE * values[-1]
    return values[is_kept], vectors[:, is_kept]


def _inverse_root(kernel: Tensor) -> Tensor:
    """Return `R`, `(points, points)`, with `R R' = (kernel + small)^-1`, far cheaper than vectors.

    Args:
        kernel: float64 `(points, points)`, ones on its diagonal.
    """
    eye = torch.eye(len(kernel), dtype=kernel.dtype)
    lower = torch.linalg.cholesky(kernel + _LEAST_EIGENVALUE * len(kernel) * eye)
    root: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False).T
    return root


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
