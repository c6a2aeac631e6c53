"""Folds and shares: related rows stay together, sizes are as asked, seeds repeat."""

import collections

import numpy as np
import pytest

from taglm_core.data.folds import (
    folds_of,
    random_by_share,
    read_shares,
    splits_by_share,
    splits_of_fold,
)
from taglm_core.data.splits import splits_by_groups
from taglm_core.errors import ConfigError, DataError

KEYS = [f"group {int(i**1.5) % 61}" for i in range(400)]


def test_folds_keep_groups_together_and_are_of_one_size():
    """The largest fold has at most a group more than the smallest."""
    folds = folds_of(KEYS, 5, 0, 1, "x")
    place = {}
    for key, fold in zip(KEYS, folds.tolist(), strict=True):
        assert place.setdefault(key, fold) == fold
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= max(collections.Counter(KEYS).values())
    assert (folds == folds_of(KEYS, 5, 0, 1, "x")).all()
    assert (folds != folds_of(KEYS, 5, 0, 2, "x")).any()
    assert (folds != folds_of(KEYS, 5, 1, 1, "x")).any()
    with pytest.raises(DataError, match="and there are 2"):
        folds_of(["a", "b", "a"], 3, 0, 1, "x")


def test_a_fold_is_test_and_others_choose_the_model():
    """Valid holds whole groups, about an eighth of the rows outside the test fold."""
    folds = folds_of(KEYS, 5, 0, 1, "x")
    for fold in range(5):
        splits = splits_of_fold(folds, KEYS, fold, 0, 1)
        assert [s == "test" for s in splits] == (folds == fold).tolist()
        held = {key: {s for k, s in zip(KEYS, splits, strict=True) if k == key} for key in KEYS}
        assert all(len(found) == 1 for found in held.values())
        rest = len(KEYS) - splits.count("test")
        assert 0.05 * rest < splits.count("valid") <= 0.125 * rest


def test_shares_extend_the_fixed_buckets():
    """A tenth each gives the splits without shares; a larger test split holds the smaller."""
    keys = [f"key {i}" for i in range(3000)]
    assert splits_by_share(keys, (0.8, 0.1, 0.1)) == splits_by_groups(keys)
    wide = splits_by_share(keys, (0.5, 0.2, 0.3))
    counts = collections.Counter(wide)
    assert counts["test"] == pytest.approx(900, rel=0.1)
    assert counts["valid"] == pytest.approx(600, rel=0.15)
    for before, after in zip(splits_by_groups(keys), wide, strict=True):
        assert before != "test" or after == "test"
    drawn = random_by_share(keys, (0.5, 0.2, 0.3), 1)
    assert collections.Counter(drawn) == {"train": 1500, "valid": 600, "test": 900}


@pytest.mark.parametrize("given", [["0.8", "0.2"], ["0.8", "0.1", "0.3"], ["a"], ["1", "0", "0"]])
def test_shares_that_are_none(given):
    """The message shows how to write them."""
    with pytest.raises(ConfigError, match=r"such as \[0.8, 0.1, 0.1\]"):
        read_shares(given)
    assert read_shares(["80,10,10"]) == read_shares(("0.8", "0.1", "0.1")) == (0.8, 0.1, 0.1)
