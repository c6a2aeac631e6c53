"""What stands in a column of SMILES that holds something else."""

import pytest

from taglm_chem.doubt import doubt, kind_of
from taglm_chem.molecules import canonical


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("InChI=1S/CH4/h1H4", "an InChI"),
        ("BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "an InChIKey"),
        ("[C][=C][Ring1][C]", "SELFIES"),
        ("50-00-0", "a CAS number"),
        ("CHEMBL25", "a database identifier"),
        (">ligand 1", "a FASTA header"),
        ("MKTAYIAKQRQISFVK", "a protein sequence"),
        ("C9H8O4", "a sum formula"),
        ("aspirin", "a name"),
        ("acetic acid", "a name"),
    ],
)
def test_what_is_no_smiles_is_named(text, kind):
    """The reason ends with what the cell looks like."""
    assert kind_of(text) == kind
    assert canonical([text]).errors[0].endswith(f"; it looks like {kind}")


@pytest.mark.parametrize("text", ["CC(=O", "C1CC", "Cc1ccccc", "CCOX", "Clc1ccc(Br)"])
def test_a_damaged_smiles_stays_one(text):
    """It is not taken for a name."""
    assert kind_of(text) is None


def test_selfies_of_plain_atoms_are_doubtful():
    """They can be read as SMILES, of atoms without hydrogen."""
    rows = ["[C][C][O]", "CCO", "[H][H]", "[Na+].[Cl-]", "[2H]C([2H])[2H]"]
    checked = canonical(rows)
    assert checked.errors == [None] * 5
    answers = doubt(checked.values)
    assert answers[0] == "SELFIES"
    assert answers[1:] == [None] * 4
