"""Which letters a protein sequence may hold, what is wrong with others, and what can be fixed.

The policy: the 20 standard residues, selenocysteine (U), pyrrolysine (O) and the ambiguity codes
of IUPAC (B, Z, J, X) are taken as they stand. Everything else is an error with its position. What
is common and harmless (lower case, a stop at the end, gaps, white space) is fixed when the run
asks for it, and every change is reported.
"""

import re
from collections.abc import Sequence

from taglm_core import Checked, Fixed
from taglm_core.errors import DataError, counted
from taglm_protein.doubt import doubt, kind_of

STANDARD = "ACDEFGHIKLMNPQRSTVWY"
"""The 20 residues of the genetic code."""
RARE = "UO"
"""Selenocysteine and pyrrolysine."""
AMBIGUOUS = "BZJX"
"""D or N, E or Q, I or L, any residue."""

GAPS = "-."
_STOP = "*"
_LETTERS = frozenset(STANDARD + RARE + AMBIGUOUS)
_OTHER = re.compile(f"[^{STANDARD + RARE + AMBIGUOUS}]")
_LOWER = re.compile("[a-z]")
_GAP = re.compile(f"[{re.escape(GAPS)}]")
_BLANK = re.compile(r"\s")

_LEAST_RECOGNIZED = 12  # letters; shorter ones may be words or codes in capitals
_ATOMS = frozenset("BCFINOPS")


def recognize(cells: Sequence[str]) -> list[bool]:
    """Say of each cell whether it can hardly be anything else than a protein sequence.

    Args:
        cells: Cells of a file, as text.

    A dozen capital residue letters that are neither nucleotides nor the atoms of a SMILES.
    """
    is_long = [len(cell) >= _LEAST_RECOGNIZED and not _OTHER.search(cell) for cell in cells]
    return [
        fits and why is None and not set(cell) <= _ATOMS
        for cell, fits, why in zip(cells, is_long, doubt(cells), strict=True)
    ]


def canonical(rows: Sequence[str]) -> Checked:
    """Return each sequence without white space around it, or why it is none.

    Nothing inside a sequence is changed.

    Args:
        rows: Sequences, `(rows,)`.

    Returns:
        values and errors, `(rows,)` each.
    """
    errors = [explain(row.strip() if isinstance(row, str) else row) for row in rows]
    values = [None if e else row.strip() for row, e in zip(rows, errors, strict=True)]
    return Checked(values=values, errors=errors)


def fix(rows: Sequence[str]) -> Fixed:
    """Change what is common and harmless, and say so.

    White space and gaps are taken out, one stop at the end is dropped, lower case is read as upper
    case. Other characters, and what looks like something else than a sequence, are left for
    `canonical` to refuse.

    Args:
        rows: Sequences, `(rows,)`.

    Returns:
        values, and in words what was changed, `(rows,)` each.
    """
    fixed = [_fixed(row) for row in rows]
    return Fixed(values=[row for row, _ in fixed], changes=[change for _, change in fixed])


def _fixed(row: str) -> tuple[str, str | None]:
    if _OTHER.search(row) is None or kind_of(row.strip()) is not None:
        return row, None  # Met-Lys-Val is no sequence of eleven residues with two gaps
    row, num_blanks = _BLANK.subn("", row)
    row, num_gaps = _GAP.subn("", row)
    has_stop = row.endswith(_STOP)
    row, num_lower = _LOWER.subn(lambda match: match[0].upper(), row.removesuffix(_STOP))
    done = [
        f"{counted(num_blanks, 'white space character')} removed" if num_blanks else "",
        f"{counted(num_gaps, 'gap')} removed" if num_gaps else "",
        "the stop '*' at the end removed" if has_stop else "",
        f"{counted(num_lower, 'lower-case residue')} read as upper case" if num_lower else "",
    ]
    return row, ", ".join(filter(None, done)) or None


def explain(row: object) -> str | None:
    """Say why a row is no sequence; positions count from 1. None when it is one."""
    if not isinstance(row, str):
        return f"not text but {row!r}"
    if not row:
        return "empty sequence"
    match = _OTHER.search(row)
    if match is None:
        return None
    more = len(_OTHER.findall(row)) - 1
    others = f", and {more} more" if more else ""
    letter = match[0]
    return f"unknown residue {letter!r} at position {match.start() + 1}{others}{_hint(row, letter)}"


def read(rows: Sequence[str]) -> Sequence[str]:
    """Demand that every row is a sequence.

    Raises:
        DataError: naming the first row that is not.
    """
    for index, row in enumerate(rows):
        reason = explain(row)
        if reason is not None:
            raise DataError(
                f"row {index + 1}: {reason}. Give rows that taglm_protein.residues:canonical "
                "accepts."
            )
    return rows


def is_standard(row: str) -> bool:
    """Say whether a sequence holds the 20 standard residues alone."""
    return bool(row) and not set(row).difference(STANDARD)


def _hint(row: str, letter: str) -> str:
    """Say what kind of character it is, and that it can be fixed when it can."""
    other = kind_of(row)
    if other is not None:
        return f"; it looks like {other}"
    fixed, _ = _fixed(row)
    is_fixable = bool(fixed) and not set(fixed) - _LETTERS
    kind = ""
    if letter == _STOP:
        kind = " (a stop)" if row.rstrip(_STOP) == row[:-1] else " (a stop inside the sequence)"
    elif letter in GAPS:
        kind = " (a gap: aligned sequences keep their gaps in another file)"
    elif letter.isspace():
        kind = " (white space)"
    elif letter.upper() in _LETTERS:
        kind = " (lower case)"
    return kind + ("; --fix corrects it" if is_fixable else "")
