"""Values that can be worked out by hand."""

import numpy as np
import pytest

from taglm_dna.encoder import DnaEncoder
from taglm_dna.generated import sequences
from taglm_dna.labels import gc, melting
from taglm_dna.strands import canonical, molecules, other_strand, reverse_complement


@pytest.mark.parametrize(
    ("row", "share"),
    [("GC", 1.0), ("AT", 0.0), ("GATTACAC", 0.375), ("S", 1.0), ("N", 0.5), ("B", 2 / 3)],
)
def test_gc_content(row, share):
    """An ambiguous base counts by the share of its possible bases."""
    assert gc({"dna": [row]})[0, 0] == pytest.approx(share)


@pytest.mark.parametrize(
    ("row", "celsius"),
    [("ATATGCGC", 2 * 4 + 4 * 4), ("A" * 13, 26.0), ("ACGT" * 5, 64.9 + 41 * (10 - 16.4) / 20)],
)
def test_melting_temperature(row, celsius):
    """Wallace below 14 bases, Marmur and Doty from 14 on."""
    assert melting({"dna": [row]})[0, 0] == pytest.approx(celsius)


def test_the_other_strand():
    """The complement of an ambiguity code is the code of the complements."""
    assert reverse_complement("GATTACA") == "TGTAATC"
    assert reverse_complement("RYSWKMBDHVN") == "NBDHVKMWSRY"
    rows = sequences(seed=1, size=50)["dna"]
    assert [reverse_complement(reverse_complement(row)) for row in rows] == rows


def test_labels_do_not_depend_on_the_strand():
    """A molecule has one GC content and one melting temperature."""
    rows = sequences(seed=2, size=50)["dna"]
    others = other_strand(rows, np.random.default_rng(0))
    for label in (gc, melting):
        np.testing.assert_allclose(label({"dna": rows}), label({"dna": others}))
    assert molecules(rows) == molecules(others)


def test_both_strands_have_one_canonical_form():
    """Small letters and blanks are no difference either."""
    assert canonical(["tgt aatc", "GATTACA"]).values == ["GATTACA", "GATTACA"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ACXG", "unknown symbol 'X' at position 3"),
        ("ACGU", "'U' at position 4; write T for U"),
        ("AC-G", "unknown symbol '-' at position 3"),
        ("", "empty sequence"),
    ],
)
def test_what_is_refused(row, message):
    """No letter is guessed or dropped."""
    assert message in canonical([row]).errors[0]
    assert message in DnaEncoder().encode_batch([row]).errors[0]


def test_generated_sequences_vary():
    """A task whose labels hardly vary cannot be learned."""
    rows = sequences(seed=0, size=300)["dna"]
    assert len(set(rows)) == 300
    assert gc({"dna": rows}).std() > 0.15
