"""The nearest training row: its value is the prediction."""

import numpy as np

from taglm_core import BaselineResult
from taglm_studies.features import Features, sample_rows

MOST_TRAIN_ROWS = 20_000
_BLOCK_ROWS = 512
_TINY = np.finfo(np.float32).tiny


def nearest_rows(features: Features, values: np.ndarray, seed: int) -> BaselineResult:
    """Predict each valid and test row by the most similar training row, the first of equals.

    Similarity is the mean over fields of Tanimoto, `ab / (aa + bb - ab)`, where no feature is
    negative, and of the cosine elsewhere. (Over joined features the field with the largest numbers
    would decide alone.)

    Args:
        features: Features of all splits.
        values: float `(train rows, outputs)`.
        seed: Chooses the training rows when there are more than `MOST_TRAIN_ROWS`.
    """
    candidates = sample_rows(len(values), MOST_TRAIN_ROWS, seed)
    fields = [
        _Field(m, features.index["train"][candidates, i]) for i, m in enumerate(features.matrices)
    ]
    predictions = {}
    for split, index in features.index.items():
        if split == "train":
            continue  # every row would find itself
        best = np.empty(len(index), np.int64)
        for start in range(0, len(index), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            total = fields[0].similarity(index[rows, 0])  # (block, kept)
            for number, field in enumerate(fields[1:], start=1):
                total += field.similarity(index[rows, number])
            best[rows] = total.argmax(axis=1)
        predictions[split] = values[candidates[best]]
    limits = {} if len(candidates) == len(values) else {"train_rows": len(candidates)}
    return BaselineResult(predictions, limits)


class _Field:
    """One field's features, each distinct row of the training split once."""

    def __init__(self, matrix: np.ndarray, train_index: np.ndarray) -> None:
        self.is_tanimoto = bool(matrix.size and matrix.min() >= 0)
        self.matrix = matrix
        distinct, self.places = np.unique(train_index, return_inverse=True)
        self.train = self._prepared(distinct)  # (distinct, features)
        self.norms = np.square(self.train).sum(axis=1)  # (distinct,)

    def similarity(self, index: np.ndarray) -> np.ndarray:
        """Return the similarity of rows to every training row: float32 `(rows, train rows)`."""
        distinct, places = np.unique(index, return_inverse=True)
        rows = self._prepared(distinct)
        similarities: np.ndarray = rows @ self.train.T  # (distinct rows, distinct train rows)
        if self.is_tanimoto:
            below = np.square(rows).sum(axis=1)[:, None] + self.norms
            below -= similarities
            similarities /= np.maximum(below, _TINY, out=below)
        if not _counts_up(places, len(similarities)):
            similarities = similarities[places]
        return (
            similarities
            if _counts_up(self.places, len(self.norms))
            else similarities[:, self.places]
        )

    def _prepared(self, chosen: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self.matrix[chosen]
        if not self.is_tanimoto:
            rows /= np.maximum(np.sqrt(np.square(rows).sum(axis=1, keepdims=True)), _TINY)
        return rows


def _counts_up(places: np.ndarray, count: int) -> bool:
    """Say whether these places are 0, 1, ... `count` - 1, so that picking them changes nothing."""
    return len(places) == count and np.array_equal(places, np.arange(count))
