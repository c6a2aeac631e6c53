"""The test bucket: a fixed hash rule that keeps about a tenth of all data out of training.

Every part of taglm that trains on unlabeled data uses this rule, so that data in bucket 0 is
unseen by the embedded backbone. The rule is frozen with it: another rule makes a new backbone.
"""

import hashlib
from collections.abc import Sequence

NUM_BUCKETS = 10
TEST_BUCKET = 0


def bucket(key: str) -> int:
    """Return the bucket, 0 to 9, of a key."""
    digest = hashlib.blake2b(key.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % NUM_BUCKETS


def is_held_out(key: str) -> bool:
    """Say whether the item with this key lies in the test bucket."""
    return bucket(key) == TEST_BUCKET


def molecule_key(smiles: str) -> str:
    """Return the key of a molecule: its Murcko scaffold, or itself when it has no ring.

    Args:
        smiles: Any SMILES of the molecule.

    Raises:
        ValueError: If RDKit cannot read the SMILES.
    """
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise ValueError(f"RDKit cannot read the SMILES {smiles!r}")
    scaffold = MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=False)
    if scaffold:
        return "scaffold:" + scaffold
    return "acyclic:" + Chem.MolToSmiles(mol, isomericSmiles=False)


def protein_key(sequence: str) -> str:
    """Return the key of a protein: the 5-mer with the smallest hash (a min-hash cluster)."""
    if len(sequence) < 5:
        return "protein:" + sequence
    kmers = {sequence[i : i + 5] for i in range(len(sequence) - 4)}
    return "protein:" + min(
        kmers, key=lambda k: hashlib.blake2b(k.encode("utf-8"), digest_size=8).digest()
    )


def text_key(text: str) -> str:
    """Return the key of a text: of parallel lines the English side decides for all languages."""
    return "text:" + text.strip()


def block_key(paragraphs: Sequence[str]) -> str:
    """Return the key of a block of consecutive paragraphs: that of its first paragraph."""
    return text_key(paragraphs[0])
