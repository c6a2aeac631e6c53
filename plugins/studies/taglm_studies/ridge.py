"""Ridge regression by normal equations; alpha and scaling chosen on the validation split."""

from collections.abc import Iterator

import numpy as np
import scipy.linalg
import scipy.sparse

from taglm_core import BaselineResult
from taglm_studies.features import BLOCK_ROWS, Features, Fold

# Relative to the mean of the matrix' diagonal. Products are summed in float32 within a block, so
# that weaker penalties would drown in rounding.
ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def ridge(features: Features, truth: dict[str, np.ndarray], fold: Fold) -> BaselineResult:
    """Fit a linear map with a squared penalty on all training rows.

    Raw features and features of variance 1 are tried at several alphas; the smallest error on
    the judging rows, in units of each target's variance, wins.

    Args:
        features: Features of all splits.
        truth: Part -> float `(rows, targets)`.
        fold: Which rows are fitted and which judge.

    Returns:
        Predictions of all splits.
    """
    targets = truth["train"][fold.fit]
    target_mean, spread = targets.mean(axis=0), targets.std(axis=0)  # (targets,) twice
    spread = np.where(spread > 0, spread, 1.0)
    # pairs have few distinct rows, whose sums need not be taken over every pair
    num_distinct = sum(len(matrix) for matrix in features.matrices)
    sums = _sums_of_distinct if 2 * num_distinct <= len(fold.fit) else _sums
    mean, products, crossed = sums(features, fold.fit, (targets - target_mean) / spread)
    weights = np.stack(list(_solutions(products, crossed)))  # (candidates, features, targets)
    wanted = (truth[fold.split][fold.rows] - target_mean) / spread
    errors = np.zeros(len(weights))
    for start in range(0, len(fold.rows), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        centered = features.of(fold.split, fold.rows[rows]) - mean
        candidates_preds = centered @ weights  # (candidates, block, targets)
        errors += np.square(candidates_preds - wanted[rows]).sum(axis=(1, 2))
    best = weights[int(errors.argmin())] * spread.astype(np.float32)  # (features, targets)
    predictions = {}
    for split, values in truth.items():
        preds = np.empty(values.shape)
        for rows, block in features.blocks(split):
            preds[rows] = (block - mean) @ best + target_mean
        predictions[split] = preds
    return BaselineResult(predictions)


def _sums(
    features: Features, rows: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean float32 `(features,)`, products of centered features, and with the targets."""
    width = features.num_columns
    mean = np.zeros(width)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = features.of("train", rows[start : start + BLOCK_ROWS])
        mean += block.sum(axis=0, dtype=np.float64)
    mean = (mean / len(rows)).astype(np.float32)
    products = np.zeros((width, width))
    crossed = np.zeros((width, targets.shape[1]))
    for start in range(0, len(rows), BLOCK_ROWS):
        chosen = slice(start, start + BLOCK_ROWS)
        block = features.of("train", rows[chosen])
        block -= mean
        products += block.T @ block
        crossed += block.T @ targets[chosen].astype(np.float32)
    return mean, products, crossed


def _sums_of_distinct(
    features: Features, rows: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `_sums` returns, from how often the distinct rows of the fields meet."""
    index = features.index["train"][rows]
    every = np.arange(len(rows))
    meets, means, centered = [], [], []
    for field, matrix in enumerate(features.matrices):
        shape = (len(matrix), len(rows))
        where = (index[:, field], every)
        meets.append(scipy.sparse.csr_array((np.ones(len(rows)), where), shape=shape))
        exact = matrix.astype(np.float64)
        means.append(np.bincount(index[:, field], minlength=len(matrix)) @ exact / len(rows))
        centered.append(exact - means[-1])
    blocks = [
        [one.T @ ((meet @ other.T) @ last) for other, last in zip(meets, centered, strict=True)]
        for meet, one in zip(meets, centered, strict=True)
    ]
    crossed = [one.T @ (meet @ targets) for meet, one in zip(meets, centered, strict=True)]
    mean = np.concatenate(means).astype(np.float32)
    return mean, np.block(blocks), np.concatenate(crossed)


def _solutions(products: np.ndarray, crossed: np.ndarray) -> Iterator[np.ndarray]:
    """Give the weights of raw features for each scaling and alpha: `(features, targets)`."""
    variance = np.diag(products)
    scale = np.sqrt(np.where(variance > 0, variance, 1.0) / max(variance.mean(), 1e-30))
    for divisor in (np.ones_like(scale), scale):
        matrix = products / divisor[:, None] / divisor
        size = max(float(np.diag(matrix).mean()), 1e-30)
        for alpha in ALPHAS:
            penalized = matrix + np.diag(np.full(len(matrix), alpha * size))
            try:
                factor = scipy.linalg.cho_factor(penalized, overwrite_a=True)
            except np.linalg.LinAlgError:  # rounding outweighs so weak a penalty
                continue
            solved = scipy.linalg.cho_solve(factor, crossed / divisor[:, None])
            yield (solved / divisor[:, None]).astype(np.float32)
