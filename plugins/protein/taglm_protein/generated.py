"""Sequences made by this plugin: random ones of natural composition, and mutated known pieces.

They are the size of small proteins and have the frequencies of residues that natural ones have,
with runs that look like helices and strands. They are no proteins: nobody made or measured them,
most would not fold, and there is no evolution behind them beyond a few copies with exchanges.
"""

import bisect
import csv
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from random import Random
from typing import NamedTuple, TypeVar

TASK_SIZE = 6000
CORPUS_SIZE = 8000
LENGTHS = (30, 300)  # residues, fewest and most

# Residues in Swiss-Prot, per cent (the release statistics of UniProtKB, rounded)
BACKGROUND = {
    "A": 8.25, "R": 5.53, "N": 4.06, "D": 5.46, "C": 1.38, "Q": 3.93, "E": 6.72, "G": 7.07,
    "H": 2.27, "I": 5.91, "L": 9.65, "K": 5.80, "M": 2.41, "F": 3.86, "P": 4.74, "S": 6.65,
    "T": 5.36, "W": 1.10, "Y": 2.92, "V": 6.86,
}  # fmt: skip
_APOLAR = "AVILMFWYC"
# How much likelier than elsewhere residues are in a kind of run; the others: 1
_LIKING = {
    "helix": dict.fromkeys("PG", 0.3),
    "strand": dict.fromkeys("PGDN", 0.3),
    "coil": dict.fromkeys("PGDN", 1.6),
}
# Which residues of a helix or strand face the inside: every third or fourth, and every other
_PATTERNS = {"helix": (1, 0, 0, 1, 1, 0, 0), "strand": (1, 0), "coil": ()}
_KINDS = ("helix", "helix", "strand", "strand", "coil", "coil", "coil")  # drawn from at random
_RUN_LENGTHS = {"helix": (8, 18), "strand": (4, 9), "coil": (3, 14)}
_FACING = 5.0  # how much likelier an apolar residue is on the inside, and the reverse outside
_LENGTH_MEAN, _LENGTH_SPREAD = 4.65, 0.5  # of the logarithm: the median is 105 residues
_BIAS_SPREAD = 0.45  # how far the composition of one sequence is from the background (log)
_SHARE_KNOWN, _SHARE_COPIES = 0.2, 0.2
_FEWEST_KNOWN = 20  # residues of a piece of a known protein
# Groups within which residues are exchanged more often than for any other
_EXCHANGES = ("ILMV", "FWY", "DE", "KR", "NQ", "ST", "AG", "HNQ", "AS")
_Choice = TypeVar("_Choice")


class Known(NamedTuple):
    """A known protein, as a chain without what is bound to it."""

    name: str
    mass: str
    """Average mass in Da with reduced cysteines."""
    sequence: str


def task_sequences(*, seed: int, size: int | None = None) -> dict[str, list[str]]:
    """Generate the sequences of protein/descriptor and protein/protparam.

    Args:
        seed: Equal seeds give equal sequences; a smaller size gives the first ones of a larger.
        size: Number of sequences; None: 6,000.

    Returns:
        `sequence` (all different) and `source` (how each was made).
    """
    return _columns(f"task {seed}", TASK_SIZE if size is None else size)


def corpus_sequences(*, seed: int, size: int | None = None) -> dict[str, list[str]]:
    """Generate the sequences of protein/sequences, others than those of the tasks.

    Args:
        seed: Equal seeds give equal sequences; a smaller size gives the first ones of a larger.
        size: Number of sequences; None: 8,000.

    Returns:
        `sequence` (all different) and `source` (how each was made).
    """
    return _columns(f"corpus {seed}", CORPUS_SIZE if size is None else size)


def known_proteins(*, seed: int = 0, size: int | None = None) -> dict[str, list[str]]:
    """Return name, mass and sequence of the known proteins.

    Args:
        seed: Not used; the list is always the same.
        size: Number of proteins from the top of the list; None: all.
    """
    proteins = read_known()[:size]
    return {name: [getattr(protein, name) for protein in proteins] for name in Known._fields}


@functools.cache
def read_known() -> tuple[Known, ...]:
    """Read known.csv: sequences and masses typed from general knowledge."""
    text = resources.files("taglm_protein").joinpath("known.csv").read_text(encoding="utf-8")
    return tuple(Known(**row) for row in csv.DictReader(text.splitlines()))


