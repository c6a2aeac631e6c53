"""What chemists compute of a molecule: RDKit's 2D descriptors, remembered by SMILES."""

import functools
import threading
from collections.abc import Callable, Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors

from taglm_chem.molecules import read
from taglm_chem.processes import run_rows
from taglm_core.errors import DataError
from taglm_core.plugin import usable_cores

LEFT_OUT = frozenset({"qed", "SPS", "Ipc"})
"""Descriptors of RDKit that are not computed: `qed` is the label of the task QED, `SPS` is slow,
and `Ipc` grows beyond all bounds (`AvgIpc` says the same per atom)."""

_LARGEST = 1e6
_CHUNK_ROWS = 20_000
_MIN_ROWS_OF_WORKERS = 1000
_MOST_REMEMBERED = 200_000
"""Molecules whose descriptors are remembered, 170 MB."""

_remembered: dict[str, np.ndarray] = {}
_LOCK = threading.Lock()


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of the descriptors, in order."""
    return tuple(name for name, _ in Descriptors.descList if name not in LEFT_OUT)


def descriptors(rows: Sequence[str]) -> np.ndarray:
    """Compute RDKit's 2D descriptors of each molecule, in the order of `names()`.

    A descriptor that is not defined for a molecule is 0; values are cut off at a million. What was
    computed before in this process is not computed again. About 4 ms a molecule and core.

    Args:
        rows: Valid SMILES, `(rows,)`.

    Returns:
        float32 `(rows, descriptors)`, all finite.

    Raises:
        DataError: when a row is not a valid SMILES.
    """
    with _LOCK:
        known = {row: _remembered[row] for row in rows if row in _remembered}
    new = [row for row in dict.fromkeys(rows) if row not in known]
    for start in range(0, len(new), _CHUNK_ROWS):  # a worker has a time limit
        chunk = new[start : start + _CHUNK_ROWS]
        workers = usable_cores() if len(chunk) >= _MIN_ROWS_OF_WORKERS else 1
        try:
            values = run_rows(descriptor_values, chunk, workers=workers)
        except DataError:
            read(rows)  # names the row by its place among all
            raise
        known |= zip(chunk, values, strict=True)
    with _LOCK:
        for row in new[: max(0, _MOST_REMEMBERED - len(_remembered))]:
            _remembered[row] = known[row]
    if not rows:
        return np.zeros((0, len(names())), np.float32)
    return np.stack([known[row] for row in rows])


def descriptor_values(rows: Sequence[str]) -> np.ndarray:
    """Return the descriptors as float32 `(rows, descriptors)`."""
    functions: list[Callable[[Chem.Mol], float]] = [
        function for name, function in Descriptors.descList if name not in LEFT_OUT
    ]
    values = np.empty((len(rows), len(functions)))
    with rdBase.BlockLogs():
        for index, mol in enumerate(read(rows)):
            values[index] = [_value(function, mol) for function in functions]
    values = np.where(np.isnan(values), 0.0, values)
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float32)


def _value(function: Callable[[Chem.Mol], float], mol: Chem.Mol) -> float:
    try:
        return float(function(mol))
    except (ValueError, ZeroDivisionError, RuntimeError, OverflowError):
        return 0.0  # such as the partial charges of an element without parameters
