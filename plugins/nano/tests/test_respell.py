"""Random spellings without RDKit: the same molecule in another order."""

import random

import pytest

SMILES = (
    "CCO",
    "c1ccccc1",
    "CC(=O)Oc1ccccc1C(=O)O",
    "C1CC2(C1)CC2",
    "O=C1c2ccccc2C(=O)N1CC#N",
    "c1ccc(-c2cc[nH]c2)cc1",
    "CC(C)(C)[N+](=O)[O-]",
    "ClC12CC3CC(CC(C3)C1)C2",
    "BrC1=CCC=C1",
    "Cc1cc2c(cc1)c1ccccc1n2C",
)


def test_it_is_the_same_molecule(training_module):
    """RDKit finds the same canonical SMILES behind every spelling."""
    chem = pytest.importorskip("rdkit.Chem")
    respell = training_module("respell").respell
    rng = random.Random(1)
    for smiles in SMILES:
        wanted = chem.CanonSmiles(smiles)
        assert {wanted} == {chem.CanonSmiles(respell(smiles, rng)) for _ in range(20)}


def test_spellings_differ(training_module):
    """Twenty draws of aspirin are not the same few strings."""
    respell = training_module("respell").respell
    rng = random.Random(2)
    assert len({respell(SMILES[2], rng) for _ in range(20)}) > 15


def test_ring_numbers_of_two_digits(training_module):
    """More than nine open rings need a percent sign, in both directions."""
    chem = pytest.importorskip("rdkit.Chem")
    module = training_module("respell")
    star = "C%10CCCCC%10"
    assert module.parse(star) == module.parse("C1CCCCC1")
    cage = "C12C3C4C1C5C2C3C45"
    for seed in range(20):
        spelled = module.respell(cage, random.Random(seed))
        assert chem.CanonSmiles(cage) == chem.CanonSmiles(spelled)


@pytest.mark.parametrize("smiles", ["C1CC", "C(C", "C?C"])
def test_broken_smiles_raise(training_module, smiles):
    """What is not understood is not guessed at."""
    with pytest.raises(ValueError, match="cannot respell the SMILES"):
        training_module("respell").respell(smiles, random.Random(0))


def test_stereo_marks_and_fragments_are_refused(training_module):
    """Their order carries meaning that this module does not know."""
    can_respell = training_module("respell").can_respell
    assert [True, False, False, False] == [
        can_respell(s) for s in ("CCO", "C[C@H](N)O", "F/C=C/F", "CC.O")
    ]
