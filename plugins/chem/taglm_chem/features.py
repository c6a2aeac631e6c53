"""Numbers that describe molecules, for baselines such as ridge and boosting."""

from collections.abc import Callable, Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator, rdMolDescriptors

from taglm_chem.molecules import read
from taglm_chem.processes import run_rows

MORGAN_RADIUS = 2
MORGAN_SIZE = 2048

PROPERTIES: dict[str, Callable[[Chem.Mol], float]] = {
    "molecular_weight": Descriptors.MolWt,
    "heavy_atoms": Chem.Mol.GetNumHeavyAtoms,
    "heteroatoms": rdMolDescriptors.CalcNumHeteroatoms,
    "hydrogen_bond_donors": rdMolDescriptors.CalcNumHBD,
    "hydrogen_bond_acceptors": rdMolDescriptors.CalcNumHBA,
    "rotatable_bonds": rdMolDescriptors.CalcNumRotatableBonds,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "polar_surface_area": rdMolDescriptors.CalcTPSA,
    "fraction_sp3": rdMolDescriptors.CalcFractionCSP3,
    "formal_charge": Chem.GetFormalCharge,
}
"""Name -> function of a molecule; weight in g/mol, surface area in square angstrom."""


def morgan(rows: Sequence[str]) -> np.ndarray:
    """Count the circular environments of each molecule (Morgan, radius 2), folded.

    Args:
        rows: Valid SMILES, `(rows,)`.

    Returns:
        float32 `(rows, 2048)`: how often each environment occurs.

    Raises:
        DataError: when a row is not a valid SMILES.
    """
    return run_rows(morgan_counts, rows).astype(np.float32)


def fingerprint(rows: Sequence[str]) -> np.ndarray:
    """Return which circular environments each molecule has (Morgan, radius 2), folded.

    Args:
        rows: Valid SMILES, `(rows,)`.

    Returns:
        uint8 `(rows, 2048)`, not 0 where the molecule has an environment.

    Raises:
        DataError: when a row is not a valid SMILES.
    """
    return run_rows(morgan_counts, rows)


def morgan_counts(rows: Sequence[str]) -> np.ndarray:
    """Return Morgan counts as uint8 `(rows, 2048)`, cut off at 255."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=MORGAN_RADIUS, fpSize=MORGAN_SIZE)
    counts = np.zeros((len(rows), MORGAN_SIZE), np.uint8)
    for index, mol in enumerate(read(rows)):
        counts[index] = np.minimum(generator.GetCountFingerprintAsNumPy(mol), 255)
    return counts
