"""Kernel heads: ridge regressions on similarities to training rows."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.model.kernel_head import KernelHead, squared_distances
from taglm_core.training.kernel_regression import (
    MEDIAN_ROWS,
    Kernel,
    digest_of,
    fit_width,
    gamma_of,
    inverse_root,
)
from taglm_core.training.ridge_fit import Errors, Solution, TargetRows, mean_square
from taglm_core.training.tree_fit import GAIN, TreeFit, grow_trees, mixed, share_of

FEW_POINTS = 1500
"""Training rows with which kernel heads compare while one is chosen; of many more rows as many are
drawn (Nystroem)."""
MANY_MORE = 1.25
"""Training rows over the points from which drawing them, and a later fit to more of them, pays."""
MOST_POINTS = 3000
"""Training rows with which the chosen one compares in the end."""
GAMMAS = (0.3, 1.0, 3.0)
"""Of the kernel, over the median squared distance of training rows."""
FEATURES_ALONE = 1
"""Place, among the regressions of a head with features, of the one that reads no states."""
MOST_ROUNDS = 2
"""How often features are weighed by what they do, at most."""
_GAIN_ALONE = 0.98
"""Share of the cost of the features alone that trees have to leave where they do not help the whole
head: then they may show that states add little."""
_ROUND = {"width": 1.0}
_LEAST_WEIGHT = 1e-3
_MULTIPLES = (1.0, 10**0.5, 10.0)
"""Of the penalty that few points had, tried with more of them."""
_CHUNK = 1000


@attrs.frozen
class Fitted:
    """What was fitted, by a digest of all that decides it: nothing is fitted twice.

    A head with features needs what the head on states alone has fitted, and after the training of a
    tag the features are what they were.
    """

    kernels: dict[tuple[bytes, float], Kernel] = attrs.field(factory=dict)
    """Also by the width."""
    trees: dict[bytes, TreeFit | None] = attrs.field(factory=dict)
    """None: they were given up."""
    shares: dict[bytes, float] = attrs.field(factory=dict)
    """Of these trees, beside the untrained tag."""


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
    rounds: list[tuple[float, ...]] = attrs.field(factory=list)
    """Penalties of each regression by which features were weighed."""
    trees: TreeFit | None = None
    """On the features; None: none, or they were given up."""
    share: float = 0.0
    """Of the trees in the outputs."""

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
        """Errors of the mean of the kernels, with the trees."""
        errors = Errors.mean_of([each.errors for each in self.solutions])
        return errors if self.trees is None else mixed(self.trees.errors, errors, self.share)

    @property
    def features_alone(self) -> Errors:
        """Errors of what reads features and no states, for a head with features."""
        errors = self.solutions[FEATURES_ALONE].errors
        if self.trees is None:
            return errors
        return mixed(self.trees.errors, errors, share_of(self.trees.errors, errors))

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
    fitted: Fitted | None = None,
    is_trained: bool = False,
) -> KernelFit:
    """Fit a kernel head.

    A head with features is the mean of three regressions: on the states, on the features and on
    both, since their errors differ. Features are weighed by how fast the regression on them changes
    with each, if that costs less. Boosted trees on the features join them, if that costs less:
    labels that jump with a feature are no matter of distances.

    Args:
        inputs: `(rows, width)`, what rows of the training and the validation split are read as.
        blocks: Widths of the states and of each source of features.
        rows: Targets.
        seed: Draws the training rows that rows are compared with.
        recipe: Widths of the kernels, penalties, rounds, points and trees; None: those that cost
            least.
        fitted: What was fitted before, and for this head afterwards; None: nothing.
        is_trained: Whether the states are those of a tag that was trained on the training rows, so
            that their errors by cross-validation are too small to be held against those of trees.
    """
    fitted = Fitted() if fitted is None else fitted
    fit = KernelFit.of(inputs, blocks, rows.train.shape[1], seed, FEW_POINTS)
    if len(blocks) > 1:
        _weigh_features(fit, rows, fitted, recipe)
    if recipe is not None and recipe.get("points", 0) > FEW_POINTS:
        fit = fit_more_points(fit.head, inputs, rows, seed, recipe, (1.0,))
    else:
        for number in range(len(fit.head.reads)):
            given = dict(recipe["kernels"][number]) if recipe is not None else {}
            found = _fit_one(fit, number, rows, fitted, given)
            fit.take(number, found)
            fit.solutions.append(found.solution)
    if len(blocks) > 1:
        _add_trees(fit, blocks[0], rows, seed, recipe, fitted, is_trained)
    return fit


def _add_trees(
    fit: KernelFit,
    num_states: int,
    rows: TargetRows,
    seed: int,
    recipe: Mapping[str, Any] | None,
    fitted: Fitted,
    is_trained: bool,
) -> None:
    """Grow trees on the features and add them to the head, if that costs less."""
    given = {} if recipe is None else recipe.get("trees", {})
    if recipe is not None and not given:
        return
    features = (fit.inputs[0][:, num_states:], fit.inputs[1][:, num_states:])
    digest = digest_of(*features, num_states, *attrs.astuple(rows, recurse=False), seed, given)
    others = fit.errors
    if digest not in fitted.trees:
        alone = (fit.solutions[FEATURES_ALONE].errors, _GAIN_ALONE)
        beside = ((others, GAIN), alone) if recipe is None else ()
        fitted.trees[digest] = grow_trees(
            features, num_states, rows, seed, given.get("count"), beside
        )
    fit.trees = fitted.trees[digest]
    if fit.trees is None:
        return
    if recipe is not None:
        fit.share = given["share"]
    elif is_trained:
        # the validation split alone can tell; better states leave trees no more than worse ones
        share = share_of(Errors(fit.trees.errors.valid, None), Errors(others.valid, None))
        fit.share = min(share, fitted.shares.get(digest, share))
    else:
        fit.share = fitted.shares[digest] = share_of(fit.trees.errors, others)
    if fit.share:
        fit.head.add_trees(fit.trees.trees, fit.share)


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
    fit.rounds = [tuple(each) for each in chosen.get("rounds", ())]
    for number, given in enumerate(chosen["kernels"]):
        found = _fit_more(fit, number, rows, given, multiples)
        fit.take(number, found)
        fit.solutions.append(found.solution)
    return fit


def _drawn(num_rows: int, seed: int, num_points: int) -> Tensor:
    """Return the training rows that a head compares with, int64 `(points,)`."""
    rng = np.random.default_rng([seed, 79])
    return torch.from_numpy(np.sort(rng.permutation(num_rows)[: _count(num_rows, num_points)]))


def _count(num_rows: int, num_points: int) -> int:
    """Return how many of the rows are drawn: all if there are hardly more."""
    return num_rows if num_rows < MANY_MORE * num_points else num_points


def _weigh_features(
    fit: KernelFit, rows: TargetRows, fitted: Fitted, recipe: Mapping[str, Any] | None
) -> None:
    """Weigh features by how fast the regression on them changes with each, round by round.

    As in recursive feature machines (Radhakrishnan et al., Science 2024), with the diagonal alone;
    all features together count what they did before.
    """
    if recipe is not None:
        for alphas in recipe.get("rounds", ()):
            found = _fit_one(fit, FEATURES_ALONE, rows, fitted, {**_ROUND, "alphas": alphas})
            _weigh_by(fit, found)
        return
    best: Kernel | None = None
    while len(fit.rounds) < MOST_ROUNDS:
        best = best or _fit_one(fit, FEATURES_ALONE, rows, fitted, _ROUND)
        before = fit.head.factor.clone()
        _weigh_by(fit, best)
        found = _fit_one(fit, FEATURES_ALONE, rows, fitted, _ROUND)
        if found.solution.errors.cost >= best.solution.errors.cost:
            fit.head.factor.copy_(before)
            fit.scale()
            fit.rounds.pop()
            return
        best = found


def _weigh_by(fit: KernelFit, kernel: Kernel) -> None:
    """Weigh features by how fast this regression on them changes with each."""
    head, columns = fit.head, fit.head.reads[FEATURES_ALONE]
    fit.take(FEATURES_ALONE, kernel)
    slopes = head.slopes(FEATURES_ALONE)
    if bool(slopes.any()):
        squares = fit.scaled[0][:, columns].square().mean(dim=0)
        weights = (slopes / slopes.max()).clamp_min(_LEAST_WEIGHT).float()
        weights *= (squares.sum() / (squares * weights.square()).sum()).sqrt()
        head.factor[columns] *= weights
        fit.scale()
    fit.rounds.append(kernel.solution.alphas)


def more_points_seconds(num_rows: int, num_kernels: int) -> float:
    """Return about what `fit_more_points` takes on so many rows, of a product that is timed."""
    points, size = _count(num_rows, MOST_POINTS), 500
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
    gamma = gamma_of(given["width"], head.distances(train[:MEDIAN_ROWS], number))
    root = inverse_root(torch.exp(-gamma * head.distances(head.points, number)))
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
    fit: KernelFit, number: int, rows: TargetRows, fitted: Fitted, given: Mapping[str, Any]
) -> Kernel:
    """Fit a kernel of the best width, or of the given one.

    Args:
        fit: The head, with its rows.
        number: Of the kernel.
        rows: Targets.
        fitted: What was fitted.
        given: `width` and `alphas`, either or neither.
    """
    columns, alphas = fit.head.reads[number], given.get("alphas")
    read = [each[:, columns] for each in (*fit.scaled, fit.head.points)]
    digest = digest_of(*read, rows.train, rows.valid, rows.folds, rows.roots, alphas)
    widths = (given["width"],) if "width" in given else GAMMAS
    kernels = fitted.kernels
    missing = [width for width in widths if (digest, width) not in kernels]
    if missing:
        points = read[2].double()
        distances = [squared_distances(each.double(), points) for each in read]
        for width in missing:
            kernels[digest, width] = fit_width(distances, rows, alphas, width)
    found = [kernels[digest, width] for width in widths]
    return min(found, key=lambda kernel: kernel.solution.errors.cost)
