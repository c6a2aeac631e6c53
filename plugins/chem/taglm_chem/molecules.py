"""SMILES as molecules: reading with reasons for failure, other spellings, pictures."""

import contextlib
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rdkit import Chem, RDLogger, rdBase

from taglm_chem.doubt import kind_of
from taglm_chem.processes import run_rows
from taglm_core import Checked
from taglm_core.errors import DataError

MAX_CHARACTERS = 4000
"""Longest SMILES that is read: chains of twice as many atoms end RDKit's process."""
_MORE_THAN_ONE = "more than a SMILES"
_DEAD = "\0"
_DEATH = "RDKit crashes on it"
_NUMBERS = (
    (re.compile(r"\[(\d+)"), 999, "the isotope"),
    (re.compile(r"\[[^\]:]*[+-](\d+)"), 15, "the charge"),
    (re.compile(r"\[[^\]]*H(\d+)"), 15, "the number of hydrogens"),
    (re.compile(r"\[[^\]]*:(\d+)\]"), 999_999, "the atom map"),
)
"""Numbers in brackets, the largest value of each, and its name."""
_CONTROL = re.compile(r"[^\s!-~]")
_LOG_LOCK = threading.Lock()

_SIGNS = re.compile(r"[()\[\]=#@]|[cnops]\d|CC")
"""What a SMILES has and words have not: branches, atoms in brackets, bonds, rings, chains."""


def canonical(rows: Sequence[str]) -> Checked:
    """Return RDKit's canonical SMILES of each row, or why there is none.

    Charges, isotopes, atom maps, stereo marks and every fragment are kept; white space around a
    SMILES is dropped.

    Args:
        rows: SMILES, `(rows,)`.

    Returns:
        values and errors, `(rows,)` each.
    """
    errors: list[str | None] = [refusal(row) for row in rows]
    fine = [index for index, error in enumerate(errors) if error is None]
    written = run_rows(canonical_or_none, [rows[i] for i in fine], if_dead=_DEAD)
    values: list[str | None] = [None] * len(rows)
    failed = []
    for index, value in zip(fine, written, strict=True):
        if value is None:
            failed.append(index)
        elif value == _DEAD:
            errors[index] = _DEATH
        else:
            values[index] = value
    reasons = run_rows(explain, [rows[i] for i in failed], workers=1, if_dead=_DEATH)
    for index, reason in zip(failed, reasons, strict=True):
        errors[index] = reason
    return Checked(values=values, errors=errors)


def refusal(row: object) -> str | None:
    """Say why RDKit is not asked about a row, None when it may be.

    Long molecules end its process, numbers beyond what it holds come back as others, and it drops
    control characters and all beyond ASCII at either end, so that CC with a Cyrillic O were CC.
    """
    if not isinstance(row, str):
        return None
    if not row.strip().isascii():
        return "not a valid SMILES: it has characters beyond ASCII"
    control = _CONTROL.search(row.strip())
    if control is not None:
        return (
            f"not a valid SMILES: control character {control[0]!r} at position "
            f"{control.start() + 1}"
        )
    if len(row) > MAX_CHARACTERS:
        return f"too long: {len(row):,} characters, but a SMILES may have {MAX_CHARACTERS:,}"
    for pattern, most, what in _NUMBERS:
        for match in pattern.finditer(row):
            if len(match[1]) > 9 or int(match[1]) > most:
                return (
                    f"not a possible molecule: {what} {match[1][:12]} at position "
                    f"{match.start(1) + 1} is above {most}"
                )
    return None


def canonical_or_none(rows: Sequence[str]) -> list[str | None]:
    """Return the canonical SMILES of each row, None where RDKit reads no molecule."""
    with rdBase.BlockLogs():
        return [None if mol is None else Chem.MolToSmiles(mol) for mol in map(_parse, rows)]


def recognize(cells: Sequence[str]) -> list[bool]:
    """Say of each cell whether it can hardly be anything else than a SMILES.

    Args:
        cells: Cells of a file, as text.

    RDKit must read it, and it must show more than a few capital letters, such as NO or CO.
    """
    signs = [bool(_SIGNS.search(cell)) for cell in cells]
    checked = canonical([cell for cell, sign in zip(cells, signs, strict=True) if sign])
    readable = iter(error is None for error in checked.errors)
    return [sign and next(readable) for sign in signs]


