"""Molecules made by this plugin: fragments of known drugs, joined anew by the BRICS rules.

They are valid and drug-like in size, and nothing more: nobody has made or measured them, many would
be hard to make, and they are not a sample of natural or of commercial chemical space.
"""

import csv
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from random import Random
from typing import NamedTuple, TypeVar

from rdkit import Chem, rdBase
from rdkit.Chem import BRICS

from taglm_core.errors import DataError

TASK_SIZE = 6000
CORPUS_SIZE = 20000
HEAVY_ATOMS = (8, 60)  # fewest and most
MAX_CHARACTERS = 120

_SIZE_MEAN, _SIZE_SPREAD = 25.0, 7.0  # heavy atoms aimed at, normally distributed
_SIZE_TOLERANCE = 2.0
_NUM_MIDDLES = (0, 0, 0, 1, 1, 1, 1, 2, 2)  # drawn from at random: fragments between the two ends
_MAX_TRIES = 2000  # attempts per molecule before the generator gives up
_Choice = TypeVar("_Choice")


class Drug(NamedTuple):
    """A known drug, without its salt."""

    name: str
    formula: str
    smiles: str


class Fragment(NamedTuple):
    """A piece of a drug with one or two open bonds."""

    mol: Chem.Mol
    """The piece; each open bond ends in a dummy atom whose isotope is its BRICS environment."""
    dummies: tuple[int, ...]
    """Indices of the dummy atoms."""
    labels: tuple[int, ...]
    """BRICS environments of the dummy atoms."""
    size: int
    """Number of heavy atoms without the dummies."""
    drug: str
    """Name of the drug it comes from."""


class Pool(NamedTuple):
    """All fragments, looked up by the environment that they can be joined to."""

    ends: tuple[Fragment, ...]
    """Fragments with one open bond."""
    next_ends: dict[int, tuple[Fragment, ...]]
    """Environment -> ends that can follow it."""
    next_middles: dict[int, tuple[Fragment, ...]]
    """Environment -> fragments with two open bonds, of which the first can follow it."""


def task_molecules(*, seed: int, size: int | None = None) -> dict[str, list[str]]:
    """Generate the molecules of chem/qed and chem/logp.

    Args:
        seed: Equal seeds give equal molecules; a smaller size gives the first ones of a larger.
        size: Number of molecules; None: 6,000.

    Returns:
        `smiles` (canonical, all different) and `source` (the drugs that gave the fragments).
    """
    return _columns(f"task {seed}", TASK_SIZE if size is None else size)


def corpus_molecules(*, seed: int, size: int | None = None) -> dict[str, list[str]]:
    """Generate the molecules of chem/molecules, another sequence than that of the tasks.

    Args:
        seed: Equal seeds give equal molecules; a smaller size gives the first ones of a larger.
        size: Number of molecules; None: 20,000.

    Returns:
        `smiles` (canonical, all different) and `source` (the drugs that gave the fragments).
    """
    return _columns(f"corpus {seed}", CORPUS_SIZE if size is None else size)


def known_drugs(*, seed: int = 0, size: int | None = None) -> dict[str, list[str]]:
    """Return name, formula and SMILES of the drugs that the fragments come from.

    Args:
        seed: Not used; the list is always the same.
        size: Number of drugs from the top of the list; None: all.
    """
    drugs = read_drugs()[:size]
    return {name: [getattr(drug, name) for drug in drugs] for name in Drug._fields}


@functools.cache
def read_drugs() -> tuple[Drug, ...]:
    """Read drugs.csv: names, formulas and SMILES typed from general chemical knowledge."""
    text = resources.files("taglm_chem").joinpath("drugs.csv").read_text(encoding="utf-8")
    return tuple(Drug(**row) for row in csv.DictReader(text.splitlines()))


def generate(seed: str) -> Iterator[tuple[str, str]]:
    """Yield (canonical SMILES, names of the drugs joined by `+`) without end or repetition.

    Raises:
        DataError: when no new molecule can be found any more.
    """
    pool, random = fragment_pool(), Random(seed)
    seen: set[str] = set()
    while True:
        for _ in range(_MAX_TRIES):
            chain = _draw_chain(pool, random)
            smiles = _join(chain) if chain else None
            if smiles and smiles not in seen:
                seen.add(smiles)
                yield smiles, "+".join(fragment.drug for fragment in chain)
                break
        else:
            raise DataError(
                f"no new molecule could be generated after {len(seen)}. Ask for a smaller size."
            )


