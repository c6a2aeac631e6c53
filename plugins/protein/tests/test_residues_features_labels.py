"""Tests of checks, fixing, features, computed labels and pictures."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from taglm_core.errors import DataError
from taglm_protein import descriptors, features, labels, picture, residues
from taglm_protein.generated import known_proteins, task_sequences

ALL = "ACDEFGHIKLMNPQRSTVWY"


def test_canonical_changes_nothing_inside():
    """Only white space around a sequence is dropped; a bad one has no value."""
    checked = residues.canonical([" MKXU \n", "MKT*", "mkt", ""])
    assert checked.values == ["MKXU", None, None, None]
    assert [error is None for error in checked.errors] == [True, False, False, False]


@pytest.mark.parametrize(
    ("row", "value", "change"),
    [
        ("MKT", "MKT", None),
        ("MKTX", "MKTX", None),
        ("MKT*", "MKT", "the stop '*' at the end removed"),
        ("mKt", "MKT", "2 lower-case residues read as upper case"),
        ("M-K.T", "MKT", "2 gaps removed"),
        ("MKT AAA", "MKTAAA", "1 white space character removed"),
        ("m-k*", "MK", "1 gap removed, the stop '*' at the end removed, 2 lower-case"),
        ("M*K", "M*K", None),
        ("M1K", "M1K", None),
        ("Met-Lys-Val", "Met-Lys-Val", None),
        (">sp|P1\nMKV", ">sp|P1\nMKV", None),
    ],
)
def test_fixing_says_what_it_did(row, value, change):
    """What cannot be fixed is left for the check to refuse."""
    fixed = residues.fix([row])
    assert fixed.values == [value]
    assert (fixed.changes[0] or "").startswith(change or "")
    assert (fixed.changes[0] is None) == (change is None)


def test_blosum1_of_the_published_example():
    """The mean over the residues of Georgiev's first index."""
    values = labels.blosum1({"sequence": ["MTVPDRSEIAG"]})
    assert values.shape == (1, 1)
    assert values[0, 0] == pytest.approx(0.302727, abs=1e-6)
    assert labels.blosum1({"sequence": ["KLKLLLLLKLK"]})[0, 0] == pytest.approx(-0.4827273)


def test_blosum1_table_is_complete():
    """Every standard residue has a value, and a sequence of one has that value."""
    assert set(labels.BLOSUM1) == set(ALL)
    found = labels.blosum1({"sequence": list(labels.BLOSUM1)})[:, 0]
    assert found.tolist() == list(labels.BLOSUM1.values())


def test_labels_of_rare_residues_are_missing():
    """An index that has no value for a residue gives none for its sequence."""
    rows = ["MKT", "MKX", "MKU", "MKé"]
    assert np.isnan(labels.blosum1({"sequence": rows}))[:, 0].tolist() == [False, True, True, True]
    assert np.isnan(labels.protparam({"sequence": rows})).all(axis=1).tolist() == [
        False,
        True,
        True,
        True,
    ]


def test_protparam_of_known_proteins():
    """Masses typed with the sequences, and published values of lysozyme."""
    known = known_proteins()
    values = labels.protparam({"sequence": known["sequence"]})
    np.testing.assert_allclose(values[:, 0], [float(m) for m in known["mass"]], atol=0.4)
    lysozyme = dict(
        zip(labels.PROTPARAM, values[known["name"].index("hen egg-white lysozyme")], strict=True)
    )
    assert lysozyme["isoelectric_point"] == pytest.approx(9.32, abs=0.05)
    assert lysozyme["gravy"] == pytest.approx(-0.472, abs=1e-3)
    assert lysozyme["aromaticity"] == pytest.approx(12 / 129)


def test_fields_of_another_name_are_computed_too():
    """A template may call its one field otherwise."""
    assert labels.blosum1({"target": ["MTVPDRSEIAG"]})[0, 0] == pytest.approx(0.302727, abs=1e-6)


