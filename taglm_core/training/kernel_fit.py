"""Kernel heads: ridge regressions on similarities to training rows."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.model.kernel_head import KernelHead
from taglm_core.training.ridge_fit import (
    Directions,
    Errors,
    Solution,
    TargetRows,
    mean_square,
    solve_rows,
)

FEW_POINTS = 1500
"""Training rows with which kernel heads compare while one is chosen; of more rows as many are
drawn (Nystroem)."""
MOST_POINTS = 3000
"""Training rows with which the chosen one compares in the end."""
GAMMAS = (0.3, 1.0, 3.0)
"""Of the kernel, over the median squared distance of training rows."""
FEATURES_ALONE = 1
"""Place, among the regressions of a head with features, of the one that reads no states."""
_MULTIPLES = (1.0, 10**0.5, 10.0)
"""Of the penalty that few points had, tried with more of them."""
_CHUNK = 1000
_LEAST_EIGENVALUE = 1e-6
_MEDIAN_ROWS = 500


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
        self._fitted: dict[bytes, Kernel] = {}

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
        if key not in self._fitted:
            self._fitted[key] = fit()
        return self._fitted[key]


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
    kernels = Kernels() if kernels is None else kernels
    solutions = []
    for number, columns in enumerate(head.reads):
        given = dict(recipe["kernels"][number]) if recipe is not None else {}
        read = [each[:, columns] for each in (*scaled, head.points)]
        decides = (*read, rows.train, rows.valid, rows.folds, rows.roots, given)
        found = kernels.get(decides, lambda: _fit_one(head, scaled, number, rows, given))  # noqa: B023
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
            if best is None or mean_square(missed) < best[0]:
                best = (mean_square(missed), alpha, solved, missed)
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
