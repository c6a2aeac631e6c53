"""Scores of generated molecules as the benchmark MOSES defines them (Polykovskiy et al. 2020).

The definitions are those of the package `molsets` 0.3.1; the code is our own. The filters of
medicinal chemistry (MCF) are the 22 patterns of that package, Copyright 2018 Insilico Medicine,
Inc., MIT license; those of assay interference (PAINS) are RDKit's.
"""

import functools
from collections import Counter
from collections.abc import Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import BRICS, FilterCatalog, rdFingerprintGenerator
from rdkit.Chem.Scaffolds import MurckoScaffold

from taglm_chem.molecules import read
from taglm_chem.processes import run_rows
from taglm_core import SampleData

UNIQUE_AT = (1000, 10_000)
_BITS = 1024
_BLOCK = 2000
_LARGEST_RING = 7
_ATOMS = frozenset(("C", "N", "S", "O", "F", "Cl", "Br", "H"))
_MCF = (
    "[#6]=&!@[#6]-[#6]#[#7]",
    "[#6]=&!@[#6]-[#16](=[#8])=[#8]",
    "[#6]=&!@[#6&!H0]-&!@[#6](=[#8])-&!@[#7]",
    "[H]C([H])([#6])[F,Cl,Br,I]",
    "[#6]1-[#8]-[#6]-1",
    "[#6]-[#7]=[#6]=[#8]",
    "[#6&!H0]=[#8]",
    "[#6](=&!@[#7&!H0])-&!@[#6,#7,#8,#16]",
    "[#6]1-[#7]-[#6]-1",
    "[#6]~&!@[#7]~&!@[#7]~&!@[#6]",
    "[#7]=&!@[#7]",
    "[H][#6]-1=[#6]([H])-[#6]=[#6](-*)-[#8]-1",
    "[H][#6]-1=[#6]([H])-[#6]=[#6](-*)-[#16]-1",
    "[#17,#35,#53]-c(:*):[!#1!#6]:*",
    "[H][#7]([H])-[#6]-1=[#6]-[#6]=[#6]-[#6]=[#6]-1",
    "[#16]~[#16]",
    "[#7]~&!@[#7]~&!@[#7]",
    "[#7]-&!@[#6&!H0&!H1]-&!@[#7]",
    "[#6&!H0](-&!@[#8])-&!@[#8]",
    "[#35].[#35].[#35]",
    "[#17].[#17].[#17].[#17]",
    "[#9].[#9].[#9].[#9].[#9].[#9].[#9]",
)


def metrics(data: SampleData) -> dict[str, float | str | None]:
    """Score drawn molecules.

    Args:
        data: Drawn rows, known rows for novelty, and reference rows for SNN, Frag, Scaf and FCD.

    Returns:
        Name -> value, None without what it needs; `FCD` in words where no package computes it.
    """
    valid = [row for row in data.canonical if row is not None]
    values: dict[str, float | str | None] = {"valid": len(valid) / len(data.canonical)}
    for count in UNIQUE_AT:
        first = valid[:count]
        enough = len(data.canonical) >= count  # of 10,000 rows, those that are valid count
        values[f"unique@{count}"] = len(set(first)) / len(first) if first and enough else None
    distinct = set(valid)
    known = data.known
    has_known = known is not None and bool(distinct)
    values["novelty"] = len(distinct - set(known or ())) / len(distinct) if has_known else None
    bits = run_rows(fingerprints, valid) if valid else np.zeros((0, _BITS), np.uint8)
    for name, power in (("IntDiv", 1), ("IntDiv2", 2)):
        values[name] = 1 - _mean_similarity(bits, power) if valid else None
    values["Filters"] = float(np.mean(run_rows(passes_filters, valid))) if valid else None
    reference = data.reference
    if reference is None or not valid:
        return values | dict.fromkeys(("SNN", "Frag", "Scaf", "FCD"))
    values["SNN"] = _nearest_similarity(bits, run_rows(fingerprints, reference))
    for name, parts in (("Frag", fragments), ("Scaf", scaffolds)):
        values[name] = _cosine(*(_counts(run_rows(parts, rows)) for rows in (valid, reference)))
    values["FCD"] = frechet_distance(valid, reference)
    values["reference rows"] = len(reference)
    return values


