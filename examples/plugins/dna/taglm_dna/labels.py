"""Labels that follow exactly from a sequence."""

from collections.abc import Mapping, Sequence

import numpy as np

_BASES = {
    "A": "A",
    "C": "C",
    "G": "G",
    "T": "T",
    "R": "AG",
    "Y": "CT",
    "S": "CG",
    "W": "AT",
    "K": "GT",
    "M": "AC",
    "B": "CGT",
    "D": "AGT",
    "H": "ACT",
    "V": "ACG",
    "N": "ACGT",
}
"""Letter -> the bases that it may stand for (IUPAC)."""

_SHARE = {letter: sum(b in "CG" for b in bases) / len(bases) for letter, bases in _BASES.items()}


def _strong(row: str) -> float:
    """Count G and C, an ambiguous base by the share of its possible bases."""
    return sum(_SHARE[letter] for letter in row)


def gc(columns: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return the share of G and C, `(rows, 1)`."""
    return np.array([[_strong(row) / len(row)] for row in columns["dna"]])


def melting(columns: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return the melting temperature in degrees Celsius, `(rows, 1)`.

    Below 14 bases 2 (A + T) + 4 (G + C), else 64.9 + 41 (G + C - 16.4) / length.
    """
    return np.array([[_melting(row)] for row in columns["dna"]])


def _melting(row: str) -> float:
    strong, length = _strong(row), len(row)
    if length < 14:
        return 2 * (length - strong) + 4 * strong
    return 64.9 + 41 * (strong - 16.4) / length
