"""Invented pairs of molecules and sequences, so that the task can be tried without data.

Molecules are put together from rings, links and ends; sequences are random with a composition of
their own. Nobody made or measured any of them, and the score is a formula.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

SIZE = 6000
NUM_MOLECULES = 1500
NUM_SEQUENCES = 300
_LENGTHS = (30, 80)

# each ring with an open place at its begin and one in the middle
_RINGS = (
    "c1ccc({})cc1",
    "c1cccc({})c1",
    "c1ccnc({})c1",
    "c1cnc({})nc1",
    "c1ccc({})s1",
    "c1ccc({})o1",
    "C1CCC({})CC1",
    "C1CCN({})CC1",
    "C1CC({})CO1",
    "c1ccc2c(c1)ccc({})n2",
)
# an end before a ring, and the same end behind it
_ENDS = (
    ("C", "C"),
    ("CC(C)", "C(C)C"),
    ("CCCC", "CCCC"),
    ("OC(=O)", "C(=O)O"),
    ("NC(=O)", "C(=O)N"),
    ("CC(=O)", "C(=O)C"),
    ("OC(=O)C", "CC(=O)O"),
    ("CS(=O)(=O)", "S(=O)(=O)C"),
    ("C9CC9", "C9CC9"),
    ("N#CC", "CC#N"),
    ("NCC", "CCN"),
    ("FC(F)(F)", "C(F)(F)F"),
)
_LINKS = ("C(=O)", "CC", "CC(=O)", "CCC", "S(=O)(=O)", "COC")
_RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
_AROMATIC, _BASIC, _ACIDIC = "FWYH", "KR", "DE"

_Choice = TypeVar("_Choice")


def pairs(*, seed: int, size: int | None = None) -> dict[str, list[Any]]:
    """Make pairs of invented molecules and sequences with an invented score.

    Args:
        seed: Equal seeds give equal rows; a smaller size gives the first ones of a larger.
        size: Number of rows; None: 6,000.

    Returns:
        `smiles`, `sequence` and `affinity`, the score of `invented_affinity`.
    """
    random = Random(f"pairs {seed}")
    molecules = _distinct(lambda: _molecule(random), NUM_MOLECULES)
    sequences = _distinct(lambda: _sequence(random), NUM_SEQUENCES)
    rows = [
        (_pick(random, molecules), _pick(random, sequences))
        for _ in range(SIZE if size is None else size)
    ]
    return {
        "smiles": [smiles for smiles, _ in rows],
        "sequence": [sequence for _, sequence in rows],
        "affinity": [invented_affinity(smiles, sequence) for smiles, sequence in rows],
    }


def invented_affinity(smiles: str, sequence: str) -> float:
    """Return a score that no experiment stands behind.

    Args:
        smiles: A molecule of `pairs`: atoms in lower case are aromatic.
        sequence: A protein sequence.

    Returns:
        `5 + 2 a A + 6 acids (basic - acidic)`: a, the molecule's aromatic atoms in tens; A, the
        share of F, W, Y and H, in fifths; acids, its carboxyl groups; basic and acidic, the shares
        of K and R and of D and E.
    """
    rings = sum(smiles.count(atom) for atom in "cnos") / 10
    aromatic = _share(sequence, _AROMATIC) * 5
    acids = smiles.startswith("OC(=O)") + smiles.count("C(=O)O")
    charge = _share(sequence, _BASIC) - _share(sequence, _ACIDIC)
    return round(5.0 + 2.0 * rings * aromatic + 6.0 * acids * charge, 4)


def _share(sequence: str, residues: str) -> float:
    return sum(sequence.count(residue) for residue in residues) / len(sequence)


def _molecule(random: Random) -> str:
    first, last = _pick(random, _ENDS), _pick(random, _ENDS)
    tail = last[1]
    if random.random() < 0.8:
        link, ring = _pick(random, _LINKS), _pick(random, _RINGS)
        tail = link + _renumbered(ring).format(tail)
    return first[0] + _pick(random, _RINGS).format(tail)


def _renumbered(ring: str) -> str:
    """Return a ring with digits that the ring around it does not use."""
    return ring.replace("2", "4").replace("1", "3")


def _sequence(random: Random) -> str:
    low, high = _LENGTHS
    length = low + int(random.random() * (high - low + 1))
    weights = [0.3 + random.random() for _ in _RESIDUES]
    favored = _pick(random, (_AROMATIC, _BASIC, _ACIDIC))
    for residue in favored:
        weights[_RESIDUES.index(residue)] *= 1 + 3 * random.random()
    return "".join(random.choices(_RESIDUES, weights, k=length))


def _distinct(make: Callable[[], str], count: int) -> list[str]:
    rows: dict[str, None] = {}
    while len(rows) < count:
        rows[make()] = None
    return list(rows)


def _pick(random: Random, choices: Sequence[_Choice]) -> _Choice:
    # random() gives the same numbers in every version of Python, choice() need not
    return choices[int(random.random() * len(choices))]
