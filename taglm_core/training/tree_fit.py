"""Boosted trees on features, as one more regression in the mean of a kernel head."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from taglm_core.model.trees import Trees
from taglm_core.training.ridge_fit import NUM_FOLDS, Errors, TargetRows, mean_square

COUNTS = (100, 200, 300)
"""Trees of an output, of which the rows that were left out choose."""
MOST_OUTPUTS = 12
"""Outputs up to which trees are grown, since each needs its own."""
FEWEST_ROWS = 50
"""Training rows that know an output, from which trees are grown for it."""
LEAST_SHARE = 0.1
"""Share of the outputs from which trees are worth their time,"""
MOST_SHARE = 0.9
"""and the greatest that they have: regressions on distances keep outputs from jumping."""
GAIN = 0.99
"""Trees are taken if the cost is below this share of that without them."""
_SETTINGS = {
    "learning_rate": 0.07,
    "max_leaf_nodes": 16,
    "max_depth": 8,
    "min_samples_leaf": 5,
    "max_features": 0.3,
    "l2_regularization": 1.0,
    "max_bins": 64,
    "early_stopping": False,
}


@attrs.frozen(eq=False)
class TreeFit:
    """Trees that were grown, and by what they miss."""

    trees: Trees
    errors: Errors
    count: int
    """Trees of an output."""


def grow_trees(
    features: tuple[Tensor, Tensor],
    first_column: int,
    rows: TargetRows,
    seed: int,
    count: int | None = None,
    beside: Sequence[tuple[Errors, float]] = (),
) -> TreeFit | None:
    """Grow boosted trees for each output, as many as cost least.

    Args:
        features: fp32 `(rows, columns)` of the training and the validation split.
        first_column: Of the features in what the head reads.
        rows: Targets.
        seed: Draws the columns that a split may use.
        count: Trees of an output; None: those that cost least.
        beside: What trees may join, each with the share of its cost that has to be left: trees that
            do not help on the validation split and the folds so far are given up.

    Returns:
        None where they are given up, and where there are too many outputs or too few rows.
    """
    fitted = ~rows.train.isnan()
    if rows.train.shape[1] > MOST_OUTPUTS or int(fitted.sum(dim=0).min()) < FEWEST_ROWS:
        return None
    train, valid = (each.numpy() for each in features)
    grown = _Grown.on(train, rows, np.ones(len(train), bool), seed, count or max(COUNTS))
    counts = COUNTS if count is None else (count,)
    has_folds = rows.folds is not None and count is None
    errors = [
        Errors(rows.valid - each, torch.full_like(rows.train, torch.nan) if has_folds else None)
        for each in grown.staged(valid, counts)
    ]
    if has_folds:
        for fold in range(NUM_FOLDS):
            _without_fold(train, rows, fold, seed, errors)
            if beside and not any(
                share_of(each, others, gain) for each in errors for others, gain in beside
            ):
                return None
    place = min(range(len(counts)), key=lambda i: errors[i].cost)
    return TreeFit(grown.trees(first_column, counts[place]), errors[place], counts[place])


def mixed(one: Errors, other: Errors, share: float) -> Errors:
    """Return the errors of predictions that are `share` times one and the rest another."""
    left_out = None
    if one.left_out is not None and other.left_out is not None:
        left_out = share * one.left_out + (1 - share) * other.left_out
    return Errors(share * one.valid + (1 - share) * other.valid, left_out)


def share_of(trees: Errors, others: Errors, gain: float = GAIN) -> float:
    """Return the share of trees that costs least beside other regressions, in steps of 0.05.

    Args:
        trees: Of which folds may be missing.
        others: Of the regressions.
        gain: Share of their cost that the mixture has to be below.

    Returns:
        0 where they help too little on the rows that both are judged by.
    """
    if trees.left_out is not None and others.left_out is not None:
        unknown = trees.left_out.isnan()
        others = Errors(others.valid, others.left_out.masked_fill(unknown, torch.nan))
    share = _best_share(trees, others)
    is_taken = share >= LEAST_SHARE and mixed(trees, others, share).cost < gain * others.cost
    return share if is_taken else 0.0


def _best_share(trees: Errors, others: Errors) -> float:
    pairs = [(trees.valid, others.valid)]
    if trees.left_out is not None and others.left_out is not None:
        pairs.append((trees.left_out, others.left_out))
    # the cost is a parabola in the share; each part is a mean over its own rows
    slope = square = 0.0
    for one, other in pairs:
        gap = one - other
        slope += float((other * gap).nanmean().nan_to_num())
        square += mean_square(gap)
    if not square:
        return 0.0
    return round(20 * min(MOST_SHARE, max(0.0, -slope / square))) / 20


def _without_fold(
    train: np.ndarray, rows: TargetRows, fold: int, seed: int, errors: Sequence[Errors]
) -> None:
    """Fill in the errors of a fold's rows, by trees that were grown without them.

    Args:
        train: Features of all training rows.
        rows: Targets.
        fold: Which.
        seed: Of the trees.
        errors: Of each number of trees of `COUNTS`; NaN where a row was not judged yet.
    """
    assert rows.folds is not None, "few rows"
    own = rows.folds == fold
    grown = _Grown.on(train, rows, ~own.numpy(), seed, max(COUNTS))
    for each, outputs in zip(errors, grown.staged(train[own.numpy()], COUNTS), strict=True):
        assert each.left_out is not None, "few rows"
        each.left_out[own] = rows.train[own] - outputs


@attrs.frozen(eq=False)
class _Grown:
    """Boosted trees of some outputs."""

    models: list[Any]
    """Regressors of scikit-learn."""
    weights: Tensor
    """float64 `(models, outputs)`: what a model counts in an output; -1 for the second of two
    classes, whose targets are those of the first with the other sign."""

    @staticmethod
    def on(
        features: np.ndarray, rows: TargetRows, chosen: np.ndarray, seed: int, count: int
    ) -> "_Grown":
        """Grow trees on the chosen rows that know an output."""
        from sklearn.ensemble import HistGradientBoostingRegressor  # slow to import

        models: list[Any] = []
        targets = rows.train.numpy()
        num_outputs = targets.shape[1]
        weights = torch.zeros(num_outputs, num_outputs, dtype=torch.float64)
        for number, target in enumerate(targets.T):
            if number == 1 == num_outputs - 1 and np.allclose(
                target, -targets[:, 0], equal_nan=True
            ):
                weights[0, 1] = -1.0
                continue
            known = chosen & ~np.isnan(target)
            counted = None if rows.roots is None else rows.roots.numpy()[known, 0] ** 2
            model = HistGradientBoostingRegressor(max_iter=count, random_state=seed, **_SETTINGS)
            with threadpool_limits(1):  # sums in another order may choose other splits
                model.fit(features[known], target[known], counted)
            weights[len(models), number] = 1.0
            models.append(model)
        return _Grown(models, weights[: len(models)])

    def trees(self, first_column: int, count: int) -> Trees:
        """Return the first trees of each output, for rows whose features begin at a column."""
        made = [
            _tree(nodes, first_column, start if number == 0 else 0.0)
            for model in self.models
            for start in [float(np.ravel(model._baseline_prediction)[0])]
            # not public: a test holds them against `predict`, and what is made of them is judged
            for number, (predictor,) in enumerate(model._predictors[:count])
            for nodes in [predictor.nodes]
        ]
        sizes = torch.tensor([len(each["value"]) for each in made])
        roots = sizes.cumsum(0) - sizes
        trees = Trees(int(sizes.sum()), len(made), self.weights.shape[1])
        for name in ("feature", "threshold", "value", "child"):
            getattr(trees, name).copy_(
                torch.from_numpy(np.concatenate([each[name] for each in made]))
            )
        trees.child.add_(roots.repeat_interleave(sizes).unsqueeze(1))
        trees.root.copy_(roots)
        with torch.no_grad():
            trees.weight.copy_(self.weights.repeat_interleave(len(made) // len(self.models), dim=0))
        return trees.eval()

    def staged(self, features: np.ndarray, counts: Sequence[int]) -> list[Tensor]:
        """Return outputs, float64 `(rows, outputs)`, of so many trees of each output."""
        leaves = self.trees(0, max(counts)).leaves(torch.from_numpy(features)).double()
        sums = leaves.reshape(len(features), len(self.models), max(counts)).cumsum(dim=2)
        return [sums[:, :, count - 1] @ self.weights for count in counts]


def _tree(nodes: np.ndarray, first_column: int, start: float) -> dict[str, np.ndarray]:
    """Return the tensors of one tree; leaves are their own children.

    Args:
        nodes: Of scikit-learn.
        first_column: Of the features.
        start: Added to its leaves.
    """
    is_leaf = nodes["is_leaf"].astype(bool)
    own = np.arange(len(nodes))
    thresholds = np.where(is_leaf, 0.0, nodes["num_threshold"])
    rounded = thresholds.astype(np.float32)
    # down to a float32, so that every float32 number stays on its side
    is_above = rounded > thresholds
    rounded[is_above] = np.nextafter(rounded[is_above], np.float32(-np.inf))
    return {
        "feature": np.where(is_leaf, 0, first_column + nodes["feature_idx"]).astype(np.int32),
        "threshold": rounded,
        "value": np.where(is_leaf, nodes["value"] + start, 0.0).astype(np.float32),
        "child": np.stack(
            [np.where(is_leaf, own, nodes[side]) for side in ("left", "right")], axis=1
        ).astype(np.int32),
    }
