"""What a domain encoder is: a finite ordered alphabet, and rows in and out of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


class Encoded(NamedTuple):
    """Rows encoded as symbol ids, laid end to end."""

    ids: "np.ndarray"
    """int32 `(total,)`: symbol indices of all rows, one row after the other."""
    offsets: "np.ndarray"
    """int64 `(rows + 1,)`: row `i` is `ids[offsets[i]:offsets[i + 1]]`."""
    errors: list[str | None]
    """One entry a row: None, or why the row cannot be encoded (it then has no ids)."""


class Checked(NamedTuple):
    """Rows after a check or a rewriting that can fail row by row."""

    values: list[Any]
    """The rewritten rows, strings or tuples of strings; None where there is an error."""
    errors: list[str | None]
    """One entry a row: None, or what is wrong with it, in the domain's own words."""


class Fixed(NamedTuple):
    """Rows after common faults were put right, when the user asked for it."""

    values: list[str]
    """The rows, fixed or as they were."""
    changes: list[str | None]
    """One entry a row: None, or what was changed, in the domain's own words."""


@runtime_checkable
class Encoder(Protocol):
    """A tokenizer-free domain encoder.

    `encode_batch` and `decode` are exact inverses on every row without an error. The core builds
    one embedding row for each symbol from the LM's own tokens of its spelling.
    """

    symbols: tuple[str, ...]
    """The ordered alphabet; an artifact stores it, so its order belongs to the version."""
    spellings: tuple[str, ...]
    """What the LM reads for each symbol, in the same order; no two alike, none empty."""
    version: str
    """Changes when the same row would be encoded otherwise."""

    def encode_batch(self, rows: Sequence[Any]) -> Encoded:
        """Encode rows, strings or tuples of strings; never raises for the content of a row."""
        ...

    def decode(self, ids: Sequence[int]) -> Any:
        """Return the row that the symbol ids spell."""
        ...


def first_errors(*columns: Sequence[str | None]) -> list[str | None]:
    """Return the first error of each row, None where no column has one.

    Args:
        *columns: One error or None a row, from what was checked first to what was checked last.
    """
    return [next((e for e in row if e is not None), None) for row in zip(*columns, strict=True)]
