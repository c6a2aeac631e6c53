"""Scores of generated molecules against values worked out by hand, and against RDKit."""

import sys
import types

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from taglm_chem import moses
from taglm_core import SampleData

ROWS = ["CCO", "c1ccccc1O", "CCO", "c1ccc2ccccc2c1CN", "CC(=O)Nc1ccc(O)cc1"]


def scored(canonical=ROWS, known=None, reference=None):
    """Return the scores of rows that are drawn as they are."""
    return moses.metrics(
        SampleData(rows=canonical, canonical=canonical, known=known, reference=reference)
    )


def test_shares_are_of_what_the_one_before_left():
    """Novelty counts distinct valid rows; uniqueness needs as many rows as its name says."""
    values = scored(["CCO", None, "CCO", "CCN"], known=["CCN"])
    assert values["valid"] == pytest.approx(3 / 4)
    assert values["novelty"] == pytest.approx(1 / 2)
    assert values["unique@1000"] is None
    many = scored(["CCO", "CCN", None, "CCC"] * 250)
    assert many["unique@1000"] == pytest.approx(3 / 750)
    assert many["unique@10000"] is None
    assert many["novelty"] is None


def test_diversity_and_nearest_neighbor_agree_with_rdkit():
    """Tanimoto of Morgan bits, itself included, as a mean and as a root mean square."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(row)) for row in ROWS]
    pairs = np.array([DataStructs.BulkTanimotoSimilarity(p, prints) for p in prints])
    values = scored(reference=["CCO", "Oc1ccccc1"])
    assert values["IntDiv"] == pytest.approx(1 - pairs.mean(), abs=1e-5)
    assert values["IntDiv2"] == pytest.approx(1 - np.sqrt((pairs**2).mean(1)).mean(), abs=1e-5)
    assert values["SNN"] == pytest.approx(pairs[:, :2].max(1).mean(), abs=1e-5)


def test_fragments_and_scaffolds_are_compared_by_their_counts():
    """The same molecules give 1, molecules without a common part 0; one ring is no scaffold."""
    same = scored(reference=ROWS)
    assert same["Frag"] == pytest.approx(1)
    assert same["Scaf"] == pytest.approx(1)
    other = scored(["CCO"], reference=["CCN"])
    assert other["Frag"] == 0
    assert other["Scaf"] is None
    assert moses.scaffolds(["c1ccccc1", "c1ccc2ccccc2c1C"]) == [[], ["c1ccc2ccccc2c1"]]
    assert len(moses.fragments(["CC(=O)Nc1ccc(O)cc1"])[0]) > 1


@pytest.mark.parametrize(
    ("row", "passes"),
    [
        ("CCO", True),
        ("C1CCCCCCC1", False),  # a ring of eight
        ("C[NH3+]", False),  # a charge
        ("CCI", False),  # an element
        ("CCCl", False),  # MCF: alkyl halide
        ("CC=O", False),  # MCF: aldehyde
        ("O=C1C=CC(=O)C=C1", False),  # PAINS: quinone
        ("CC(=O)Nc1ccc(O)cc1", True),
    ],
)
def test_filters_of_the_benchmark(row, passes):
    """Each rule of the filters refuses its example."""
    assert moses.passes_filters([row]) == [passes]


def test_frechet_distance_is_left_to_a_package(monkeypatch):
    """Without the package the score says what to install; with it, it is asked."""
    monkeypatch.setitem(sys.modules, "fcd_torch", None)
    assert "taglm-plugin-chem[fcd]" in scored(reference=["CCO"])["FCD"]

    def distance(canonize):
        return lambda reference, rows: len(reference) + len(rows) / 10

    monkeypatch.setitem(sys.modules, "fcd_torch", types.SimpleNamespace(FCD=distance))
    assert scored(reference=["CCO"])["FCD"] == pytest.approx(1.5)


def test_nothing_valid_gives_no_scores():
    """A tag that draws no molecule is no failure of the scores."""
    values = scored([None, None], known=["CCO"], reference=["CCO"])
    assert values["valid"] == 0
    assert values["novelty"] is None
    assert values["IntDiv"] is None
    assert values["SNN"] is None
