"""Molecule documents: random SMILES, plain English facts computed by RDKit, and SMILES symbols.

The facts are counts and sums over the structure. Druglikeness, lipophilicity, solubility,
structural alerts and measured values are left out on purpose: users evaluate these tasks.
"""

import re
from typing import Any

from buckets import is_held_out, molecule_key

NUM_RANDOM = 4
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


def facts(mol: Any) -> list[str]:
    """Return plain sentences about an RDKit molecule, each starting with a space."""
    from rdkit.Chem import Descriptors, FindMolChiralCenters, Fragments, GetFormalCharge
    from rdkit.Chem import rdMolDescriptors as d

    numbers = {
        "molecular weight": round(Descriptors.MolWt(mol)),
        "number of heavy atoms": mol.GetNumHeavyAtoms(),
        "number of rings": d.CalcNumRings(mol),
        "number of aromatic rings": d.CalcNumAromaticRings(mol),
        "number of rotatable bonds": d.CalcNumRotatableBonds(mol),
        "number of hydrogen bond donors": d.CalcNumHBD(mol),
        "number of hydrogen bond acceptors": d.CalcNumHBA(mol),
        "polar surface area": round(d.CalcTPSA(mol)),
        "formal charge": GetFormalCharge(mol),
        "number of stereocentres": len(
            FindMolChiralCenters(mol, includeUnassigned=True, useLegacyImplementation=True)
        ),
        "percentage of sp3 carbons": round(100 * d.CalcFractionCSP3(mol)),
    }
    sentences = [f" The molecular formula is {d.CalcMolFormula(mol)}."]
    sentences += [f" The {name} is {value}." for name, value in numbers.items()]
    groups = [name for function, name in _GROUPS.items() if getattr(Fragments, function)(mol)]
    if groups:
        sentences.append(f" The molecule contains {join_names(groups)}.")
    return sentences


def describe(row: tuple[str, str]) -> dict[str, Any] | None:
    """Compute everything the training needs of one molecule.

    Args:
        row: SMILES and the name of its source.

    Returns:
        `smiles`, `source`, `held_out`, `facts`, and `variants`: the input SMILES, then, for
        training molecules, random ones. None when RDKit cannot read the SMILES.
    """
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    smiles, source = row
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return None
    held_out = is_held_out(molecule_key(smiles))
    variants = [smiles]
    if not held_out:
        variants += Chem.MolToRandomSmilesVect(mol, NUM_RANDOM, randomSeed=len(smiles) + 1)
    return {
        "smiles": smiles,
        "source": source,
        "held_out": held_out,
        "variants": variants,
        "facts": facts(mol),
    }
