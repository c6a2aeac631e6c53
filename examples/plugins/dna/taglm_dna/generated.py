"""Sequences by seed: lengths, GC content and a few ambiguity codes vary."""

import numpy as np

_AMBIGUOUS = "RYSWKMBDHVN"
_SHARE_AMBIGUOUS = 0.02


def sequences(*, seed: int, size: int | None) -> dict[str, list[str]]:
    """Make distinct sequences of 8 to 60 bases.

    Args:
        seed: Seed of everything random.
        size: Number of sequences; None: 4,000.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, None] = {}
    wanted = 4000 if size is None else size
    while len(rows) < wanted:
        rows[_sequence(rng)] = None
    return {"dna": list(rows)}


def _sequence(rng: np.random.Generator) -> str:
    length = int(rng.integers(8, 61))
    strong = rng.uniform(0.1, 0.9)
    chances = [(1 - strong) / 2, strong / 2, strong / 2, (1 - strong) / 2]
    letters = rng.choice(list("ACGT"), size=length, p=chances)
    is_ambiguous = rng.random(length) < _SHARE_AMBIGUOUS
    letters[is_ambiguous] = rng.choice(list(_AMBIGUOUS), size=int(is_ambiguous.sum()))
    return "".join(letters.tolist())
