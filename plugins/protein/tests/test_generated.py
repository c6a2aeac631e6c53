"""Tests of the known proteins and of the sequences generated from them."""

import hashlib
from collections import Counter

import pytest

from taglm_protein import generated
from taglm_protein.encoder import ProteinEncoder
from taglm_protein.residues import STANDARD


@pytest.fixture(scope="module")
def rows():
    """A thousand generated sequences."""
    return generated.task_sequences(seed=0, size=1000)


def test_known_proteins_are_a_data_set():
    """The list itself can be predicted on, and no protein stands in it twice."""
    table = generated.known_proteins(seed=1, size=2)
    assert table["name"] == ["ubiquitin", "hen egg-white lysozyme"]
    everything = generated.known_proteins()
    assert {len(set(column)) for column in everything.values()} == {21}


def test_background_frequencies_add_up():
    """Per cent of the 20 residues; the published ones are rounded."""
    assert set(generated.BACKGROUND) == set(STANDARD)
    assert sum(generated.BACKGROUND.values()) == pytest.approx(100, abs=0.2)


def test_sequences_are_different_standard_and_of_the_stated_length(rows):
    """What the data set promises of each row."""
    assert len(rows["sequence"]) == len(set(rows["sequence"])) == len(rows["source"]) == 1000
    assert all(30 <= len(row) <= 300 for row in rows["sequence"])
    assert set("".join(rows["sequence"])) == set(STANDARD)
    assert set(ProteinEncoder().encode_batch(rows["sequence"]).errors) == {None}


def test_composition_is_near_the_background(rows):
    """Frequent residues are frequent; the known proteins shift them a little."""
    counts = Counter("".join(rows["sequence"]))
    total = sum(counts.values())
    for residue, share in generated.BACKGROUND.items():
        assert 100 * counts[residue] / total == pytest.approx(share, rel=0.35, abs=0.5)


def test_source_says_how_a_row_was_made(rows):
    """All three ways occur, about as often as stated."""
    kinds = Counter(
        "copy" if s.startswith("copy of row") else "random" if s == "random" else "known"
        for s in rows["source"]
    )
    assert kinds["random"] == pytest.approx(600, abs=60)
    assert kinds["copy"] == pytest.approx(200, abs=50)
    names = {known.name for known in generated.read_known()}
    for source in rows["source"]:
        if source != "random" and not source.startswith("copy"):
            assert any(source.startswith(name) for name in names)


def test_a_copy_is_like_the_row_that_it_names(rows):
    """The number counts from 1, as rows do everywhere."""
    for row, source in zip(rows["sequence"], rows["source"], strict=True):
        if source.startswith("copy of row"):
            words = source.split()
            original = rows["sequence"][int(words[3]) - 1]
            assert len(row) == len(original)
            exchanged = sum(a != b for a, b in zip(row, original, strict=True)) / len(row)
            assert exchanged <= int(words[5]) / 100 + 0.2


def test_equal_seeds_give_equal_sequences(rows):
    """A run can be repeated, and a smaller size gives the first rows of a larger one."""
    again = generated.task_sequences(seed=0, size=100)
    assert again == {name: column[:100] for name, column in rows.items()}


def test_the_sequences_are_fixed():
    """Results on generated data compare between versions only if these stay the same."""
    text = " ".join(generated.corpus_sequences(seed=0, size=50)["sequence"])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "3a94e92770d9bcdf"


def test_other_seeds_and_the_corpus_give_other_sequences(rows):
    """The corpus of stage 1 is not the data of the task."""
    for other in (
        generated.task_sequences(seed=1, size=100),
        generated.corpus_sequences(seed=0, size=100),
    ):
        assert not set(other["sequence"]) & set(rows["sequence"])


def test_size_zero_gives_no_rows():
    """An empty request is not an error."""
    assert generated.corpus_sequences(seed=0, size=0) == {"sequence": [], "source": []}