@functools.cache
def fragment_pool() -> Pool:
    """Cut every drug at each BRICS bond, and at each two of them."""
    ends: dict[str, Fragment] = {}
    middles: dict[str, Fragment] = {}
    for drug in read_drugs():
        mol = Chem.MolFromSmiles(drug.smiles)
        # Environment 7 marks a double bond, which the joining of single bonds leaves alone.
        bonds = [bond for bond in BRICS.FindBRICSBonds(mol) if "7" not in bond[1]]
        for cuts, pieces in ((1, ends), (2, middles)):
            for cut in itertools.combinations(bonds, cuts):
                for smiles in Chem.MolToSmiles(BRICS.BreakBRICSBonds(mol, bonds=cut)).split("."):
                    if smiles.count("*") == cuts and smiles not in pieces:
                        pieces[smiles] = _read_fragment(smiles, drug.name)
    # A middle fragment can be entered from either side.
    both_ways = [
        fragment._replace(dummies=fragment.dummies[::way], labels=fragment.labels[::way])
        for fragment in middles.values()
        for way in (1, -1)
    ]
    return Pool(
        ends=tuple(ends.values()),
        next_ends=_by_partner(ends.values()),
        next_middles=_by_partner(both_ways),
    )


def _columns(seed: str, size: int) -> dict[str, list[str]]:
    with rdBase.BlockLogs():
        rows = list(itertools.islice(generate(seed), size))
    return {"smiles": [smiles for smiles, _ in rows], "source": [source for _, source in rows]}


@functools.cache
def _partners() -> dict[int, frozenset[int]]:
    """Return BRICS environment -> environments that a single bond may join it to."""
    pairs = [
        (int(one), int(other))
        for rules in BRICS.reactionDefs
        for one, other, bond in rules
        if bond == "-"
    ]
    return {
        label: frozenset(
            [other for one, other in pairs if one == label]
            + [one for one, other in pairs if other == label]
        )
        for label in sorted({label for pair in pairs for label in pair})
    }


def _by_partner(fragments: Iterable[Fragment]) -> dict[int, tuple[Fragment, ...]]:
    """Return environment -> fragments whose first open bond can be joined to it."""
    return {
        label: tuple(f for f in fragments if f.labels[0] in partners)
        for label, partners in _partners().items()
    }


def _read_fragment(smiles: str, drug: str) -> Fragment:
    mol = Chem.MolFromSmiles(smiles)
    dummies = tuple(atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0)
    labels = tuple(mol.GetAtomWithIdx(index).GetIsotope() for index in dummies)
    return Fragment(mol, dummies, labels, mol.GetNumHeavyAtoms(), drug)  # without dummies


def _pick(random: Random, choices: Sequence[_Choice]) -> _Choice:
    # random() gives the same numbers in every version of Python, choice() need not.
    return choices[int(random.random() * len(choices))]


def _draw_chain(pool: Pool, random: Random) -> list[Fragment]:
    """Draw an end, middles and an end that fit each other; [] when their size is not wanted."""
    size = random.normalvariate(_SIZE_MEAN, _SIZE_SPREAD)
    num_middles = _pick(random, _NUM_MIDDLES)
    chain = [_pick(random, pool.ends)]
    for place in range(num_middles + 1):
        following = pool.next_ends if place == num_middles else pool.next_middles
        chain.append(_pick(random, following[chain[-1].labels[-1]]))
    total = sum(fragment.size for fragment in chain)
    is_wanted = abs(total - size) <= _SIZE_TOLERANCE and HEAVY_ATOMS[0] <= total <= HEAVY_ATOMS[1]
    return chain if is_wanted else []


def _join(chain: Sequence[Fragment]) -> str | None:
    """Join the open bonds of neighbors; None when the molecule is impossible or too long."""
    whole = Chem.Mol()
    for place, fragment in enumerate(chain):
        piece = Chem.Mol(fragment.mol)
        # Bond n joins piece n - 1, by its last open bond, to piece n, by its first.
        if place > 0:
            piece.GetAtomWithIdx(fragment.dummies[0]).SetAtomMapNum(place)
        if place < len(chain) - 1:
            piece.GetAtomWithIdx(fragment.dummies[-1]).SetAtomMapNum(place + 1)
        whole = Chem.CombineMols(whole, piece)
    mol = Chem.MolFromSmiles(Chem.MolToSmiles(Chem.molzip(whole)))
    smiles = None if mol is None else Chem.MolToSmiles(mol)
    return smiles if smiles is not None and len(smiles) <= MAX_CHARACTERS else None
