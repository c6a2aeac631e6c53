"""Features of the rows of a task, computed once for each distinct row of a domain."""

from collections.abc import Iterator

import attrs
import numpy as np
from taglm_core import Evaluated
from taglm_core.errors import ShapeError

BLOCK_ROWS = 4096


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

    def num_rows(self, part: str) -> int:
        """Number of rows of a part."""
        return len(self.index[part])

    def of(self, part: str, rows: "np.ndarray | slice | None" = None) -> np.ndarray:
        """Return features, those of all fields side by side: float32 `(rows, features)`."""
        chosen = self.index[part] if rows is None else self.index[part][rows]
        found = [matrix[chosen[:, field]] for field, matrix in enumerate(self.matrices)]
        return np.concatenate(found, axis=1)

    def blocks(self, part: str, size: int = BLOCK_ROWS) -> Iterator[tuple[slice, np.ndarray]]:
        """Go through a part in blocks: which rows, and float32 `(rows, features)`."""
        for start in range(0, self.num_rows(part), size):
            rows = slice(start, start + size)
            yield rows, self.of(part, rows)


def compute_features(event: Evaluated) -> Features | None:
    """Compute the features of all parts; None when no domain of the task has a function for them.

    Raises:
        ShapeError: when a feature function gives another number of rows.
    """
    fields = list(event.features)
    if not fields:
        return None
    matrices = []
    index = {part: np.empty((len(held.truth), len(fields)), np.int64)
             for part, held in event.parts.items()}
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
        matrices.append(np.nan_to_num(matrix, copy=False, posinf=0.0, neginf=0.0))
    return Features(tuple(matrices), index)


def sample_rows(num_rows: int, most: int, seed: int) -> np.ndarray:
    """Return the indices of at most `most` rows, in order; the same ones for the same seed."""
    if num_rows <= most:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(seed).choice(num_rows, most, replace=False))