def frechet_distance(rows: Sequence[str], reference: Sequence[str]) -> float | str:
    """Return the Frechet ChemNet distance (Preuer et al. 2018), or what would compute it."""
    try:
        from fcd_torch import FCD
    except ImportError:
        return "needs fcd_torch: pip install 'taglm-plugin-chem[fcd]'"
    return float(FCD(canonize=False)(list(reference), list(rows)))


def fingerprints(rows: Sequence[str]) -> np.ndarray:
    """Return Morgan bits of radius 2, uint8 `(rows, 1024)`."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=_BITS)
    bits = np.zeros((len(rows), _BITS), np.uint8)
    for i, mol in enumerate(read(rows)):
        bits[i] = generator.GetFingerprintAsNumPy(mol)
    return bits


def fragments(rows: Sequence[str]) -> list[list[str]]:
    """Return the fragments of each molecule by the BRICS rules."""
    cut = (Chem.MolToSmiles(BRICS.BreakBRICSBonds(mol)) for mol in read(rows))
    return [text.split(".") for text in cut]


def scaffolds(rows: Sequence[str]) -> list[list[str]]:
    """Return the Murcko scaffold of each molecule, nothing where it has fewer than two rings."""
    found = []
    for mol in read(rows):
        core = MurckoScaffold.GetScaffoldForMol(mol)
        found.append([Chem.MolToSmiles(core)] if core.GetRingInfo().NumRings() > 1 else [])
    return found


def passes_filters(rows: Sequence[str]) -> list[bool]:
    """Say of each molecule whether the filters of MOSES let it pass.

    No ring of eight or more atoms, no charge, no element beyond C, N, S, O, F, Cl, Br and H, and
    none of the patterns of MCF and PAINS.
    """
    return [_passes(mol) for mol in read(rows)]


def _passes(mol: Chem.Mol) -> bool:
    if any(len(ring) > _LARGEST_RING for ring in mol.GetRingInfo().AtomRings()):
        return False
    atoms = list(mol.GetAtoms())
    if any(atom.GetFormalCharge() or atom.GetSymbol() not in _ATOMS for atom in atoms):
        return False
    whole = Chem.AddHs(mol)
    patterns, pains = _filters()
    return not any(whole.HasSubstructMatch(p) for p in patterns) and not pains.HasMatch(mol)


@functools.cache
def _filters() -> tuple[list[Chem.Mol], FilterCatalog.FilterCatalog]:
    chosen = FilterCatalog.FilterCatalogParams()
    chosen.AddCatalog(FilterCatalog.FilterCatalogParams.FilterCatalogs.PAINS)
    return [Chem.MolFromSmarts(p) for p in _MCF], FilterCatalog.FilterCatalog(chosen)


def _tanimoto(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the similarity of each pair of bit rows, float32 `(left, right)`."""
    a, b = left.astype(np.float32), right.astype(np.float32)
    shared = a @ b.T
    both = a.sum(1, keepdims=True) + b.sum(1) - shared
    return np.where(both > 0, shared / np.maximum(both, 1), np.float32(1))


def _blocks(bits: np.ndarray) -> list[np.ndarray]:
    return [bits[i : i + _BLOCK] for i in range(0, len(bits), _BLOCK)]


def _mean_similarity(bits: np.ndarray, power: int) -> float:
    """Return the mean over rows of the power mean of their similarities to all rows."""
    means = [
        sum((_tanimoto(block, other) ** power).sum(1) for other in _blocks(bits))
        for block in _blocks(bits)
    ]
    return float(((np.concatenate(means) / len(bits)) ** (1 / power)).mean())


def _nearest_similarity(bits: np.ndarray, reference: np.ndarray) -> float:
    """Return the mean over rows of the similarity to the nearest reference row."""
    nearest = [
        np.max([_tanimoto(block, other).max(1) for other in _blocks(reference)], axis=0)
        for block in _blocks(bits)
    ]
    return float(np.concatenate(nearest).mean())


def _counts(parts: Sequence[Sequence[str]]) -> Counter[str]:
    return Counter(part for row in parts for part in row)


def _cosine(left: Counter[str], right: Counter[str]) -> float | None:
    """Return the cosine of two tables of counts, None where one is empty."""
    if not left or not right:
        return None
    product = sum(count * right[name] for name, count in left.items())
    norms = [sum(count**2 for count in counts.values()) ** 0.5 for counts in (left, right)]
    return float(product / (norms[0] * norms[1]))
