"""Numbers that describe proteins, for baselines such as ridge and boosting."""

from collections.abc import Sequence

import numpy as np

from taglm_protein.encoder import ProteinEncoder
from taglm_protein.residues import STANDARD, read

CLASSES = {
    "positive": "KRH",
    "negative": "DE",
    "aromatic": "FWY",
    "aliphatic": "AVIL",
    "small": "AGST",
    "amide": "NQ",
    "sulfur": "CM",
    "helix_breaking": "PG",
}
"""Classes of residues whose shares are features."""

TRIPLE_PLACES = 1024
POSITION_PLACES = 1024
FINGERPRINT_PLACES = 4096

_NUM_SYMBOLS = len(ProteinEncoder.symbols)
_NUM_STANDARD = len(STANDARD)
_BLOCK_ROWS = 512
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: Fibonacci hashing


def composition_and_kmers(rows: Sequence[str]) -> np.ndarray:
    """Describe each sequence by composition, pairs, triples and residues at positions.

    The columns, none of them negative: length and its logarithm; counts of the 26 symbols; shares
    of the 26 symbols; shares of the classes in `CLASSES`; shares of the 400 pairs of neighbors;
    counts of triples of neighbors, hashed; residues at their positions counted from the start,
    hashed (which tell the variants of one protein apart).

    Args:
        rows: Valid sequences, `(rows,)`.

    Returns:
        float32 `(rows, features)`; each row depends on its own sequence alone.

    Raises:
        DataError: when a row is not a valid sequence.
    """
    read(rows)
    blocks = [_block(rows[i : i + _BLOCK_ROWS]) for i in range(0, len(rows), _BLOCK_ROWS)]
    return np.concatenate(blocks) if blocks else np.zeros((0, NUM_FEATURES), np.float32)


def fingerprint(rows: Sequence[str]) -> np.ndarray:
    """Return which triples of neighboring residues each sequence has, hashed.

    The similarity of two sequences is then about the share of triples that they have in common,
    which follows their identity: 0.98 for one residue of 300 replaced, 0.1 for unrelated ones.

    Args:
        rows: Valid sequences, `(rows,)`.

    Returns:
        bool `(rows, 4096)`; a sequence of fewer than three residues has its residues instead.

    Raises:
        DataError: when a row is not a valid sequence.
    """
    read(rows)
    found = np.zeros((len(rows), FINGERPRINT_PLACES), bool)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        encoded = ProteinEncoder().encode_batch(block)
        ids = encoded.ids.astype(np.int64)  # (total,)
        lengths = np.diff(encoded.offsets)  # (rows,)
        row = np.repeat(np.arange(len(block)), lengths)  # (total,)
        triples = _triples(row, ids, len(block), FINGERPRINT_PLACES)
        found[start : start + len(block)] = triples > 0
        is_short = lengths[row] < 3
        found[start + row[is_short], ids[is_short]] = True
    return found


def names() -> list[str]:
    """Return the names of the features, in order."""
    symbols = ProteinEncoder.symbols
    return [
        "length",
        "log_length",
        *(f"count_{s}" for s in symbols),
        *(f"share_{s}" for s in symbols),
        *(f"share_{name}" for name in CLASSES),
        *(f"share_{a}{b}" for a in STANDARD for b in STANDARD),
        *(f"triples_{i}" for i in range(TRIPLE_PLACES)),
        *(f"positions_{i}" for i in range(POSITION_PLACES)),
    ]


NUM_FEATURES = 2 + 2 * _NUM_SYMBOLS + len(CLASSES) + _NUM_STANDARD**2 + TRIPLE_PLACES
NUM_FEATURES += POSITION_PLACES
"""Number of features."""

_MEMBERS = np.array(
    [[symbol in members for members in CLASSES.values()] for symbol in ProteinEncoder.symbols],
    np.float32,
)  # (symbols, classes)


def _block(rows: Sequence[str]) -> np.ndarray:
    """Return the features of a block of valid rows, float32 `(rows, features)`."""
    encoded = ProteinEncoder().encode_batch(rows)
    ids = encoded.ids.astype(np.int64)  # (total,)
    lengths = np.diff(encoded.offsets)  # (rows,)
    row = np.repeat(np.arange(len(rows)), lengths)  # (total,) row of each residue
    place = np.arange(len(ids)) - encoded.offsets[row]  # (total,) position in its row, from 0
    counts = _counts(row, ids, len(rows), _NUM_SYMBOLS)
    shares = counts / lengths[:, None]
    size = lengths[:, None].astype(np.float32)
    return np.concatenate(
        [
            size,
            np.log(size),
            counts,
            shares,
            shares @ _MEMBERS,
            _pairs(row, ids, len(rows)) / np.maximum(size - 1, 1),
            _triples(row, ids, len(rows), TRIPLE_PLACES),
            _counts(
                row,
                _hashed(place * _NUM_SYMBOLS + ids, POSITION_PLACES),
                len(rows),
                POSITION_PLACES,
            ),
        ],
        axis=1,
        dtype=np.float32,
    )


def _pairs(row: np.ndarray, ids: np.ndarray, num_rows: int) -> np.ndarray:
    """Count neighboring pairs of standard residues: `(rows, 400)`."""
    first, second = ids[:-1], ids[1:]
    is_pair = (row[:-1] == row[1:]) & (first < _NUM_STANDARD) & (second < _NUM_STANDARD)
    code = first * _NUM_STANDARD + second
    return _counts(row[:-1][is_pair], code[is_pair], num_rows, _NUM_STANDARD**2)


def _triples(row: np.ndarray, ids: np.ndarray, num_rows: int, num_places: int) -> np.ndarray:
    """Count neighboring triples, hashed: `(rows, num_places)`."""
    is_triple = row[:-2] == row[2:]
    code = (ids[:-2] * _NUM_SYMBOLS + ids[1:-1]) * _NUM_SYMBOLS + ids[2:]
    places = _hashed(code[is_triple], num_places)
    return _counts(row[:-2][is_triple], places, num_rows, num_places)


def _hashed(codes: np.ndarray, num_places: int) -> np.ndarray:
    """Spread non-negative codes over places, the same way everywhere; a power of two of them."""
    bits = np.uint64(num_places.bit_length() - 1)
    mixed = codes.astype(np.uint64) * _MIX  # wraps around, as it should
    return (mixed >> (np.uint64(64) - bits)).astype(np.int64)


def _counts(row: np.ndarray, column: np.ndarray, num_rows: int, num_columns: int) -> np.ndarray:
    """Count how often each column occurs in each row: float32 `(rows, columns)`."""
    flat = np.bincount(row * num_columns + column, minlength=num_rows * num_columns)
    return flat.reshape(num_rows, num_columns).astype(np.float32)