def test_features_count_what_their_names_say():
    """Names and columns belong together."""
    made = features.composition_and_kmers(["MKKT", "AX"])
    assert made.dtype == np.float32
    assert made.shape == (2, features.NUM_FEATURES)
    held = dict(zip(features.names(), made[0].tolist(), strict=True))
    assert held["length"] == 4
    assert (held["count_K"], held["share_K"]) == (2, 0.5)
    assert held["share_positive"] == 0.5
    assert held["share_KK"] == pytest.approx(1 / 3)
    assert sum(v for name, v in held.items() if name.startswith("triples_")) == 2
    assert sum(v for name, v in held.items() if name.startswith("positions_")) == 4
    assert made.min() >= 0


def test_features_of_a_row_do_not_depend_on_the_others():
    """Baselines see the same numbers at any time."""
    rows = task_sequences(seed=0, size=40)["sequence"] + ["A", "MK"]
    together = features.composition_and_kmers(rows)
    alone = np.concatenate([features.composition_and_kmers([row]) for row in rows])
    np.testing.assert_array_equal(together, alone)


def test_descriptors_are_what_their_names_say():
    """Shares, published scales and ProtParam; letters without numbers count for the length."""
    rows = ["KKDA", "X", "MKU", "A" * 600]
    made = descriptors.descriptors(rows)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    held = dict(zip(descriptors.names(), made[0].tolist(), strict=True))
    assert (held["length"], held["share_K"], held["share_negative"]) == (4, 0.5, 0.25)
    assert held["mean_hydropathy"] == pytest.approx((-3.9 * 2 - 3.5 + 1.8) / 4)
    assert held["mean_charge_third_1"] == 1.0
    label = labels.protparam({"sequence": ["KKDA"]})[0, labels.PROTPARAM.index("isoelectric_point")]
    assert held["isoelectric_point"] == pytest.approx(label)
    assert made[1].tolist() == [1.0, *[0.0] * (made.shape[1] - 1)]


def test_features_tell_the_variants_of_a_protein_apart():
    """Two variants with the same composition differ in triples and positions."""
    one, other = features.composition_and_kmers(["MKTAYIAKQR" * 5, "MKTAYIAKQR" * 4 + "MKTAYIAKRQ"])
    differing = {
        name.split("_")[0]
        for name, a, b in zip(features.names(), one, other, strict=True)
        if a != b
    }
    assert {"triples", "positions"} <= differing
    assert "count" not in differing


def test_features_of_no_rows_and_of_bad_rows():
    """An empty part gives an empty result; an unreadable row is never skipped."""
    assert features.composition_and_kmers([]).shape == (0, features.NUM_FEATURES)
    with pytest.raises(DataError, match=r"row 2: unknown residue '\*'"):
        features.composition_and_kmers(["MK", "M*"])


def test_picture_holds_every_residue_in_order():
    """The picture is a whole SVG element whose text is the sequence."""
    row = ALL * 7 + "XU"
    drawn = ElementTree.fromstring(picture.draw(row))
    texts = [part for part in drawn.iter() if part.tag.endswith("text")]
    assert "".join(part.text for part in texts if "textLength" in part.attrib) == row
    assert [part.text for part in texts if "textLength" not in part.attrib] == ["1", "61", "121"]
    with pytest.raises(DataError, match="unknown residue"):
        picture.draw("M<K")


def test_fingerprints_follow_sequence_identity():
    """A variant is like its protein, an unrelated sequence is not, whatever their lengths are."""
    from taglm_core.plugin import Nearest
    from taglm_protein.features import fingerprint

    rng = np.random.default_rng(0)
    first, other, longer = (
        "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), size)) for size in (300, 300, 900)
    )
    variant = first[:150] + ("A" if first[150] != "A" else "C") + first[151:]
    is_set = fingerprint([first, variant, other, longer, "MK"])
    found = Nearest(is_set[:1]).similarities(is_set)[:, 0]
    assert found[0] == 1
    assert 0.97 < found[1] < 1
    assert found[2:4].max() < 0.15
    assert is_set[4].any(), "a short peptide has its residues"
