"""Tests of the drug list and of the molecules generated from it."""

import itertools

import pytest
from rdkit import Chem
from rdkit.Chem import rdCIPLabeler, rdMolDescriptors

from taglm_chem import generated
from taglm_chem.encoder import SmilesEncoder

STEREO = {
    "naproxen": "S",
    "levodopa": "S",
    "epinephrine": "R",
    "captopril": "SS",
    "efavirenz": "S",
    "sertraline": "SS",
    "tofacitinib": "RR",
    "chloramphenicol": "RR",
    "sitagliptin": "R",
    "benzylpenicillin": "RRS",
    "atorvastatin": "RR",
    "estradiol": "SSRSS",
}


@pytest.fixture(scope="module")
def rows():
    """Three hundred generated molecules."""
    return generated.task_molecules(seed=0, size=300)


def test_formula_of_every_drug():
    """The typed formula and the typed SMILES check each other."""
    drugs = generated.read_drugs()
    assert len(drugs) == 250
    for drug in drugs:
        mol = Chem.MolFromSmiles(drug.smiles)
        assert rdMolDescriptors.CalcMolFormula(mol) == drug.formula, drug.name


def test_drugs_are_all_different():
    """No drug stands in the list under two names."""
    drugs = generated.read_drugs()
    assert len({drug.name for drug in drugs}) == len(drugs)
    assert len({Chem.CanonSmiles(drug.smiles) for drug in drugs}) == len(drugs)


@pytest.mark.parametrize(("name", "labels"), STEREO.items())
def test_stereocentres_of_known_drugs(name, labels):
    """A formula says nothing about stereo marks: these are compared with the known R and S."""
    (smiles,) = [drug.smiles for drug in generated.read_drugs() if drug.name == name]
    mol = Chem.MolFromSmiles(smiles)
    rdCIPLabeler.AssignCIPLabels(mol)
    found = [a.GetProp("_CIPCode") for a in mol.GetAtoms() if a.HasProp("_CIPCode")]
    assert "".join(found) == labels


def test_known_drugs_is_a_data_set():
    """The list itself can be predicted on."""
    table = generated.known_drugs(seed=1, size=2)
    assert table["name"] == ["aspirin", "paracetamol"]
    assert {len(column) for column in generated.known_drugs().values()} == {250}


def test_molecules_are_valid_canonical_different_and_of_drug_size(rows):
    """What the data set promises of each row."""
    assert len(rows["smiles"]) == len(set(rows["smiles"])) == len(rows["source"]) == 300
    for smiles in rows["smiles"]:
        mol = Chem.MolFromSmiles(smiles)
        assert Chem.MolToSmiles(mol) == smiles
        assert 8 <= mol.GetNumHeavyAtoms() <= 60
        assert len(smiles) <= 120
        assert "*" not in smiles
        assert "." not in smiles


def test_molecules_can_be_encoded(rows):
    """The default data must pass its own domain."""
    assert set(SmilesEncoder().encode_batch(rows["smiles"]).errors) == {None}


def test_source_names_known_drugs(rows):
    """The source says which drugs gave the fragments."""
    names = {drug.name for drug in generated.read_drugs()}
    for source in rows["source"]:
        assert 2 <= len(source.split("+")) <= 4
        assert set(source.split("+")) <= names


def test_equal_seeds_give_equal_molecules(rows):
    """A run can be repeated, and a smaller size gives the first rows of a larger one."""
    again = generated.task_molecules(seed=0, size=100)
    assert again == {name: column[:100] for name, column in rows.items()}


def test_other_seeds_and_the_corpus_give_other_molecules(rows):
    """The corpus of stage 1 is not the data of the task."""
    for other in (
        generated.task_molecules(seed=1, size=100),
        generated.corpus_molecules(seed=0, size=100),
    ):
        assert len(set(other["smiles"]) & set(rows["smiles"])) < 10


def test_bonds_between_fragments_follow_the_brics_rules():
    """Fragments may follow each other only where BRICS knows the bond, in both directions."""
    partners = generated._partners()
    assert 3 in partners[1]
    assert all(one in partners[other] for one in partners for other in partners[one])
    pool = generated.fragment_pool()
    for label, following in itertools.chain(pool.next_ends.items(), pool.next_middles.items()):
        assert {fragment.labels[0] for fragment in following} <= partners[label]


def test_size_of_a_fragment_leaves_out_its_open_bonds():
    """The sizes of the fragments add up to the size of the molecule."""
    for fragment in generated.fragment_pool().ends[:50]:
        atoms = [atom.GetAtomicNum() for atom in fragment.mol.GetAtoms()]
        assert fragment.size == len(atoms) - atoms.count(0)


def test_size_zero_gives_no_rows():
    """An empty request is not an error."""
    assert generated.corpus_molecules(seed=0, size=0) == {"smiles": [], "source": []}
