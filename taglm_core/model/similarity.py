"""How like rows are to the training rows: what tells where a prediction is an extrapolation."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from taglm_core.data.columns import SIMILARITY as SIMILARITY
from taglm_core.data.columns import UNLIKE as UNLIKE
from taglm_core.data.kept import kept_rows
from taglm_core.errors import PluginError
from taglm_core.plugins import Registry
from taglm_core.specs.isolation import call_plugin
from taglm_core.specs.reference import resolve

MOST_ROWS = 4096
"""Distinct training values that a predictor keeps of a field."""
MOST_WIDTH = 1 << 15
"""Positions of a fingerprint, which are kept as int16."""
MOST_POSITIONS = 1 << 18
"""Fingerprint positions that it keeps of a field, two bytes each."""

_MOST_CHOSEN_FROM = 10_000
_BLOCK_ROWS = 1024
_TINY = np.finfo(np.float32).tiny


class Nearest:
    """Rows of numbers with which others are compared; prepared once for many comparisons."""

    def __init__(self, others: np.ndarray) -> None:
        """Prepare rows.

        Args:
            others: `(others, columns)`; what is not finite counts as 0.
        """
        others = _finite(others)
        self._is_nonnegative = not others.size or float(others.min()) >= 0
        self._squares = np.square(others).sum(axis=1)
        self._table = torch.from_numpy(np.ascontiguousarray(others.T))  # (columns, others)

    def find(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the most similar of the others for each row.

        Similarity is Tanimoto, `ab / (aa + bb - ab)`, where no number is negative, else the cosine.

        Args:
            rows: `(rows, columns)`; what is not finite counts as 0.

        Returns:
            float32 `(rows,)` similarities and int64 `(rows,)` indices of the most similar.
        """
        values = np.zeros(len(rows), np.float32)
        places = np.zeros(len(rows), np.int64)
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            similarities = self.similarities(rows[block])
            places[block] = similarities.argmax(axis=1)
            values[block] = similarities.max(axis=1)
        return values, places

    def similarities(self, rows: np.ndarray) -> np.ndarray:
        """Return the similarity of each row to each of the others: float32 `(rows, others)`."""
        rows = _finite(rows)
        crossed = self._crossed(rows)
        is_counts = self._is_nonnegative and (not rows.size or float(rows.min()) >= 0)
        return alike(crossed, np.square(rows).sum(axis=1), self._squares, is_counts)

    def _crossed(self, rows: np.ndarray) -> np.ndarray:
        """Return the products of all pairs, of sparse rows from what is not zero alone."""
        place, column = np.nonzero(rows)
        if 10 * len(place) > rows.size or not rows.size:
            product: np.ndarray = rows @ self._table.numpy()
            return product
        starts = np.searchsorted(place, np.arange(len(rows)))
        summed = functional.embedding_bag(
            torch.from_numpy(column),
            self._table,
            torch.from_numpy(starts),
            mode="sum",
            per_sample_weights=torch.from_numpy(rows[place, column]),
        )
        summed_rows: np.ndarray = summed.numpy()
        return summed_rows


def alike(
    crossed: np.ndarray, squares: np.ndarray, others: np.ndarray, is_counts: bool
) -> np.ndarray:
    """Return the similarity of rows to other rows: `(rows, others)`.

    Args:
        crossed: `(rows, others)`: their products.
        squares: `(rows,)`: product of each row with itself.
        others: `(others,)`: the same of the others.
        is_counts: True: Tanimoto, `ab / (aa + bb - ab)`; False: the cosine.
    """
    own = squares[:, None]
    below = own + others - crossed if is_counts else np.sqrt(own) * np.sqrt(others)
    result: np.ndarray = crossed / np.maximum(below, _TINY)
    return result


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float32)
    return np.where(np.isfinite(values), values, np.float32(0))


