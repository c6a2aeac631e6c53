"""Random spellings of a molecule without RDKit, for machines and moments that do not have it.

Only what canonical SMILES of one fragment without stereo marks hold is understood; the chemistry is
not looked at: atoms, bonds and rings are kept as they are, and only the order changes.
"""

import random
import re

_PIECE = re.compile(
    r"(?P<atom>\[[^\]]*\]|Cl|Br|[BCNOFPSIbcnops])|(?P<bond>[-=#:$])|(?P<ring>%\d\d|\d)|(?P<turn>[()])"
)
STEREO = "@/\\"

Edges = list[list[tuple[int, str]]]


def can_respell(smiles: str) -> bool:
    """Say whether `respell` may be used: one fragment, no stereo marks."""
    return not any(mark in smiles for mark in STEREO + ".")


def parse(smiles: str) -> tuple[list[str], Edges]:
    """Read a SMILES into atoms and, for each atom, its neighbors with their bond signs.

    Raises:
        ValueError: If a character is none that this module knows.
    """
    atoms: list[str] = []
    edges: Edges = []
    open_rings: dict[str, tuple[int, str]] = {}
    branches: list[int] = []
    last, bond, end = -1, "", 0
    for match in _PIECE.finditer(smiles):
        if match.start() != end:
            break
        end = match.end()
        kind, piece = match.lastgroup, match.group()
        if kind == "atom":
            atoms.append(piece)
            edges.append([])
            if last >= 0:
                edges[last].append((len(atoms) - 1, bond))
                edges[-1].append((last, bond))
            last, bond = len(atoms) - 1, ""
        elif kind == "bond":
            bond = piece
        elif kind == "ring":
            if piece in open_rings:
                other, sign = open_rings.pop(piece)
                edges[last].append((other, bond or sign))
                edges[other].append((last, bond or sign))
            else:
                open_rings[piece] = (last, bond)
            bond = ""
        elif piece == "(":
            branches.append(last)
        else:
            last = branches.pop()
    if end != len(smiles) or open_rings or branches:
        raise ValueError(f"cannot respell the SMILES {smiles!r}")
    return atoms, edges


def respell(smiles: str, rng: random.Random) -> str:
    """Return a random SMILES of the same molecule.

    Args:
        smiles: One for which `can_respell` holds.
        rng: Draws the first atom and the order of the branches.
    """
    atoms, edges = parse(smiles)
    rank = [-1] * len(atoms)
    children: Edges = [[] for _ in atoms]
    opened: Edges = [[] for _ in atoms]
    closed: list[list[int]] = [[] for _ in atoms]
    count = 0

    def visit(atom: int, parent: int) -> None:
        nonlocal count
        rank[atom] = count
        count += 1
        around = edges[atom]
        if len(around) > 1:
            around = rng.sample(around, len(around))
        for other, bond in around:
            if rank[other] < 0:
                children[atom].append((other, bond))
                visit(other, atom)
            elif other != parent and rank[other] < rank[atom]:
                opened[other].append((atom, bond))
                closed[atom].append(other)

    pieces: list[str] = []
    digits: dict[tuple[int, int], int] = {}
    free = list(range(99, 0, -1))

    def write(atom: int) -> None:
        pieces.append(atoms[atom])
        for other in closed[atom]:
            digit = digits.pop((other, atom))
            pieces.append(str(digit) if digit < 10 else f"%{digit}")
            free.append(digit)
        free.sort(reverse=True)
        for other, bond in opened[atom]:
            digit = digits[atom, other] = free.pop()
            pieces.append(bond + (str(digit) if digit < 10 else f"%{digit}"))
        below = children[atom]
        for other, bond in below[:-1]:
            pieces.append("(" + bond)
            write(other)
            pieces.append(")")
        if below:
            pieces.append(below[-1][1])
            write(below[-1][0])

    first = rng.randrange(len(atoms))
    visit(first, -1)
    write(first)
    return "".join(pieces)
