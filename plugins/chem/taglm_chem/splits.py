"""What keeps related molecules on one side of a split: their Murcko scaffold."""

from collections.abc import Sequence

from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from taglm_chem.molecules import read
from taglm_chem.processes import run_rows


def scaffold_groups(rows: Sequence[str]) -> list[str]:
    """Return the group of each molecule; the core hashes groups into train, valid and test.

    The embedded backbone was kept from the test bucket of these very keys: changing them would
    let it have seen the test molecules.

    Args:
        rows: Valid SMILES, `(rows,)`.

    Returns:
        `scaffold:` and the Murcko scaffold without stereo marks, or for a molecule without a ring
        `acyclic:` and its own SMILES without stereo marks.

    Raises:
        DataError: when a row is not a valid SMILES.
    """
    return run_rows(scaffold_keys, rows)


def scaffold_keys(rows: Sequence[str]) -> list[str]:
    """Return the scaffold key of each row."""
    return [_key(mol) for mol in read(rows)]


def _key(mol: Chem.Mol) -> str:
    scaffold: str = MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=False)
    if scaffold:
        return "scaffold:" + scaffold
    smiles: str = Chem.MolToSmiles(mol, isomericSmiles=False)
    return "acyclic:" + smiles