@attrs.frozen(kw_only=True)
class SimilarityRecord:
    """How the rows of one field are compared with training rows, as an artifact keeps it."""

    fields: tuple[str, ...]
    """Field of the task; two where they may change places."""
    domain: str
    """Full name of the domain whose fingerprints are compared."""
    width: int
    """Positions of a fingerprint."""
    threshold: float
    """Similarity below which a row is unlike the training rows."""
    kept: int
    """Distinct training values that rows are compared with."""
    distinct: int
    """Distinct training values."""
    basis: str
    """Rows whose similarities gave the threshold: "valid and test" or "train"."""


@attrs.frozen(eq=False)
class _Compared:
    """One record with what it needs."""

    record: SimilarityRecord
    positions: Tensor
    """int16 `(sum of sizes,)`: what is set in each kept fingerprint."""
    sizes: Tensor
    """int32 `(kept,)`."""
    function_of: Callable[[], Callable[[Sequence[Any]], np.ndarray]]
    """Gives the fingerprint function of the domain."""

    @cached_property
    def function(self) -> Callable[[Sequence[Any]], np.ndarray]:
        """The fingerprint function of the domain."""
        return self.function_of()

    @cached_property
    def nearest(self) -> Nearest:
        """The kept fingerprints, prepared when the first row is compared."""
        return Nearest(unpacked(self.positions, self.sizes, self.record.width))

    def values(self, rows: Sequence[Any]) -> np.ndarray:
        """Return the similarity of rows to the most similar training value: float32 `(rows,)`."""
        distinct = list(dict.fromkeys(rows))
        found, _ = self.nearest.find(fingerprints(self.record, self.function, distinct))
        place = {row: number for number, row in enumerate(distinct)}
        return found[[place[row] for row in rows]]


@attrs.frozen(eq=False)
class SimilarityReader:
    """Compares rows with the training rows of a predictor, by the fingerprints of their domains."""

    compared: tuple[_Compared, ...]

    @staticmethod
    def of_records(
        records: Sequence[SimilarityRecord], tensors: Mapping[str, Tensor], registry: Registry
    ) -> "SimilarityReader":
        """Return the reader of an artifact.

        Args:
            records: One for each field, or pair of fields that may change places.
            tensors: `FIELD.positions` and `FIELD.sizes` of the first field of each.
            registry: Where domains are looked up.

        """
        made = []
        for record in records:
            field = record.fields[0]
            positions, sizes = tensors[f"{field}.positions"], tensors[f"{field}.sizes"]
            function_of = partial(fingerprint_function, registry, record.domain, field)
            made.append(_Compared(record, positions, sizes, function_of))
        return SimilarityReader(tuple(made))

    @property
    def records(self) -> tuple[SimilarityRecord, ...]:
        """The records."""
        return tuple(each.record for each in self.compared)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The kept fingerprints, as an artifact holds them."""
        return {
            f"{each.record.fields[0]}.{name}": value
            for each in self.compared
            for name, value in (("positions", each.positions), ("sizes", each.sizes))
        }

    @property
    def columns(self) -> dict[str, tuple[str, SimilarityRecord]]:
        """Column -> field and record; the name of the field stands in it if there are several."""
        pairs = [(field, record) for record in self.records for field in record.fields]
        if len(pairs) == 1:
            return {SIMILARITY: pairs[0]}
        return {f"{SIMILARITY}.{field}": (field, record) for field, record in pairs}

    def read(
        self, fields: Mapping[str, Sequence[Any]], good: Sequence[int]
    ) -> dict[str, list[Any]]:
        """Return the columns of rows: similarities, and whether a row is unlike training rows.

        Args:
            fields: Canonical values.
            good: Indices of the rows without an error; the cells of the others are None.

        Raises:
            PluginError: when a domain has no such function any more, or it fails or gives another
                number of positions.
        """
        num_rows = len(next(iter(fields.values())))
        columns: dict[str, list[Any]] = {}
        is_unlike = np.zeros(len(good), bool)
        of_field = {field: each for each in self.compared for field in each.record.fields}
        for column, (field, record) in self.columns.items():
            values = of_field[field].values([fields[field][i] for i in good])
            is_unlike |= values < record.threshold
            columns[column] = _spread([round(v, 4) for v in values.tolist()], good, num_rows)
        columns[UNLIKE] = _spread(is_unlike.tolist(), good, num_rows)
        return columns


def _spread(values: Sequence[Any], good: Sequence[int], num_rows: int) -> list[Any]:
    cells: list[Any] = [None] * num_rows
    for place, value in zip(good, values, strict=True):
        cells[place] = value
    return cells


def fingerprint_function(
    registry: Registry, domain: str, field: str
) -> Callable[[Sequence[Any]], np.ndarray]:
    """Return the fingerprint function of a domain, whose results are kept by content.

    Raises:
        UnknownNameError: when no plugin provides the domain.
        PluginError: when the domain has none.
    """
    reference = registry.domains.get(domain, where="training_similarity").spec.fingerprint
    if reference is None:
        raise PluginError(
            f"domain {domain} no longer computes the fingerprints by which the predictor compares "
            "rows with its training rows. Install the version of the plugin that it was trained "
            "with, or predict with --no-similarity (similarity=False)."
        )
    function = resolve(reference, f"domain {domain}, fingerprint")
    return partial(kept_rows, reference, function, f"fingerprint of {field}")


def fingerprints(
    record: SimilarityRecord,
    function: Callable[[Sequence[Any]], np.ndarray],
    rows: Sequence[Any],
) -> np.ndarray:
    """Return what is set in the fingerprints of distinct rows: bool `(rows, width)`.

    Raises:
        PluginError: when the function fails or gives another shape than in training.
    """
    if not rows:
        return np.zeros((0, record.width), bool)
    values = np.asarray(call_plugin(partial(function, list(rows))))
    if values.shape != (len(rows), record.width):
        raise PluginError(
            f"domain {record.domain}, fingerprint: the shape is {values.shape} for {len(rows)} "
            f"rows, but the predictor was trained with {record.width} positions. Install the "
            "version of the plugin that it was trained with, or predict with --no-similarity "
            "(similarity=False)."
        )
    is_set: np.ndarray = values != 0
    return is_set


def packed(is_set: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return fingerprints bool `(rows, width)` as int16 positions and int32 sizes."""
    _, positions = np.nonzero(is_set)
    sizes = is_set.sum(axis=1)
    return torch.from_numpy(positions.astype(np.int16)), torch.from_numpy(sizes.astype(np.int32))


