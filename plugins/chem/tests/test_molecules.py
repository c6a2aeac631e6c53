"""Tests of reading and rewriting molecules."""

import numpy as np
import pytest
from rdkit import Chem, rdBase

from taglm_chem import molecules, picture
from taglm_core.errors import DataError
from taglm_core.specs import Checked


def test_canonical_gives_one_spelling_for_each_molecule():
    """Duplicates are found by comparing canonical rows."""
    checked = molecules.canonical(["OCC", " C(O)C\n", "C1=CC=CC=C1", "c1ccccc1"])
    assert isinstance(checked, Checked)
    assert checked.values == ["CCO", "CCO", "c1ccccc1", "c1ccccc1"]
    assert checked.errors == [None] * 4


def test_canonical_keeps_what_makes_a_molecule_itself():
    """Nothing that distinguishes two rows may be lost: stereo, isotopes, charges, maps, salts."""
    rows = ["C[C@H](N)C(=O)O", "F/C=C/F", "[2H]C", "[Na+].[Cl-]", "C[CH3:1]", "*C"]
    assert None not in molecules.canonical(rows).values
    assert "".join(c for v in molecules.canonical(rows).values for c in v if c in "@/2+:*.")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("C1CC", "not a valid SMILES: unclosed ring"),
        ("CC(", "not a valid SMILES: syntax error at or before position 3 ('(')"),
        ("CC)", "not a valid SMILES: extra close parentheses at or before position 3 (')')"),
        ("C11", "not a valid SMILES: duplicated ring closure 1 bonds atom 1 to itself"),
        (
            "CC(C)(C)(C)C",
            "not a possible molecule: atom 2 (C) has a valence of 5, more than is possible",
        ),
        (
            "c1cccc1",
            "not a possible molecule: the aromatic atoms 1, 2, 3, 4, 5 cannot be given "
            "alternating double bonds (a hydrogen such as [nH] may be missing)",
        ),
        ("cC", "not a possible molecule: atom 1 (C) is written as aromatic but is in no ring"),
        ("", "not a SMILES: it is empty"),
        ("CC\u041e", "not a valid SMILES: it has characters beyond ASCII"),
        ("\uff23CO", "not a valid SMILES: it has characters beyond ASCII"),
        ("CC\u2026", "not a valid SMILES: it has characters beyond ASCII"),
        ("CCO\x01", "not a valid SMILES: control character '\\x01' at position 4"),
        ("CCO ethanol", "more than a SMILES: 'ethanol' follows it"),
        (None, "not a SMILES: not text but None"),
    ],
)
def test_invalid_rows_get_rdkits_reason_in_plain_words(row, reason):
    """The user learns what is wrong with a row; other rows go on."""
    checked = molecules.canonical(["CO", row, "CC"])
    assert checked.values == ["CO", None, "CC"]
    assert checked.errors == [None, reason, None]


def test_rdkit_prints_nothing_and_its_log_is_left_as_it_was(capfd):
    """A million bad rows may not flood the terminal, nor may RDKit stay silent for its user."""
    before = rdBase.LogStatus()
    molecules.canonical(["C1CC", "CC(C)(C)(C)C", "C"])
    assert capfd.readouterr().err == ""
    assert rdBase.LogStatus() == before
    Chem.MolFromSmiles("C1CC")
    assert "unclosed ring" in capfd.readouterr().err


def test_augment_gives_other_spellings_of_the_same_molecules():
    """Random SMILES are data augmentation only while they mean the same molecule."""
    rows = ["CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "F/C=C/F"] * 10
    spelled = molecules.augment(rows, np.random.default_rng(0))
    assert spelled != rows
    assert molecules.canonical(spelled).values == molecules.canonical(rows).values


def test_augment_is_decided_by_the_generator():
    """A resumed run must see the same spellings."""
    rows = ["CC(=O)Oc1ccccc1C(=O)O"] * 20
    first, second, other = (
        molecules.augment(rows, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == second != other
    assert len(set(first)) > 5


@pytest.mark.parametrize("function", [picture.draw, lambda row: molecules.read(["C", row])])
def test_functions_for_valid_rows_refuse_invalid_ones(function):
    """A row that no check has seen fails loudly, naming the row."""
    with pytest.raises(DataError, match=r"row \d: 'C1': not a valid SMILES: unclosed ring"):
        function("C1")
