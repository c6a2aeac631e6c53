"""Features of the rows of a task, computed once for each distinct row of a domain."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import numpy as np

from taglm_core import TaskData
from taglm_core.errors import ShapeError

BLOCK_ROWS = 4096
MOST_WORDS = 1000
"""Distinct words of a field up to which each has a column of its own."""

_THE_SAME = 0.999999
"""Correlation with a label from which on a feature is the label."""

_log = logging.getLogger(__name__)


@attrs.frozen
class Features:
    """Features by field, and which of them each row of each split has."""

    matrices: tuple[np.ndarray, ...]
    """For each field float32 `(distinct rows, features)`."""
    index: dict[str, np.ndarray]
    """Part -> int64 `(rows, fields)`: which distinct row."""

    @property
    def num_columns(self) -> int:
        """Number of features, of all fields together."""
        return sum(matrix.shape[1] for matrix in self.matrices)

    def of(
        self, split: str, rows: "np.ndarray | slice", columns: np.ndarray | None = None
    ) -> np.ndarray:
        """Return features, those of all fields side by side: float32 `(rows, features)`.

        Args:
            split: The split that the rows are of.
            rows: Indices of rows.
            columns: Indices of features in order; None: all.
        """
        chosen = self.index[split][rows]
        blocks = []
        first = 0
        for field, matrix in enumerate(self.matrices):
            if columns is None:
                blocks.append(matrix[chosen[:, field]])
            else:
                last = first + matrix.shape[1]
                own = columns[(columns >= first) & (columns < last)] - first
                blocks.append(matrix[np.ix_(chosen[:, field], own)])
                first = last
        return np.concatenate(blocks, axis=1)

    def blocks(
        self, split: str, columns: np.ndarray | None = None
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Go through a split in blocks: which rows, and float32 `(rows, features)`."""
        for start in range(0, len(self.index[split]), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            yield rows, self.of(split, rows, columns)


def compute_features(
    data: TaskData, functions: Mapping[str, Callable[[Sequence[str]], np.ndarray]] | None = None
) -> Features | None:
    """Compute the features of all splits; None when no domain of the task has a function for them.

    Args:
        data: The rows.
        functions: Field -> function of its rows; None: the features of the task.

    Raises:
        ShapeError: when a feature function gives another number of rows.
    """
    functions = data.features if functions is None else functions
    fields = list(functions)
    if not fields:
        return None
    matrices = []
    index = {
        split: np.empty((len(rows.truth), len(fields)), np.int64)
        for split, rows in data.splits.items()
    }
    for number, field in enumerate(fields):
        places: dict[str, int] = {}
        for split, rows in data.splits.items():
            index[split][:, number] = [
                places.setdefault(r, len(places)) for r in rows.fields[field]
            ]
        matrix = np.asarray(functions[field](list(places)), dtype=np.float32)
        if matrix.ndim != 2 or len(matrix) != len(places):
            raise ShapeError(
                f"task {data.task}: the features of '{field}' have the shape {matrix.shape} for "
                f"{len(places)} rows; (rows, features) is expected."
            )
        is_finite = np.isfinite(matrix)
        if not is_finite.all():
            num_bad = matrix.size - int(is_finite.sum())
            _log.warning(
                "%s: %d features of '%s' are not finite; taken as 0", data.task, num_bad, field
            )
            matrix = np.where(is_finite, matrix, np.float32(0))
        matrices.append(_varied(matrix))
    words = _word_columns(data)
    matrices += [matrix for matrix, _ in words]
    for split, numbers in index.items():
        columns = [numbers, *(places[split][:, None] for _, places in words)]
        index[split] = np.concatenate(columns, axis=1)
    return Features(tuple(matrices), index)


def without_the_answer(features: Features, targets: np.ndarray) -> tuple[Features, int]:
    """Leave out features that are a target itself, as logP is of a task whose label is logP.

    Args:
        features: Features of all splits.
        targets: Computed labels of the train split, float `(rows, targets)`.

    Returns:
        The other features, and how many were left out.
    """
    index = features.index["train"]
    centered = targets - targets.mean(axis=0)
    lengths = np.sqrt(np.square(centered).sum(axis=0))
    matrices, num_left_out = [], 0
    for field, matrix in enumerate(features.matrices):
        rows = matrix[index[:, field]].astype(np.float64)
        rows -= rows.mean(axis=0)
        length = np.sqrt(np.square(rows).sum(axis=0))
        correlations = np.abs(rows.T @ centered) / np.maximum(length[:, None] * lengths, 1e-30)
        is_other = correlations.max(axis=1) < _THE_SAME
        num_left_out += int((~is_other).sum())
        matrices.append(matrix if is_other.all() else np.ascontiguousarray(matrix[:, is_other]))
    return Features(tuple(matrices), features.index), num_left_out


def _varied(matrix: np.ndarray) -> np.ndarray:
    """Leave out features that are the same for all; of a few drugs most of a fingerprint is."""
    varies = (matrix != matrix[:1]).any(axis=0)
    return matrix if varies.all() or not varies.any() else np.ascontiguousarray(matrix[:, varies])


def _word_columns(data: TaskData) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Return one column for each word of a field such as a cell line, and each split's rows of it.

    A field counts whose values recur in the training split; a word that train has not is all zeros.
    """
    columns = []
    for field, train in data.splits["train"].texts.items():
        distinct = list(dict.fromkeys(train))
        if 2 * len(distinct) > len(train) or len(distinct) > MOST_WORDS:
            continue
        places = {word: place for place, word in enumerate(distinct)}
        matrix = np.eye(len(distinct) + 1, len(distinct), dtype=np.float32)
        rows = {
            split: np.array(
                [places.get(w, len(distinct)) for w in data_of_split.texts[field]], np.int64
            )
            for split, data_of_split in data.splits.items()
        }
        columns.append((matrix, rows))
    return columns


def sample_rows(num_rows: int, most: int, seed: int) -> np.ndarray:
    """Return the indices of at most `most` rows, in order; the same ones for the same seed."""
    if num_rows <= most:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(seed).choice(num_rows, most, replace=False))


@attrs.frozen
class Fold:
    """Which rows a predictor is fitted on, and which judge its settings."""

    fit: np.ndarray
    """Indices of train rows."""
    split: str
    """The split that the judging rows are of."""
    rows: np.ndarray
    """Indices of the judging rows in that split."""


def make_fold(num_train: int, num_valid: int, seed: int) -> Fold:
    """Fit on all train rows and judge by the validation split; without one, by a tenth of train."""
    everything = np.arange(num_train)
    if num_valid:
        return Fold(everything, "valid", np.arange(num_valid))
    if num_train < 20:
        return Fold(everything, "train", everything)
    order = np.random.default_rng(seed).permutation(num_train)
    return Fold(np.sort(order[num_train // 10 :]), "train", np.sort(order[: num_train // 10]))
