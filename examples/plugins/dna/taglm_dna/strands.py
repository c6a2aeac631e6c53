"""What a sequence stands for: a molecule of two strands."""

from collections.abc import Sequence

import numpy as np

from taglm_core import Checked
from taglm_dna.encoder import LETTERS, problem

_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")


def reverse_complement(row: str) -> str:
    """Return the other strand, read in its own direction; of an ambiguity code its complement."""
    return row.translate(_COMPLEMENT)[::-1]


def canonical(rows: Sequence[str]) -> Checked:
    """Write each molecule by the strand that comes first in the alphabet, in capital letters."""
    written = ["".join(row.split()).upper() for row in rows]
    errors = [problem(row) for row in written]
    values = [
        None if error else min(row, reverse_complement(row))
        for row, error in zip(written, errors, strict=True)
    ]
    return Checked(values, errors)


def other_strand(rows: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Spell each molecule by its other strand; nothing about that is random."""
    return [reverse_complement(row) for row in rows]


def molecules(rows: Sequence[str]) -> list[str]:
    """Return one key for both strands of a molecule."""
    return [min(row, reverse_complement(row)) for row in rows]


def composition(rows: Sequence[str]) -> np.ndarray:
    """Return the share of each letter and the length, float32 `(rows, 16)`."""
    counts = [[row.count(letter) / len(row) for letter in LETTERS] + [len(row)] for row in rows]
    return np.array(counts, dtype=np.float32).reshape(len(rows), len(LETTERS) + 1)
