"""Tests of features, computed labels and scaffold groups."""

import hashlib

import numpy as np
import pytest
from rdkit.Chem import AllChem, MolFromSmiles

from taglm_chem import descriptors, features, labels, splits
from taglm_core.errors import DataError

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_morgan_counts_environments():
    """Benzene has six equal atoms: three environments, six times each."""
    counts = features.morgan(["c1ccccc1", ASPIRIN])
    assert counts.dtype == np.float32
    assert counts.shape == (2, 2048)
    assert counts[0][counts[0] > 0].tolist() == [6, 6, 6]
    generator = AllChem.GetMorganGenerator(radius=2, fpSize=2048)
    expected = generator.GetCountFingerprintAsNumPy(MolFromSmiles(ASPIRIN))
    np.testing.assert_array_equal(counts[1], expected)


def test_descriptors_of_aspirin():
    """The descriptors stand in the order of their names."""
    values = dict(zip(descriptors.names(), descriptors.descriptors([ASPIRIN])[0], strict=True))
    assert values["MolWt"] == pytest.approx(180.16, abs=0.01)
    assert (values["HeavyAtomCount"], values["RingCount"]) == (13, 1)
    assert values["TPSA"] == pytest.approx(63.6, abs=0.1)
    assert "qed" not in values


def test_descriptors_are_finite_and_computed_once(monkeypatch):
    """Salts and elements without parameters get numbers; a molecule seen before costs nothing."""
    rows = ["[Na+].[Cl-]", "[U]", "C" * 200, "CCO", "CCO"]
    made = descriptors.descriptors(rows)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    asked = []
    monkeypatch.setattr(descriptors, "run_rows", lambda f, rows, **_: asked.extend(rows) or f(rows))
    again = descriptors.descriptors([*rows[::-1], "BrCCCCCCCCCCCCCCCO"])
    assert asked == ["BrCCCCCCCCCCCCCCCO"]
    np.testing.assert_array_equal(again[:5], made[::-1])


@pytest.mark.parametrize(
    "function",
    [
        features.morgan,
        descriptors.descriptors,
        splits.scaffold_groups,
        lambda rows: labels.qed({"smiles": rows}),
        lambda rows: labels.logp({"smiles": rows}),
    ],
)
def test_no_rows_and_bad_rows(function):
    """An empty split gives an empty result; an unreadable row is never skipped."""
    assert len(function([])) == 0
    with pytest.raises(DataError, match="row 2: 'C1'"):
        function(["C", "C1"])


def test_qed_of_known_molecules():
    """Published values of aspirin, paracetamol, caffeine and ibuprofen, to two digits."""
    smiles = [
        ASPIRIN,
        "CC(=O)Nc1ccc(O)cc1",
        "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
        "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    ]
    values = labels.qed({"smiles": smiles})
    assert values.shape == (4, 1)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values[:, 0], [0.55, 0.595, 0.54, 0.82], atol=6e-3)


def test_logp_of_known_molecules():
    """Crippen's contributions give 1.6866 for benzene and -0.0014 for ethanol."""
    values = labels.logp({"smiles": ["c1ccccc1", "CCO", ASPIRIN]})
    np.testing.assert_allclose(values[:, 0], [1.6866, -0.0014, 1.3101], atol=1e-4)


def test_scaffold_keys_are_those_of_the_embedded_backbone():
    """The backbone never saw bucket 0 of exactly these keys."""
    rows = [ASPIRIN, "CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "CCO", "[Na+].[Cl-]"]
    assert splits.scaffold_groups(rows) == [
        "scaffold:c1ccccc1",
        "scaffold:c1ccccc1",
        "acyclic:CC(N)C(=O)O",
        "acyclic:CCO",
        "acyclic:[Cl-].[Na+]",
    ]


def test_scaffold_keys_do_not_depend_on_spelling_or_stereo():
    """A molecule may not change sides because its file writes it otherwise."""
    keys = splits.scaffold_groups(["C[C@H]1CC[C@@H](C(C)C)CC1", "CC(C)C1CCC(C)CC1"])
    assert keys == ["scaffold:C1CCCCC1"] * 2


@pytest.mark.parametrize(
    ("row", "bucket"), [(ASPIRIN, 7), ("CCO", 4), ("Oc1ccncc1", 5), ("CC1CCCCC1", 7)]
)
def test_buckets_are_fixed(row, bucket):
    """The core's rule turns keys into buckets; a changed key would move molecules."""
    (key,) = splits.scaffold_groups([row])
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    assert int.from_bytes(digest, "big") % 10 == bucket


def test_fingerprints_give_the_similarity_that_rdkit_gives():
    """Chemists know Tanimoto of Morgan bits; predictions tell how near training rows are by it."""
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    from taglm_chem.features import fingerprint
    from taglm_core.plugin import Nearest

    rows = ["CCO", "c1ccccc1O", "Cc1ccccc1O", "[Na+].[Cl-]"]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = [generator.GetFingerprint(MolFromSmiles(row)) for row in rows]
    expected = [DataStructs.BulkTanimotoSimilarity(each, bits) for each in bits]
    is_set = fingerprint(rows) != 0
    np.testing.assert_allclose(Nearest(is_set).similarities(is_set), expected, rtol=1e-6)


def test_many_labels_are_computed_by_all_cores(monkeypatch):
    """QED of the quick start's molecules takes seconds; of a few, a worker's start takes longer."""
    asked = []

    def run(function, rows, *, workers):
        asked.append(workers)
        return np.zeros((len(rows), 1))

    monkeypatch.setattr(labels, "run_rows", run)
    monkeypatch.setattr(labels, "usable_cores", lambda: 2)
    for count in (10, 3000):
        labels.qed({"smiles": ["CCO"] * count})
    assert asked == [None, 2]
