"""Molecule documents: random SMILES, plain English facts computed by RDKit, and SMILES symbols.

The facts are counts and sums over the structure. Druglikeness, lipophilicity, solubility,
structural alerts and measured values are left out on purpose: users evaluate these tasks.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from buckets import is_held_out, molecule_key

NUM_RANDOM = 6
NUM_COUNTS = 512
MOSES = "moses"
# QED and Crippen's logP are labels of tasks that users evaluate on this backbone.
LABELS_OF_TASKS = ("qed", "MolLogP")
RECORD_PREFIX = "The SMILES of the molecule is "

# Two-letter element symbols; H to Ca are not all here because most are single letters.
TWO_LETTER_ELEMENTS = tuple(
    """He Li Be Ne Na Mg Al Si Cl Ar Ca Sc Ti Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Zr Nb Mo
    Tc Ru Rh Pd Ag Cd In Sn Sb Te Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta Re Os
    Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa Np Pu Am Cm""".split()
)

_BRACKET = re.compile(r"\[[^\]]*\]|Cl|Br|.")
_INSIDE = re.compile("|".join(TWO_LETTER_ELEMENTS) + "|@@|.")

# Fragment counters of rdkit.Chem.Fragments and the names that a chemist would use.
_GROUPS = {
    "fr_COO": "a carboxylic acid",
    "fr_ester": "an ester",
    "fr_amide": "an amide",
    "fr_ether": "an ether",
    "fr_aldehyde": "an aldehyde",
    "fr_ketone": "a ketone",
    "fr_Al_OH": "an alcohol",
    "fr_phenol": "a phenol",
    "fr_NH2": "a primary amine",
    "fr_NH1": "a secondary amine",
    "fr_NH0": "a tertiary amine",
    "fr_aniline": "an aniline",
    "fr_nitrile": "a nitrile",
    "fr_nitro": "a nitro group",
    "fr_halogen": "a halogen",
    "fr_sulfonamd": "a sulfonamide",
    "fr_sulfone": "a sulfone",
    "fr_sulfide": "a sulfide",
    "fr_SH": "a thiol",
    "fr_urea": "a urea",
    "fr_guanido": "a guanidine",
    "fr_hdrzine": "a hydrazine",
    "fr_Imine": "an imine",
    "fr_azo": "an azo group",
    "fr_lactone": "a lactone",
    "fr_lactam": "a beta-lactam",
    "fr_imide": "an imide",
    "fr_methoxy": "a methoxy group",
    "fr_phos_acid": "a phosphoric acid",
    "fr_benzene": "a benzene ring",
    "fr_pyridine": "a pyridine",
    "fr_piperdine": "a piperidine",
    "fr_piperzine": "a piperazine",
    "fr_morpholine": "a morpholine",
    "fr_thiophene": "a thiophene",
    "fr_furan": "a furan",
    "fr_thiazole": "a thiazole",
    "fr_imidazole": "an imidazole",
    "fr_oxazole": "an oxazole",
    "fr_tetrazole": "a tetrazole",
}


def smiles_symbols(smiles: str) -> list[str]:
    """Split a SMILES into symbols: two-letter elements, `@@`, and otherwise single characters.

    Outside brackets only `Cl` and `Br` have two letters (`Sc` there is S then an aromatic c);
    inside brackets any element symbol of two letters is one symbol.

    Example:
        >>> smiles_symbols("C[C@@H](Cl)c1c[nH]c[n+]1[Na]")[:8]
        ['C', '[', 'C', '@@', 'H', ']', '(', 'Cl']
    """
    symbols: list[str] = []
    for piece in _BRACKET.findall(smiles):
        symbols.extend(_INSIDE.findall(piece) if piece[0] == "[" else [piece])
    return symbols


def join_names(names: list[str]) -> str:
    """Join names as English does: `a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def facts(mol: Any, values: Mapping[str, float]) -> list[str]:
    """Return plain sentences about a molecule, each starting with a space.

    Args:
        mol: RDKit molecule.
        values: Its descriptors by RDKit's names.
    """
    from rdkit.Chem import FindMolChiralCenters as centers
    from rdkit.Chem import GetFormalCharge, rdMolDescriptors

    numbers = {
        "molecular weight": round(values["MolWt"]),
        "number of heavy atoms": mol.GetNumHeavyAtoms(),
        "number of rings": round(values["RingCount"]),
        "number of aromatic rings": round(values["NumAromaticRings"]),
        "number of rotatable bonds": round(values["NumRotatableBonds"]),
        "number of hydrogen bond donors": rdMolDescriptors.CalcNumHBD(mol),
        "number of hydrogen bond acceptors": rdMolDescriptors.CalcNumHBA(mol),
        "polar surface area": round(values["TPSA"]),
        "formal charge": GetFormalCharge(mol),
        "number of stereocentres": len(
            centers(mol, includeUnassigned=True, useLegacyImplementation=True)
        ),
        "percentage of sp3 carbons": round(100 * values["FractionCSP3"]),
    }
    sentences = [f" The molecular formula is {rdMolDescriptors.CalcMolFormula(mol)}."]
    sentences += [f" The {name} is {value}." for name, value in numbers.items()]
    groups = [name for function, name in _GROUPS.items() if values[function]]
    if groups:
        sentences.append(f" The molecule contains {join_names(groups)}.")
    return sentences


def divide(row: tuple[str, str]) -> dict[str, Any] | None:
    """Return `smiles`, `source` and `held_out` of a molecule; None when RDKit cannot read it."""
    from rdkit import RDLogger

    RDLogger.DisableLog("rdApp.*")
    smiles, source = row
    try:
        return {"smiles": smiles, "source": source, "held_out": is_held_out(molecule_key(smiles))}
    except ValueError:
        return None


@cache
def descriptors() -> dict[str, Callable[[Any], float]]:
    """Return RDKit's 2D descriptors by name, less the labels that taglm's own tasks compute."""
    from rdkit.Chem import Descriptors

    return {name: f for name, f in Descriptors.descList if name not in LABELS_OF_TASKS}


@cache
def _fingerprints() -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=NUM_COUNTS)


def describe(row: tuple[str, str]) -> dict[str, Any] | None:
    """Compute everything the training needs of one molecule.

    Args:
        row: SMILES and the name of its source.

    Returns:
        `smiles`, `source` and `held_out`; of training molecules also `facts`, `descriptors`
        (NaN where RDKit finds none), `counts` of folded Morgan environments, and `variants`:
        random SMILES where there are stereo marks (`respell.py` spells the others anew each time).
        None when RDKit cannot read the SMILES.
    """
    from rdkit import Chem

    found = divide(row)
    if found is None:
        return None
    smiles, source = row
    mol = Chem.MolFromSmiles(smiles)
    # Only of the smaller, more varied file are there sentences, and held-out questions.
    with_facts = source != MOSES
    if found["held_out"] and not with_facts:
        return found
    values = {name: float(function(mol)) for name, function in descriptors().items()}
    if with_facts:
        found["facts"] = facts(mol, values)
    found["descriptors"] = list(values.values())
    counts = _fingerprints().GetCountFingerprintAsNumPy(mol)
    found["counts"] = [(int(i), int(counts[i])) for i in counts.nonzero()[0]]
    has_stereo = any(mark in smiles for mark in "@/\\")
    found["variants"] = (
        list(Chem.MolToRandomSmilesVect(mol, NUM_RANDOM, randomSeed=len(smiles) + 1))
        if has_stereo
        else []
    )
    return found
