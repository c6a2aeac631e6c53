"""Kernel heads: ridge regressions on similarities to training rows."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.model.kernel_head import KernelHead, squared_distances
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
MOST_ROUNDS = 2
"""How often features are weighed by what they do, at most."""
_FIRST_WIDTH = 1.0
_LEAST_WEIGHT = 1e-3
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


Kernels = dict[tuple[bytes, float], Kernel]
"""Fitted regressions by a digest of all that decides them, and the width: none is fitted twice.

A head with features needs what the head on states alone has fitted, and after the training of a tag
the features are what they were."""


@attrs.define(eq=False)
class KernelFit:
    """A kernel head with the rows that it is fitted to and judged by, as it scales them."""

    head: KernelHead
    inputs: tuple[Tensor, Tensor]
    """`(rows, width)` of the training and the validation split."""
    drawn: Tensor
    """int64 `(points,)`, training rows."""
    scaled: list[Tensor] = attrs.field(init=False)
    solutions: list[Solution] = attrs.field(factory=list)
    """Of each kernel."""
    rounds: int = 0
    """How often features were weighed by what they do."""

    def __attrs_post_init__(self) -> None:
        """Scale the rows as the head weighs their columns."""
        self.scale()

    @classmethod
    def of(
        cls,
        inputs: tuple[Tensor, Tensor],
        blocks: tuple[int, ...],
        num_outputs: int,
        seed: int,
        num_points: int,
    ) -> "KernelFit":
        """Draw the points of a head, and scale its blocks alike."""
        train, drawn = inputs[0], _drawn(len(inputs[0]), seed, num_points)
        reads = _columns(blocks)
        head = KernelHead(train.shape[1], num_outputs, len(drawn), len(reads)).eval()
        head.reads.copy_(reads)
        head.scale_by(train, blocks)
        return cls(head, inputs, drawn)

    @classmethod
    def like(
        cls, other: KernelHead, inputs: tuple[Tensor, Tensor], seed: int, num_points: int
    ) -> "KernelFit":
        """Draw the points of a head that weighs columns as another does."""
        drawn = _drawn(len(inputs[0]), seed, num_points)
        num_kernels, num_outputs, _ = other.weight.shape
        head = KernelHead(len(other.mean), num_outputs, len(drawn), num_kernels).eval()
        for name in ("reads", "mean", "std", "factor"):
            getattr(head, name).copy_(getattr(other, name))
        return cls(head, inputs, drawn)

    @property
    def errors(self) -> Errors:
        """Errors of the mean of the kernels."""
        return Errors.mean_of([each.errors for each in self.solutions])

    def scale(self) -> None:
        """Scale points and rows by the present weights of the columns."""
        self.head.points.copy_(self.head.scaled(self.inputs[0][self.drawn]))
        self.scaled = [self.head.scaled(each) for each in self.inputs]

    def take(self, number: int, kernel: Kernel) -> None:
        """Give the head one of its kernels."""
        with torch.no_grad():
            self.head.gamma[number] = kernel.gamma
            self.head.weight[number] = kernel.weight


def fit_kernel(
    inputs: tuple[Tensor, Tensor],
    blocks: tuple[int, ...],
    rows: TargetRows,
    seed: int,
    recipe: Mapping[str, Any] | None = None,
    kernels: Kernels | None = None,
) -> KernelFit:
    """Fit a kernel head.

    A head with features is the mean of three regressions: on the states, on the features and on
    both, since their errors differ. Features are weighed by how fast the regression on them changes
    with each, if that costs less.

    Args:
        inputs: `(rows, width)`, what rows of the training and the validation split are read as.
        blocks: Widths of the states and of each source of features.
        rows: Targets.
        seed: Draws the training rows that rows are compared with.
        recipe: Widths of the kernels, penalties, rounds and points; None: those that cost least.
        kernels: Fitted before, and those of this head afterwards; None: there are none.
    """
    kernels = {} if kernels is None else kernels
    fit = KernelFit.of(inputs, blocks, rows.train.shape[1], seed, FEW_POINTS)
    if len(blocks) > 1:
        _weigh_features(fit, rows, kernels, recipe)
    if recipe is not None and recipe.get("points", 0) > FEW_POINTS:
        return fit_more_points(fit.head, inputs, rows, seed, recipe, (1.0,))
    for number in range(len(fit.head.reads)):
        given = dict(recipe["kernels"][number]) if recipe is not None else {}
        found = _fit_one(fit, number, rows, kernels, given)
        fit.take(number, found)
        fit.solutions.append(found.solution)
    return fit


def fit_more_points(
    head: KernelHead,
    inputs: tuple[Tensor, Tensor],
    rows: TargetRows,
    seed: int,
    chosen: Mapping[str, Any],
    multiples: Sequence[float] = _MULTIPLES,
) -> KernelFit:
    """Fit a kernel head that compares with `MOST_POINTS` rows, its widths chosen before.

    Args:
        head: With fewer points; its weights of columns are taken.
        inputs: As `fit_kernel` takes them.
        rows: Targets.
        seed: Draws the points.
        chosen: How that head was fitted: width and penalties under `kernels`, and `rounds`.
        multiples: Of these penalties, of which the validation split chooses.
    """
    fit = KernelFit.like(head, inputs, seed, MOST_POINTS)
    fit.rounds = int(chosen.get("rounds", 0))
    for number, given in enumerate(chosen["kernels"]):
        found = _fit_more(fit, number, rows, given, multiples)
        fit.take(number, found)
        fit.solutions.append(found.solution)
    return fit


def _drawn(num_rows: int, seed: int, num_points: int) -> Tensor:
    """Return the training rows that a head compares with, int64 `(points,)`."""
    rng = np.random.default_rng([seed, 79])
    return torch.from_numpy(np.sort(rng.permutation(num_rows)[:num_points]))


def _weigh_features(
    fit: KernelFit, rows: TargetRows, kernels: Kernels, recipe: Mapping[str, Any] | None
) -> None:
    """Weigh features by how fast the regression on them changes with each, round by round.

    As in recursive feature machines (Radhakrishnan et al., Science 2024), with the diagonal alone;
    all features together count what they did before.
    """
    head, number = fit.head, FEATURES_ALONE
    columns = head.reads[number]
    given = {"width": _FIRST_WIDTH} if recipe is None else dict(recipe["kernels"][number])
    most = MOST_ROUNDS if recipe is None else int(recipe.get("rounds", 0))
    if not most:
        return
    best = _fit_one(fit, number, rows, kernels, given)
    while fit.rounds < most:
        fit.take(number, best)
        before, slopes = head.factor.clone(), head.slopes(number)
        if not bool(slopes.any()):
            return
        squares = fit.scaled[0][:, columns].square().mean(dim=0)
        weights = (slopes / slopes.max()).clamp_min(_LEAST_WEIGHT).float()
        weights *= (squares.sum() / (squares * weights.square()).sum()).sqrt()
        head.factor[columns] *= weights
        fit.scale()
        found = _fit_one(fit, number, rows, kernels, given)
        if recipe is None and found.solution.errors.cost >= best.solution.errors.cost:
            head.factor.copy_(before)
            fit.scale()
            return
        best = found
        fit.rounds += 1


def more_points_seconds(num_rows: int, num_kernels: int) -> float:
    """Return about what `fit_more_points` takes on so many rows, of a product that is timed."""
    points, size = min(num_rows, MOST_POINTS), 500
    timed = torch.ones(size, size, dtype=torch.float64)
    began = time.monotonic()
    product = timed @ timed @ timed
    pace = 4 * product.numel() * size / max(1e-6, time.monotonic() - began)
    return num_kernels * (4 * num_rows + 4 * points) * points**2 / pace


def _fit_more(
    fit: KernelFit,
    number: int,
    rows: TargetRows,
    given: Mapping[str, Any],
    multiples: Sequence[float],
) -> Kernel:
    """Fit a kernel of a known width without the eigenvectors, which would take far longer."""
    head, (train, valid) = fit.head, fit.scaled
    gamma = _gamma(given["width"], head.distances(train[:_MEDIAN_ROWS], number))
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
    fit: KernelFit, number: int, rows: TargetRows, kernels: Kernels, given: Mapping[str, Any]
) -> Kernel:
    """Fit a kernel of the best width, or of the given one.

    Args:
        fit: The head, with its rows.
        number: Of the kernel.
        rows: Targets.
        kernels: Those that were fitted.
        given: `width` and `alphas`, either or neither.
    """
    columns, alphas = fit.head.reads[number], given.get("alphas")
    read = [each[:, columns] for each in (*fit.scaled, fit.head.points)]
    digest = _digest(*read, rows.train, rows.valid, rows.folds, rows.roots, alphas)
    widths = (given["width"],) if "width" in given else GAMMAS
    missing = [width for width in widths if (digest, width) not in kernels]
    if missing:
        points = read[2].double()
        distances = [squared_distances(each.double(), points) for each in read]
        for width in missing:
            kernels[digest, width] = _fit_width(distances, rows, alphas, width)
    found = [kernels[digest, width] for width in widths]
    return min(found, key=lambda kernel: kernel.solution.errors.cost)


def _digest(*decides: Tensor | Sequence[float] | None) -> bytes:
    """Return a digest of tensors, and of whatever has an exact `repr`."""
    digest = hashlib.sha256()
    for part in decides:
        if isinstance(part, Tensor):
            digest.update(repr((part.dtype, tuple(part.shape))).encode())
            digest.update(part.contiguous().numpy().data)
        else:
            digest.update(repr(part).encode())
    return digest.digest()


def _gamma(width: float, distances: Tensor) -> float:
    """Return the gamma of a width, by squared distances `(rows, points)` of training rows."""
    return width / max(float(distances[:_MEDIAN_ROWS].median()), 1e-6)


def _fit_width(
    apart: Sequence[Tensor], rows: TargetRows, alphas: Sequence[float] | None, width: float
) -> Kernel:
    """Fit a kernel to the squared distances of training rows, validation rows and points."""
    distances, valid_distances, own = apart
    gamma = _gamma(width, distances)
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
    solved = solve_rows(train, valid, rows, alphas, whole)
    return Kernel(gamma, (root @ solved.weights).T, attrs.evolve(solved, width=width))


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
