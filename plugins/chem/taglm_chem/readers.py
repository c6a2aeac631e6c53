"""Files of molecules as tables: SMI, and SDF (MDL structure-data files)."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from taglm_core.plugin import cell_content, record_batches

logger = logging.getLogger(__name__)

_OWN = ("smiles", "name")
_END = "$$$$"


def smi_batches(path: Path, batch_size: int) -> Iterator[dict[str, list[Any]]]:
    """Read a SMI file in batches with the columns `smiles` and `name`."""
    return record_batches(path, smi_records, batch_size)


def smi_records(file: TextIO, source: str) -> Iterator[list[Any]]:
    """Read SMILES lines with an optional name behind white space; a header line may stand there.

    Rows always have the columns `smiles` and `name`, the name empty where there is none.
    """
    header = ["smiles", "name"]
    is_first = True
    for line in file:
        cells = line.split(None, 1)
        if not cells:
            continue
        if is_first:
            yield header
        if not (is_first and cells[0].lower() == "smiles"):
            yield [cell_content(cells[0]), cells[1].rstrip() if len(cells) > 1 else ""]
        is_first = False


def sdf_batches(path: Path, batch_size: int) -> Iterator[dict[str, list[Any]]]:
    """Read an SDF file in batches.

    The columns are `smiles` (made of the structure), `name` (the title line) and every data field
    of any record, None where a record lacks it. A data field called smiles or name becomes
    `field_smiles`, `field_name`. The smiles of a record without a readable structure is None; the
    log names the first such record with the reason.
    """
    return record_batches(path, sdf_records, batch_size)


def sdf_records(file: TextIO, source: str) -> Iterator[list[Any]]:
    """Give the names of the columns, then the cells of each record; the file is read twice."""
    names: dict[str, None] = {}
    num_records = 0
    for lines in _sdf_blocks(file):
        names.update(dict.fromkeys(_fields(lines)))
        num_records += 1
    if not num_records:
        return
    yield [*_OWN, *names]
    file.seek(0)
    unread = []
    for number, lines in enumerate(_sdf_blocks(file), start=1):
        smiles, reason = _smiles_of(lines)
        if smiles is None:
            unread.append((number, reason))
        fields = _fields(lines)
        yield [smiles, lines[0].strip(), *(fields.get(name) for name in names)]
    if unread:
        logger.warning(
            "%s: %d of %d records have no structure that RDKit reads, the first is record %d: %s",
            source,
            len(unread),
            num_records,
            *unread[0],
        )


def _sdf_blocks(file: TextIO) -> Iterator[list[str]]:
    """Give the lines of each record, without the line that ends it."""
    lines: list[str] = []
    for line in file:
        if line.strip() == _END:
            yield lines or [""]
            lines = []
        else:
            lines.append(line.rstrip("\n"))
    if any(line.strip() for line in lines):
        yield lines


def _structure_end(lines: list[str]) -> int:
    """Return the number of lines that belong to the structure."""
    end = next((i for i, line in enumerate(lines) if line.startswith("M  END")), None)
    if end is not None:
        return end + 1
    return next((i for i, line in enumerate(lines) if line.startswith(">")), len(lines))


def _fields(lines: list[str]) -> dict[str, str]:
    """Return data field -> value; lines of one value are joined by a space."""
    lines_of: dict[str, list[str]] = {}
    values: list[str] | None = None
    for line in lines[_structure_end(lines) :]:
        if line.startswith(">") and "<" in line:
            name = line[line.index("<") + 1 :].partition(">")[0].strip()
            values = lines_of.setdefault(f"field_{name}" if name.lower() in _OWN else name, [])
        elif values is not None and line.strip():
            values.append(line.strip())
        else:
            values = None
    return {name: " ".join(value) for name, value in lines_of.items()}


def _smiles_of(lines: list[str]) -> tuple[str | None, str]:
    """Return the SMILES of a record's structure, or None and why RDKit cannot read it."""
    from rdkit import Chem, rdBase

    block = "\n".join(lines[: _structure_end(lines)]) + "\n"
    with rdBase.BlockLogs():  # the reason is given to the caller
        mol = Chem.MolFromMolBlock(block)
        if mol is None:
            raw = Chem.MolFromMolBlock(block, sanitize=False)
            faults = Chem.DetectChemistryProblems(raw) if raw is not None else ()
            return None, faults[0].Message() if faults else "the structure block cannot be read"
    if not mol.GetNumAtoms():
        return None, "the structure has no atom"
    return Chem.MolToSmiles(mol), ""