def augment(rows: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return another SMILES of each molecule: a random start and a random order of its branches.

    Args:
        rows: Valid SMILES, `(rows,)`.
        rng: Decides everything; the same state gives the same SMILES.

    Raises:
        DataError: when a row is not a valid SMILES.
    """
    seeds = rng.integers(1, 2**31 - 1, size=len(rows)).tolist()
    return run_rows(random_smiles, list(zip(rows, seeds, strict=True)))


def random_smiles(seeded: Sequence[tuple[str, int]]) -> list[str]:
    """Return the random SMILES that each (SMILES, seed) gives."""
    mols = read([row for row, _ in seeded])
    return [
        Chem.MolToRandomSmilesVect(mol, 1, randomSeed=seed)[0]
        for mol, (_, seed) in zip(mols, seeded, strict=True)
    ]


def read(rows: Sequence[str]) -> list[Chem.Mol]:
    """Return the RDKit molecule of each row.

    Raises:
        DataError: naming the first row that is not a valid SMILES.
    """
    with rdBase.BlockLogs():
        mols = [_parse(row) for row in rows]
    if None in mols:
        index = mols.index(None)
        (reason,) = explain([rows[index]])
        shown = repr(rows[index])
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise DataError(
            f"row {index + 1}: {shown}: {reason}. Give rows that "
            "taglm_chem.molecules:canonical accepts."
        )
    return mols


def explain(rows: Sequence[str]) -> list[str]:
    """Say why each of these rows is no valid SMILES, with RDKit's reason in plain words."""
    with _captured_log() as messages:
        reasons = []
        for row in rows:
            messages.clear()
            reason = _reason(row, messages)
            kind = kind_of(row.strip()) if isinstance(row, str) else None
            if reason.startswith(_MORE_THAN_ONE) and _parse(row.split()[0]) is not None:
                kind = None  # a SMILES and its name, which the reason says
            reasons.append(reason + (f"; it looks like {kind}" if kind else ""))
    return reasons


def _parse(row: str) -> Chem.Mol | None:
    """Read a SMILES; None for what is no text, empty, followed by something, or refused."""
    row = row.strip() if isinstance(row, str) and refusal(row) is None else ""
    # RDKit would take what follows a blank for a name or an extension and drop it.
    return Chem.MolFromSmiles(row) if row and len(row.split(None, 1)) == 1 else None


def _reason(row: str, messages: list[str]) -> str:
    """Give the reason for one row; `messages` receives what RDKit logs meanwhile."""
    if not isinstance(row, str):
        return f"not a SMILES: not text but {row!r}"
    refused = refusal(row)
    if refused is not None:
        return refused
    if not row.strip():
        return "not a SMILES: it is empty"
    smiles, *rest = row.strip().split(None, 1)
    if rest:
        return f"{_MORE_THAN_ONE}: {rest[0]!r} follows it"
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is None:
        return f"not a valid SMILES: {_syntax_problem(smiles, messages)}"
    problems = Chem.DetectChemistryProblems(mol)
    if not problems:
        return "not a valid SMILES: RDKit gives no reason"
    return f"not a possible molecule: {_chemistry_problem(mol, problems[0])}"


def _syntax_problem(smiles: str, messages: list[str]) -> str:
    """Turn RDKit's parser messages for one SMILES into a phrase; positions count from 1."""
    text = "\n".join(message.partition("SMILES Parse Error: ")[2] for message in messages)
    problem = re.split(r" (?:while parsing|for input):", text.strip(), maxsplit=1)[0]
    # RDKit numbers atoms from 0.
    problem = re.sub(r"\batom (\d+)", lambda m: f"atom {int(m[1]) + 1}", problem)
    position = re.search(r"around position (\d+)", text)
    if position and smiles.isascii():  # RDKit counts bytes
        place = int(position[1])
        problem += f" at or before position {place} ({smiles[place - 1 : place]!r})"
    return problem or "RDKit gives no reason"


def _chemistry_problem(mol: Chem.Mol, problem: Any) -> str:
    """Turn a sanitisation problem into a phrase; atoms count from 1."""
    kind = problem.GetType()
    if kind == "KekulizeException":
        atoms = ", ".join(str(index + 1) for index in problem.GetAtomIndices())
        return (
            f"the aromatic atoms {atoms} cannot be given alternating double bonds "
            "(a hydrogen such as [nH] may be missing)"
        )
    if kind in ("AtomValenceException", "AtomKekulizeException"):
        atom = mol.GetAtomWithIdx(problem.GetAtomIdx())
        name = f"atom {atom.GetIdx() + 1} ({atom.GetSymbol()})"
        if kind == "AtomKekulizeException":
            return f"{name} is written as aromatic but is in no ring"
        valence = re.search(r", (\d+), is greater", problem.Message())
        return f"{name} has {'a valence of ' + valence[1] if valence else 'too many bonds'}, " + (
            "more than is possible" if valence else "which is impossible"
        )
    return str(problem.Message())


class _Collector(logging.Handler):
    """Puts the text of log records into a list."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text of one record."""
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _captured_log() -> Iterator[list[str]]:
    """Collect RDKit's log messages instead of printing them.

    RDKit's log is global and its destination cannot be asked for; afterwards it is its default,
    with the same levels switched on as before.
    """
    log = logging.getLogger("rdkit")
    messages: list[str] = []
    collector = _Collector(messages)
    with _LOG_LOCK:
        levels = re.findall(r"(rdApp\.\w+):(\w+)", rdBase.LogStatus())
        handlers, log.handlers = log.handlers, [collector]
        rdBase.LogToPythonLogger()
        try:
            yield messages
        finally:
            rdBase.LogToCppStreams()
            log.handlers = handlers
            for level, state in levels:
                switch = RDLogger.EnableLog if state == "enabled" else RDLogger.DisableLog
                switch(level)
