"""Features of the rows of a task, computed once for each distinct row of a domain."""

import logging
from collections.abc import Iterator

import attrs
import numpy as np

from taglm_core import Evaluated
from taglm_core.errors import ShapeError

BLOCK_ROWS = 4096

_log = logging.getLogger(__name__)


@attrs.frozen
class Features:
    """Features by field, and which of them each row of each part has."""

    matrices: tuple[np.ndarray, ...]
    """For each field float32 `(distinct rows, features)`."""
    index: dict[str, np.ndarray]
    """Part -> int64 `(rows, fields)`: which distinct row."""

    @property
    def num_columns(self) -> int:
        """Number of features, of all fields together."""
        return sum(matrix.shape[1] for matrix in self.matrices)

    def of(
        self, part: str, rows: "np.ndarray | slice", columns: np.ndarray | None = None
    ) -> np.ndarray:
        """Return features, those of all fields side by side: float32 `(rows, features)`.

        Args:
            part: The part that the rows are of.
            rows: Indices of rows.
            columns: Indices of features in order; None: all.
        """
        chosen = self.index[part][rows]
        found = []
        first = 0
        for field, matrix in enumerate(self.matrices):
            if columns is None:
                found.append(matrix[chosen[:, field]])
            else:
                last = first + matrix.shape[1]
                own = columns[(columns >= first) & (columns < last)] - first
                found.append(matrix[np.ix_(chosen[:, field], own)])
                first = last
        return np.concatenate(found, axis=1)

    def blocks(
        self, part: str, columns: np.ndarray | None = None
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Go through a part in blocks: which rows, and float32 `(rows, features)`."""
        for start in range(0, len(self.index[part]), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            yield rows, self.of(part, rows, columns)


def compute_features(event: Evaluated) -> Features | None:
    """Compute the features of all parts; None when no domain of the task has a function for them.

    Raises:
        ShapeError: when a feature function gives another number of rows.
    """
    fields = list(event.features)
    if not fields:
        return None
    matrices = []
    index = {
        part: np.empty((len(held.truth), len(fields)), np.int64)
        for part, held in event.parts.items()
    }
    for number, field in enumerate(fields):
        places: dict[str, int] = {}
        for part, held in event.parts.items():
            index[part][:, number] = [places.setdefault(r, len(places)) for r in held.fields[field]]
        matrix = np.asarray(event.features[field](list(places)), dtype=np.float32)
        if matrix.ndim != 2 or len(matrix) != len(places):
            raise ShapeError(
                f"task {event.task}: the features of '{field}' have the shape {matrix.shape} for "
                f"{len(places)} rows; (rows, features) is expected."
            )
        is_finite = np.isfinite(matrix)
        if not is_finite.all():
            num_bad = matrix.size - int(is_finite.sum())
            _log.warning(
                "%s: %d features of '%s' are not finite; taken as 0", event.task, num_bad, field
            )
            matrix = np.where(is_finite, matrix, np.float32(0))
        matrices.append(matrix)
    return Features(tuple(matrices), index)


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
    part: str
    """The part that the judging rows are of."""
    rows: np.ndarray
    """Indices of the judging rows in that part."""


def make_fold(num_train: int, num_valid: int, seed: int) -> Fold:
    """Fit on all train rows and judge by the valid part; without one, by a tenth of train."""
    everything = np.arange(num_train)
    if num_valid:
        return Fold(everything, "valid", np.arange(num_valid))
    if num_train < 20:
        return Fold(everything, "train", everything)
    order = np.random.default_rng(seed).permutation(num_train)
    return Fold(np.sort(order[num_train // 10 :]), "train", np.sort(order[: num_train // 10]))
