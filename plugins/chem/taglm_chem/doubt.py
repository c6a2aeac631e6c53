"""What a cell may hold instead of a SMILES: an InChI, SELFIES, a name, a formula, a protein."""

import re
from collections.abc import Sequence

_SELFIES_TOKEN = r"\[[^\[\]]+\]"
_SELFIES = re.compile(rf"(?:{_SELFIES_TOKEN}){{2,}}")
_SELFIES_WORD = re.compile(r"\[[=#/\\]?(?:Branch|Ring|Expl)\d?\w*\]|\[[=#][A-Z][a-z]?\d*\]")
_INCHI_KEY = re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]")
_CAS = re.compile(r"\d{2,7}-\d\d-\d")
_FORMULA = re.compile(r"C\d+H\d+(?:[A-Z][a-z]?\d*)*")
_WORD = re.compile(r"[A-Za-z][a-z]{3,}")
_AROMATIC = frozenset("bcnopslr")  # aromatic atoms, and the second letters of Cl and Br
_DATABASE = re.compile(r"(?:CHEMBL|ZINC|DB|CID|SCHEMBL|CHEBI:?)\d{2,}", re.IGNORECASE)
_PROTEIN = re.compile(r"[ACDEFGHIKLMNPQRSTVWY]{12,}")
_ATOMS = re.compile(r"[BCNOPSFI]+")


def doubt(rows: Sequence[str]) -> list[str | None]:
    """Say of each canonical SMILES what it rather looks like.

    Args:
        rows: Canonical SMILES, `(rows,)`.

    SELFIES of plain atoms, such as `[C][C][O]`, are SMILES of atoms without hydrogen.
    """
    return ["SELFIES" if _is_bare(row) else None for row in rows]


def _is_bare(row: str) -> bool:
    """Say whether all atoms stand in brackets without hydrogens, charges, isotopes or bonds."""
    return bool(re.fullmatch(r"(?:\[[A-Z][a-z]?\]){3,}", row))


def kind_of(text: str) -> str | None:
    """Say what a text that is no SMILES looks like; None when nothing is known.

    Args:
        text: The cell.
    """
    kinds = (
        ("an InChI", text.startswith("InChI=")),
        ("an InChIKey", bool(_INCHI_KEY.fullmatch(text))),
        ("SELFIES", bool(_SELFIES.fullmatch(text)) and bool(_SELFIES_WORD.search(text))),
        ("a CAS number", bool(_CAS.fullmatch(text))),
        ("a database identifier", bool(_DATABASE.fullmatch(text))),
        ("a FASTA header", text.startswith(">")),
        ("a protein sequence", bool(_PROTEIN.fullmatch(text)) and not _ATOMS.fullmatch(text)),
        ("a sum formula", bool(_FORMULA.fullmatch(text))),
        ("a name", any(set(word[1:]) - _AROMATIC for word in _WORD.findall(text))),
    )
    return next((kind for kind, fits in kinds if fits), None)
