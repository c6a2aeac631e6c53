"""Labels computed from the sequence, so that a task needs no label column."""

from collections.abc import Mapping, Sequence

import numpy as np
from Bio.SeqUtils.ProtParam import ProteinAnalysis

from taglm_protein.residues import STANDARD, is_standard

BLOSUM1 = {
    "A": 0.08,
    "R": 1.01,
    "N": 1.51,
    "D": 1.55,
    "C": -1.08,
    "Q": 1.09,
    "E": 1.48,
    "G": 0.85,
    "H": 0.72,
    "I": -1.46,
    "L": -1.41,
    "K": 1.14,
    "M": -0.96,
    "F": -1.62,
    "P": 0.88,
    "S": 0.84,
    "T": 0.19,
    "W": -1.58,
    "Y": -1.14,
    "V": -1.13,
}
"""The first of the ten BLOSUM indices of Georgiev, J. Comput. Biol. 16 (2009) 703: two decimals.

It separates residues that like water (positive) from those that do not."""

PROTPARAM = (
    "molecular_weight",
    "isoelectric_point",
    "gravy",
    "aromaticity",
    "instability_index",
)
"""Targets of the task ProtParam in order: Da, pH, and three pure numbers."""

# hundredths are whole numbers, so that equal compositions give the same mean to the last bit
_HUNDREDTHS = np.zeros(128, np.int64)
for _letter, _value in BLOSUM1.items():
    _HUNDREDTHS[ord(_letter)] = round(100 * _value)
_IS_STANDARD = np.zeros(128, bool)
_IS_STANDARD[[ord(letter) for letter in STANDARD]] = True


def blosum1(columns: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Compute the mean of the BLOSUM1 index over the residues of each sequence.

    Args:
        columns: `sequence` -> sequences `(rows,)`.

    Returns:
        float64 `(rows, 1)`; NaN where a residue is none of the 20 standard ones, for which the
        index has no value.
    """
    rows = _sequences(columns)
    values = np.full((len(rows), 1), np.nan)
    for index, row in enumerate(rows):
        data = np.frombuffer(row.encode("ascii", "replace"), np.uint8)
        if data.size and _IS_STANDARD[data].all():
            values[index] = _HUNDREDTHS[data].sum() / (100 * data.size)
    return values


def protparam(columns: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Compute five quantities of each sequence with Biopython, in the order of `PROTPARAM`.

    Molecular weight is the average mass in Da of the chain with reduced cysteines; the isoelectric
    point is that of Bjellqvist's pK values; GRAVY is the mean Kyte-Doolittle hydropathy;
    aromaticity the share of F, W and Y; the instability index that of Guruprasad et al. (1990).

    Args:
        columns: `sequence` -> sequences `(rows,)`.

    Returns:
        float64 `(rows, 5)`; NaN where a residue is none of the 20 standard ones.
    """
    rows = _sequences(columns)
    values = np.full((len(rows), len(PROTPARAM)), np.nan)
    for index, row in enumerate(rows):
        if is_standard(row):
            analysis = ProteinAnalysis(row)
            values[index] = [getattr(analysis, name)() for name in PROTPARAM]
    return values


def _sequences(columns: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return the sequences, under whatever name the template gives the one field."""
    if "sequence" in columns:
        return columns["sequence"]
    (rows,) = columns.values()
    return rows
