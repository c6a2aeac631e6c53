"""What a row of residue letters may be instead of a protein: DNA, RNA, three-letter codes."""

import re
from collections.abc import Sequence

NUCLEOTIDES = "ACGTUN"
"""Letters of DNA and RNA, unknown ones included; each is a residue too."""

_LEAST_LETTERS = 4
_LONG, _SHARE = 30, 0.95  # a long sequence may hold a few ambiguity codes such as R and Y
_LEAST_CODES = 3
_CODES = (
    "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL "
    "SEC PYL ASX GLX XAA".split()
)
_ACCESSION = re.compile(
    r"(?:[OPQ]\d[A-Z0-9]{3}\d|[A-NR-Z]\d(?:[A-Z][A-Z0-9]{2}\d){1,2})(?:[.-]\d+)?"
)  # the pattern that UniProt publishes
_PDB = re.compile(r"\d[A-Za-z0-9]{3}(?:_[A-Za-z0-9])?")
_SEPARATED = re.compile(f"(?:(?:{'|'.join(_CODES)})[- ]?){{{_LEAST_CODES},}}", re.IGNORECASE)
_DATABASE = re.compile(r"(?:CHEMBL|ENSP|NP_|XP_|WP_)\d{3,}(?:\.\d+)?")
_SMILES = re.compile(r"[A-Za-z0-9@+\-\[\]()=#/\\.%]*[=#()\[\]][A-Za-z0-9@+\-\[\]()=#/\\.%]*")
_THREE_LETTERS = re.compile(f"(?:{'|'.join(_CODES)}){{{_LEAST_CODES},}}")


def doubt(rows: Sequence[str]) -> list[str | None]:
    """Say of each sequence what it rather looks like.

    Args:
        rows: Canonical sequences, `(rows,)`.
    """
    return [_look(row) for row in rows]


def _look(row: str) -> str | None:
    if _is_nucleotides(row):
        kind = "RNA" if "U" in row and "T" not in row else "DNA"
        return f"a nucleotide sequence ({kind} letters only)"
    if _THREE_LETTERS.fullmatch(row):
        return "residues in three-letter codes"
    return None


def _is_nucleotides(row: str) -> bool:
    count = sum(map(row.count, NUCLEOTIDES))
    # silk and linkers consist of one or two residues, so that two letters say nothing
    if len(row) < _LEAST_LETTERS or sum(letter in row for letter in "ACGTU") < 3:
        return False
    return count == len(row) or (len(row) >= _LONG and count >= _SHARE * len(row))


def kind_of(text: str) -> str | None:
    """Say what a text that is no sequence looks like; None when nothing is known.

    Args:
        text: The cell.
    """
    kinds = (
        ("a FASTA header", text.startswith(">")),
        ("a UniProt accession", bool(_ACCESSION.fullmatch(text))),
        ("an identifier of the PDB", bool(_PDB.fullmatch(text))),
        ("a database identifier", bool(_DATABASE.fullmatch(text))),
        ("residues in three-letter codes", bool(_SEPARATED.fullmatch(text))),
        ("a SMILES", bool(_SMILES.fullmatch(text))),
    )
    return next((kind for kind, fits in kinds if fits), None)
