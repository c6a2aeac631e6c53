"""Write the tables of the gallery's examples: `python docs/gallery/tables.py`.

Nothing in them was measured. logP and TPSA are computed by RDKit, the other targets follow rules
that stand below, so that every example runs without a download.
"""

import csv
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

TABLES = Path(__file__).parent / "tables"
DRUGS = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "nicotine": "CN1CCCC1c1cccnc1",
    "benzocaine": "CCOC(=O)c1ccc(N)cc1",
    "metformin": "CN(C)C(=N)NC(=N)N",
    "thymol": "Cc1ccc(C(C)C)c(O)c1",
    "isoniazid": "NNC(=O)c1ccncc1",
}
"""Names and structures of known drugs."""
RINGS = (
    *("c1ccc({})cc1", "c1cnc({})cc1", "C1CCC({})CC1", "c1csc({})c1", "c1ccc2cc({})ccc2c1"),
    *("C1CC({})C1", "C1CCC({})C1", "C1CCN({})CC1", "C1COCCN1{}", "c1cc({})[nH]c1"),
    *("c1occc1{}", "c1ccc2[nH]cc({})c2c1", "C1CCC({})CCC1", "c1cc({})ncn1", "O=C1CCCN1{}"),
    *("c1ccc(-c2ccc({})cc2)cc1", "c1ccc(Cc2ccc({})cc2)cc1", "C1CC1{}", "c1nc({})c[nH]1"),
    "c1ccc2nc({})ccc2c1",
)
GROUPS = ("C", "CC", "CCO", "C(=O)C", "CC(F)(F)F")
PROTEINS = ("MKTAYIAKQRQISFVK", "GAVLIPFWMSTCYNQD", "MEEPQSDPSVEPPLSQ", "HHDEKRSTNQGAVLIP")
WORDS = (
    ("The film was", ("wonderful", "moving", "clever", "dull", "tedious", "a mess")),
    ("The acting is", ("brilliant", "warm", "superb", "wooden", "weak", "awful")),
    ("The story felt", ("fresh", "rich", "gripping", "stale", "empty", "pointless")),
)
ENDINGS = (".", " from the first scene.", ", start to end.", ", all in all.", " to me.", "!")


def molecules() -> Iterable[Sequence[Any]]:
    """Give molecules with logP (Crippen) and polar surface area (square angstrom)."""
    from rdkit import Chem
    from rdkit.Chem import Crippen, rdMolDescriptors

    yield "smiles", "logP", "TPSA", "split"
    for place, (ring, group) in enumerate(itertools.product(RINGS, GROUPS)):
        split = {0: "valid", 1: "test"}.get(place // len(GROUPS) % 5, "train")  # by ring
        mol = Chem.MolFromSmiles(ring.format(group))
        values = Crippen.MolLogP(mol), rdMolDescriptors.CalcTPSA(mol)
        yield Chem.MolToSmiles(mol), *(f"{value:.2f}" for value in values), split


def affinity() -> Iterable[Sequence[Any]]:
    """Give pairs: a longer molecule binds better, and each protein by half a unit more."""
    yield "smiles", "sequence", "pKd"
    for smiles, (place, sequence) in itertools.product(DRUGS.values(), enumerate(PROTEINS)):
        yield smiles, sequence, f"{4 + len(smiles) / 20 + place / 2:.2f}"


def library() -> Iterable[Sequence[Any]]:
    """Give molecules to be screened against one protein."""
    yield "smiles", "sequence"
    for ring in RINGS:
        yield ring.format("C"), PROTEINS[0]


def combinations() -> Iterable[Sequence[Any]]:
    """Give pairs of drugs on two cell lines: the lengths of both, 5 more on line B."""
    yield "Drug1_ID", "Drug1", "Drug2_ID", "Drug2", "Cell_Line", "Y"
    for (one, first), (two, second) in itertools.combinations(DRUGS.items(), 2):
        for line, more in (("A", 0), ("B", 5)):
            yield one, first, two, second, line, f"{(len(first) + len(second)) / 4 + more:.1f}"


def landscape() -> Iterable[Sequence[Any]]:
    """Give variants of four sites: larger residues are better, two charges in a row are worse."""
    size = {"G": 0.0, "A": 0.4, "V": 1.0, "D": 0.6, "K": 0.9}
    yield "sequence", "fitness"
    for sites in itertools.islice(itertools.product(size, repeat=4), 0, None, 7):
        fitness = sum(size[site] for site in sites) - 1.5 * ("DD" in "".join(sites))
        yield f"MTYKLILN{sites[0]}KTLK{sites[1]}ETTTE{sites[2]}VD{sites[3]}AA", f"{fitness:.2f}"


def reviews() -> Iterable[Sequence[Any]]:
    """Give sentences; the first three words of each kind are praise."""
    yield "text", "label"
    for (begin, words), end in itertools.product(WORDS, ENDINGS):
        for place, word in enumerate(words):
            yield f"{begin} {word}{end}", "good" if place < 3 else "bad"


def main() -> None:
    """Write every table."""
    TABLES.mkdir(exist_ok=True)
    for make in (molecules, affinity, library, combinations, landscape, reviews):
        with (TABLES / f"{make.__name__}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(make())


if __name__ == "__main__":
    main()
