"""Tests of molecules as pictures."""

import xml.etree.ElementTree as ElementTree

import pytest

from taglm_chem.encoder import SmilesEncoder
from taglm_chem.picture import atom_weights, draw


def test_draw_gives_svg_for_a_page():
    """The text goes into an HTML page, so it is one svg element and no XML declaration."""
    picture = draw("CC(=O)Oc1ccccc1C(=O)O")
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert picture.startswith("<svg")


@pytest.mark.parametrize(
    ("row", "atoms"),
    [
        ("CCO", [1, 1, 1]),
        ("C(=O)Cl", [1, 1, 1]),  # parentheses and bonds belong to no atom
        ("C1CC1", [2, 1, 2]),  # ring digits belong to theirs
        ("C[C@@H](Cl)O", [1, 5, 1, 1]),  # as do brackets
        ("[NH4+].[Cl-]", [6, 4]),
        ("C%12CC%12", [4, 1, 4]),
    ],
)
def test_weights_of_symbols_belong_to_atoms(row, atoms):
    """Each atom gets what stands for it, so that the picture shows what the model reads."""
    count = len(SmilesEncoder().encode_batch([row]).ids)
    assert atom_weights(row, [1] * count) == atoms


def test_the_heaviest_atom_is_shaded_most():
    """Weights become colors of atoms; without weights nothing is shaded."""
    assert "#F28C19" in draw("CCO", [0.0, 0.0, 1.0])
    assert "#F28C19" not in draw("CCO")