def generate(seed: str) -> Iterator[tuple[str, str]]:
    """Yield (sequence, how it was made) without end or repetition."""
    random = Random(seed)
    sequences: list[str] = []
    seen: set[str] = set()
    while True:
        kind = random.random()
        if kind < _SHARE_KNOWN:
            row, source = _from_known(random)
        elif kind < _SHARE_KNOWN + _SHARE_COPIES and sequences:
            number = int(random.random() * len(sequences))
            row, rate = _copy(sequences[number], random)
            source = f"copy of row {number + 1} with {rate} % exchanged"
        else:
            row, source = _chain(_length(random), random), "random"
        if row not in seen and LENGTHS[0] <= len(row) <= LENGTHS[1]:
            seen.add(row)
            sequences.append(row)
            yield row, source


def _columns(seed: str, size: int) -> dict[str, list[str]]:
    rows = list(itertools.islice(generate(seed), size))
    return {"sequence": [row for row, _ in rows], "source": [source for _, source in rows]}


def _length(random: Random) -> int:
    drawn = round(random.lognormvariate(_LENGTH_MEAN, _LENGTH_SPREAD))
    return min(max(drawn, LENGTHS[0]), LENGTHS[1])


def _from_known(random: Random) -> tuple[str, str]:
    """Put a mutated piece of a known protein between random ends."""
    protein = _pick(random, read_known())
    whole = protein.sequence
    length = _between(random, min(_FEWEST_KNOWN, len(whole)), len(whole))
    start = _between(random, 0, len(whole) - length)
    piece, rate = _copy(whole[start : start + length], random)
    ends = [_chain(_between(random, 0, 40), random) for _ in range(2)]
    source = f"{protein.name} {start + 1}-{start + length} with {rate} % exchanged"
    return ends[0] + piece + ends[1], source


def _chain(length: int, random: Random) -> str:
    """Join random runs of helix, strand and coil, of a composition that is the sequence's own."""
    own = {r: f * random.lognormvariate(0, _BIAS_SPREAD) for r, f in BACKGROUND.items()}
    tables = {(kind, side): _table(own, kind, side) for kind in _PATTERNS for side in (0, 1)}
    row: list[str] = []
    while len(row) < length:
        kind = _pick(random, _KINDS)
        pattern = _PATTERNS[kind] or (0,)
        phase = int(random.random() * len(pattern))
        for place in range(_between(random, *_RUN_LENGTHS[kind])):
            side = pattern[(place + phase) % len(pattern)]
            row.append(_draw(tables[kind, side], random))
    return "".join(row[:length])


def _table(own: Mapping[str, float], kind: str, side: int) -> tuple[list[float], str]:
    """Return cumulated weights of residues in a kind of run, on its inner (1) or outer side."""
    weights = []
    for residue, share in own.items():
        weight = share * _LIKING[kind].get(residue, 1.0)
        if kind != "coil":
            weight *= _FACING ** (0.5 if (residue in _APOLAR) == bool(side) else -0.5)
        weights.append(weight)
    return list(itertools.accumulate(weights)), "".join(own)


def _draw(table: tuple[list[float], str], random: Random) -> str:
    cumulated, residues = table
    return residues[bisect.bisect(cumulated, random.random() * cumulated[-1], hi=19)]


def _copy(row: str, random: Random) -> tuple[str, int]:
    """Exchange up to 40 % of the residues; return the copy and the per cent aimed at."""
    rate = _between(random, 1, 40)
    background = list(itertools.accumulate(BACKGROUND.values())), "".join(BACKGROUND)
    residues = []
    for residue in row:
        if random.random() < rate / 100:
            alike = [group for group in _EXCHANGES if residue in group]
            if alike and random.random() < 0.5:
                residue = _pick(random, _pick(random, alike).replace(residue, ""))
            else:
                residue = _draw(background, random)
        residues.append(residue)
    return "".join(residues), rate


def _pick(random: Random, choices: Sequence[_Choice]) -> _Choice:
    # random() gives the same numbers in every version of Python, choice() need not
    return choices[int(random.random() * len(choices))]


def _between(random: Random, low: int, high: int) -> int:
    """Draw a whole number from low to high, both included."""
    return low + int(random.random() * (high - low + 1))
