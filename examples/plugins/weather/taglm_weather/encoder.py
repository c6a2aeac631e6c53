"""Records as symbols: one symbol of each column's scale."""

from collections.abc import Sequence

import attrs
import numpy as np

from taglm_core import Encoded


@attrs.frozen
class Scale:
    """The values that a column may have."""

    name: str
    unit: str
    low: float
    step: float
    count: int

    def written(self, place: int) -> str:
        """Return the value at a place of the scale, as it is written."""
        return f"{self.low + self.step * place:.{1 if self.step % 1 else 0}f}"

    @property
    def values(self) -> tuple[str, ...]:
        """Every value as it is written."""
        return tuple(self.written(place) for place in range(self.count))

    @property
    def high(self) -> float:
        """Largest value."""
        return self.low + self.step * (self.count - 1)


SCALES = (
    Scale("temperature", "degrees", -40.0, 0.5, 201),
    Scale("humidity", "percent", 1.0, 1.0, 100),
    Scale("pressure", "hPa", 850.0, 5.0, 48),
)

_WORDS = tuple(f"{value} {scale.unit}" for scale in SCALES for value in scale.values)
_FIRST = np.cumsum([0, *(scale.count for scale in SCALES)]).tolist()
_INDEX = tuple(
    {value: first + k for k, value in enumerate(scale.values)}
    for scale, first in zip(SCALES, _FIRST, strict=False)
)
_VALUES = tuple(value for scale in SCALES for value in scale.values)


class AirEncoder:
    """Three symbols a record; a value beside the scale is an error.

    Example:
        >>> encoder = AirEncoder()
        >>> encoder.decode(encoder.encode_batch([("21.5", "60", "1015")]).ids)
        ('21.5', '60', '1015')
    """

    symbols: tuple[str, ...] = _WORDS
    spellings: tuple[str, ...] = _WORDS
    version: str = "1"

    def encode_batch(self, rows: Sequence[tuple[str, ...]]) -> Encoded:
        """Encode records `(rows,)`; one that cannot be encoded has an error and no ids."""
        ids: list[int] = []
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        errors: list[str | None] = []
        for place, row in enumerate(rows, start=1):
            indices = [index.get(value) for index, value in zip(_INDEX, row, strict=True)]
            fine = [k for k in indices if k is not None]
            is_whole = len(fine) == len(indices)
            errors.append(None if is_whole else _problem(row))
            ids += fine if is_whole else []
            offsets[place] = len(ids)
        return Encoded(np.array(ids, dtype=np.int32), offsets, errors)

    def decode(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the record of symbol ids `(3,)`, or the columns that fewer ids spell."""
        return tuple(_VALUES[int(index)] for index in ids)


def _problem(row: Sequence[str]) -> str:
    """Say which value is not on its scale, and which character is no part of a number."""
    for scale, index, value in zip(SCALES, _INDEX, row, strict=True):
        if value in index:
            continue
        if not value:
            return f"{scale.name} is empty"
        for position, character in enumerate(value, start=1):
            if character not in "0123456789.-":
                return f"{scale.name}: unknown symbol {character!r} at position {position}"
        return f"{scale.name} {value!r} is not on the scale {_scale(scale)}"
    raise AssertionError(f"every value of {row!r} is on its scale")


def _scale(scale: Scale) -> str:
    return f"{scale.low:g} to {scale.high:g} {scale.unit} in steps of {scale.step:g}"
