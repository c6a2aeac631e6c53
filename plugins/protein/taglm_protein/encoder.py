"""Proteins as symbols: a tokenizer-free encoder with one symbol for each residue letter.

The whole batch is encoded with numpy over its bytes; only rows that fail are looked at one by one.
What may be fixed in a row before it comes here is said in `taglm_protein.residues`.
"""

from collections.abc import Sequence

import numpy as np

from taglm_core import Encoded
from taglm_protein.residues import AMBIGUOUS, RARE, STANDARD, explain

SYMBOLS = tuple(STANDARD + RARE + AMBIGUOUS)
"""The alphabet: the 20 standard residues, then U and O, then the ambiguity codes B Z J X."""

_UNKNOWN = -1
_SEPARATOR = "\n"
_BLOCK_BYTES = 1 << 20  # keeps the temporary arrays of a block near the processor's caches


def _symbol_table() -> np.ndarray:
    """Return int32 `(256,)`: byte -> symbol, or -1."""
    table = np.full(256, _UNKNOWN, np.int32)
    table[[ord(symbol) for symbol in SYMBOLS]] = np.arange(len(SYMBOLS))
    return table


_TABLE = _symbol_table()


class ProteinEncoder:
    """Amino acid sequences to symbol ids and back, exactly.

    Example:
        >>> encoder = ProteinEncoder()
        >>> encoded = encoder.encode_batch(["MKT", "MK*"])
        >>> [encoder.symbols[i] for i in encoded.ids]
        ['M', 'K', 'T']
        >>> encoded.errors[0] is None
        True
    """

    symbols: tuple[str, ...] = SYMBOLS
    """The ordered alphabet."""
    spellings: tuple[str, ...] = SYMBOLS
    """What the LM reads for each symbol: the letter itself."""
    version: str = "1"
    """Changes when the same sequence would be encoded otherwise."""

    def encode_batch(self, rows: Sequence[str]) -> Encoded:
        """Encode sequences; a row that cannot be encoded gets an error and no ids.

        Args:
            rows: Sequences, `(rows,)`.

        Returns:
            ids int32 `(total,)`, offsets int64 `(rows + 1,)` and one error or None a row.
        """
        texts = [row if isinstance(row, str) else "" for row in rows]
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))  # (rows,)
        errors: list[str | None] = [None] * len(texts)
        pieces = []
        for first, last in _blocks(lengths):
            ids, bad = _encode_block(texts[first:last], lengths[first:last])
            pieces.append(ids)
            for row in (bad + first).tolist():
                errors[row] = explain(rows[row])
                lengths[row] = 0
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        ids = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
        return Encoded(ids=ids, offsets=offsets, errors=errors)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the sequence that symbol ids `(symbols,)` spell."""
        return "".join(map(self.symbols.__getitem__, ids))


def _blocks(lengths: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last row of runs of rows that together are about a block long."""
    if not len(lengths):
        return []
    number = np.cumsum(lengths + 1) // _BLOCK_BYTES  # (rows,) block of each row
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(lengths)], strict=True))


def _encode_block(texts: Sequence[str], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encode a block; return ids int32 `(total,)` of its good rows and the places of bad ones."""
    # "replace" gives one "?" for each character beyond ASCII, so that lengths stay those of text
    data = np.frombuffer(_SEPARATOR.join([*texts, ""]).encode("ascii", "replace"), np.uint8)
    ends = np.cumsum(lengths + 1)  # (rows,) one past the separator after each row
    is_residue = np.ones(len(data), bool)
    is_residue[ends - 1] = False
    ids = _TABLE[data][is_residue]  # (total,)
    is_bad = lengths == 0
    unknown = np.flatnonzero(ids < 0)
    if unknown.size:
        is_bad[np.searchsorted(np.cumsum(lengths), unknown, side="right")] = True
        ids = ids[np.repeat(~is_bad, lengths)]
    return ids, np.flatnonzero(is_bad)
