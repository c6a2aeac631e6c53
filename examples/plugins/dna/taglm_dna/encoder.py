"""DNA letters as symbols, ambiguity codes included, exactly as they stand."""

from collections.abc import Sequence

import numpy as np

from taglm_core import Encoded

LETTERS = "ACGTRYSWKMBDHVN"
"""The bases and the IUPAC ambiguity codes."""

_INDEX = {letter: index for index, letter in enumerate(LETTERS)}


class DnaEncoder:
    """One symbol for each letter; anything else is an error with its position.

    Example:
        >>> DnaEncoder().encode_batch(["GAN"]).ids.tolist()
        [2, 0, 14]
    """

    symbols: tuple[str, ...] = tuple(LETTERS)
    spellings: tuple[str, ...] = tuple(LETTERS)
    version: str = "1"

    def encode_batch(self, rows: Sequence[str]) -> Encoded:
        """Encode sequences `(rows,)`; one that cannot be encoded has an error and no ids."""
        errors = [problem(row) for row in rows]
        good = [row if error is None else "" for row, error in zip(rows, errors, strict=True)]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in good], out=offsets[1:])
        ids = np.array([_INDEX[letter] for row in good for letter in row], dtype=np.int32)
        return Encoded(ids, offsets, errors)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the sequence of symbol ids `(symbols,)`."""
        return "".join(LETTERS[index] for index in ids)


def problem(row: str) -> str | None:
    """Return what is wrong with a sequence in capital letters, None when nothing is."""
    if not row:
        return "empty sequence"
    for position, letter in enumerate(row, start=1):
        if letter not in _INDEX:
            advice = "; write T for U" if letter in "Uu" else ""
            return f"unknown symbol {letter!r} at position {position}{advice}"
    return None