def unpacked(positions: Tensor, sizes: Tensor, width: int) -> np.ndarray:
    """Return what `packed` was given."""
    is_set = np.zeros((len(sizes), width), bool)
    rows = np.repeat(np.arange(len(sizes)), sizes.numpy())
    is_set[rows, positions.numpy().astype(np.int64)] = True
    return is_set


def chosen_rows(is_set: np.ndarray, seed: int) -> np.ndarray:
    """Choose the training values that a predictor keeps, so that every other is near one of them.

    Each next value is the one that is least like those chosen (farthest-first traversal), from a
    random sample where there are very many.

    Args:
        is_set: Fingerprints of distinct values, bool `(rows, width)`.
        seed: Of the sample.

    Returns:
        Their indices in order.
    """
    mean_size = max(1.0, float(is_set.sum(axis=1).mean())) if len(is_set) else 1.0
    most = max(1, min(MOST_ROWS, int(MOST_POSITIONS / mean_size)))
    if len(is_set) <= most:
        return np.arange(len(is_set))
    sample = np.arange(len(is_set))
    if len(sample) > _MOST_CHOSEN_FROM:
        drawn = np.random.default_rng(seed).choice(len(sample), _MOST_CHOSEN_FROM, replace=False)
        sample = np.sort(drawn)
    every = Nearest(is_set[sample])
    best = np.zeros(len(sample), np.float32)
    chosen = [0]
    while len(chosen) < most:
        newest = is_set[sample[chosen[-1]]][None]
        best = np.maximum(best, every.similarities(newest)[0])
        if best.min() >= 1:  # the others have the fingerprint of one of them
            break
        chosen.append(int(best.argmin()))
    return np.sort(sample[chosen])
