"""Tests of cluster keys and of the split that keeps relatives together."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from taglm_core.data.folds import folds_of
from taglm_core.data.splits import bucket, splits_by_groups
from taglm_core.errors import DataError
from taglm_protein import splits
from taglm_protein.generated import task_sequences

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


@pytest.fixture(scope="module")
def rows():
    """Generated sequences, among them families of copies."""
    return task_sequences(seed=0, size=1200)["sequence"]


def test_keys_are_those_of_the_embedded_backbone(rows):
    """The backbone never saw bucket 0 of exactly these keys."""
    path = Path(__file__).parents[2] / "nano" / "train" / "buckets.py"
    spec = importlib.util.spec_from_file_location("buckets", path)
    buckets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(buckets)
    some = [*rows[:200], "M", "MKT", "MKTA", "MKTAY"]
    assert splits.cluster_keys(some) == [buckets.protein_key(row) for row in some]


@pytest.mark.parametrize(
    ("row", "key", "number"),
    [(UBIQUITIN, "protein:AKIQD", 0), ("MKTAY", "protein:MKTAY", 2), ("MK", "protein:MK", 1)],
)
def test_keys_and_buckets_are_fixed(row, key, number):
    """A changed key would move proteins into or out of the test bucket."""
    assert splits.cluster_keys([row]) == [key]
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    assert int.from_bytes(digest, "big") % 10 == number == bucket(key)


def largest_share_by_hand(row, others):
    """Return the largest share of common 5-mers, written down without any index."""
    mine = {row[i : i + 5] for i in range(len(row) - 4)}
    theirs = [{other[i : i + 5] for i in range(len(other) - 4)} for other in others]
    return max(len(mine & held) / min(len(mine), len(held)) for held in theirs)


def test_largest_shares_are_what_counting_gives(rows):
    """The index is only faster."""
    found = splits.largest_shares(rows[:40], rows[40:240])
    assert found.tolist() == [largest_share_by_hand(row, rows[40:240]) for row in rows[:40]]
    assert found.max() > 0.5


def test_no_two_parts_share_more_than_the_stated_share(rows):
    """The promise of the split, between each two parts."""
    parts = np.array(splits.cluster_splits({"sequence": rows}))
    of = {part: [rows[i] for i in np.flatnonzero(parts == part)] for part in set(parts)}
    assert min(map(len, of.values())) > 30
    for one, other in (("test", "train"), ("test", "valid"), ("valid", "train")):
        assert splits.largest_shares(of[one], of[other]).max() <= splits.MAX_SHARED


def test_buckets_alone_would_break_the_promise(rows):
    """The test above can fail: keys divide some families."""
    parts = np.array(splits_by_groups(splits.cluster_keys(rows)))
    of = {part: [rows[i] for i in np.flatnonzero(parts == part)] for part in set(parts)}
    assert splits.largest_shares(of["test"], of["train"]).max() > 0.3


def test_test_rows_come_from_the_test_bucket(rows):
    """Nothing that the backbone or stage 1 may have read is tested."""
    parts = splits.cluster_splits({"sequence": rows})
    keys = splits.cluster_keys(rows)
    assert {bucket(key) for key, part in zip(keys, parts, strict=True) if part == "test"} == {0}
    assert {bucket(key) for key, part in zip(keys, parts, strict=True) if part == "valid"} == {1}


def test_chains_of_relatives_stay_together(monkeypatch):
    """A relative of a relative that was moved is moved as well."""
    monkeypatch.setattr(
        splits, "splits_by_groups", lambda keys: ["train", *["test"] * 3, "valid"][: len(keys)]
    )
    pieces = ["ACDEFGHIKL", "MNPQRSTVWY", "LKIHGFEDCA", "YWVTSRQPNM", "WACWDWEWFW"]
    chain = [pieces[0] + pieces[1], pieces[1] + pieces[2], pieces[2] + pieces[3], "G" * 30]
    parts = splits.cluster_splits({"sequence": [*chain, pieces[4]]})
    assert parts == ["train", "train", "train", "test", "valid"]


def test_the_result_does_not_depend_on_chunks_or_order(rows, monkeypatch):
    """Parts belong to the proteins."""
    few = rows[:400]
    parts = splits.cluster_splits({"sequence": few})
    assert splits.cluster_splits({"sequence": few[::-1]}, seed=5)[::-1] == parts
    monkeypatch.setattr(splits, "_CHUNK_ROWS", 7)
    monkeypatch.setattr(splits, "_MAX_MATCHES", 50)
    assert splits.cluster_splits({"sequence": few}) == parts


def test_equal_rows_and_short_rows_have_parts():
    """Repeated rows share their part; fewer than five residues are no obstacle."""
    parts = splits.cluster_splits({"sequence": ["MK", UBIQUITIN, "MK", UBIQUITIN, "M", "MKTAY"]})
    assert len(parts) == 6
    assert (parts[0], parts[1]) == (parts[2], parts[3])
    assert splits.cluster_splits({"sequence": []}) == []


def test_short_sequences_have_no_kmer_of_long_ones():
    """Codes of short k-mers cannot be those of whole ones."""
    assert len(splits.kmer_set("MKTAYI")) == 2
    assert not set(splits.kmer_set("AAAA")) & set(splits.kmer_set("AAAAAA"))


def test_several_columns_need_a_sequence():
    """A task of two domains is split by its protein; without one the message says so."""
    columns = {"smiles": ["C", "CC"], "sequence": ["MKTAY", "MK"]}
    assert len(splits.cluster_splits(columns)) == 2
    with pytest.raises(DataError, match="needs the field 'sequence'"):
        splits.cluster_splits({"smiles": ["C"], "text": ["a"]})


def test_no_two_folds_share_more_than_the_stated_share(rows, monkeypatch):
    """Relatives of any protein are in its own fold, through chains too, whatever the chunks."""
    groups = splits.cluster_groups(rows)
    folds = folds_of(groups, 4, 0, 1, "x")
    for fold in range(4):
        inside = [row for row, own in zip(rows, folds, strict=True) if own == fold]
        outside = [row for row, own in zip(rows, folds, strict=True) if own != fold]
        assert inside
        assert splits.largest_shares(inside, outside).max() <= splits.MAX_SHARED
    by_key = folds_of(splits.cluster_keys(rows), 4, 0, 1, "x")
    inside = [row for row, own in zip(rows, by_key, strict=True) if own == 0]
    outside = [row for row, own in zip(rows, by_key, strict=True) if own != 0]
    assert splits.largest_shares(inside, outside).max() > splits.MAX_SHARED
    monkeypatch.setattr(splits, "_CHUNK_ROWS", 7)
    assert splits.cluster_groups(rows) == groups
    again = splits.cluster_groups(rows[::-1])[::-1]
    assert again == groups
