"""Labels that RDKit computes from the structure, so that a task needs no label column."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import QED, Crippen

from taglm_chem.molecules import read
from taglm_chem.processes import run_rows
from taglm_core.plugin import usable_cores

_MIN_ROWS_OF_WORKERS = 2500  # QED takes about 1 ms, a worker a second to start


def qed(columns: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Compute the quantitative estimate of druglikeness (Bickerton et al. 2012), mean weights.

    Args:
        columns: `smiles` -> valid SMILES `(rows,)`.

    Returns:
        float64 `(rows, 1)`, from 0 (unlike a drug) to 1.

    Raises:
        DataError: when a row is not a valid SMILES.
    """
    rows = columns["smiles"]
    workers = usable_cores() if len(rows) >= _MIN_ROWS_OF_WORKERS else None
    return run_rows(qed_values, rows, workers=workers)


def logp(columns: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Estimate the octanol-water partition coefficient by Crippen's atom contributions.

    Args:
        columns: `smiles` -> valid SMILES `(rows,)`.

    Returns:
        float64 `(rows, 1)`, decimal logarithm.

    Raises:
        DataError: when a row is not a valid SMILES.
    """
    return run_rows(logp_values, columns["smiles"])


def qed_values(rows: Sequence[str]) -> np.ndarray:
    """Return QED as float64 `(rows, 1)`."""
    return _each(QED.qed, rows)


def logp_values(rows: Sequence[str]) -> np.ndarray:
    """Return Crippen's logP as float64 `(rows, 1)`."""
    return _each(Crippen.MolLogP, rows)


def _each(function: Callable[[Chem.Mol], float], rows: Sequence[str]) -> np.ndarray:
    values = np.fromiter(map(function, read(rows)), np.float64, len(rows))
    return values[:, None]  # (rows, 1)
