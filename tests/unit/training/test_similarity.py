"""What a predictor keeps of its training rows, and where the threshold lies."""

import types

import attrs
import numpy as np
import pytest

from taglm_core.errors import PluginError
from taglm_core.training.similarity import fit_similarity

FAR = ["ccc", "cc", "cccc"]
NEAR = ["abab", "aba", "bab", "abba"]


def plan(registry, splits, symmetric=(), fields=("letters",)):
    """Return as much of a plan as the fit reads; splits gives the letters of each field's rows."""
    rows = [(split, row) for split, values in splits.items() for row in values]
    columns = {field: [row[k] for _, row in rows] for k, field in enumerate(fields)}
    names = np.array([split for split, _ in rows])
    domain = registry.domains.get("toy/Letters")
    return types.SimpleNamespace(
        registry=registry,
        config=types.SimpleNamespace(seed=0),
        task=types.SimpleNamespace(
            span_fields=fields, symmetric=symmetric, domain_of_field=lambda field: domain
        ),
        rows=types.SimpleNamespace(
            fields=columns, of_split=lambda split: np.flatnonzero(names == split)
        ),
    )


def one(*values):
    """Return rows of one field."""
    return [(value,) for value in values]


def test_rows_held_out_set_the_threshold_where_they_are_less_like_training_rows(printed_registry):
    """Scores of unseen scaffolds speak for rows as far away as those, and no farther."""
    near = one(*NEAR)
    reader = fit_similarity(plan(printed_registry, {"train": near, "test": one("acb", *NEAR)}))
    (record,) = reader.records
    assert record.basis == "valid and test"
    assert record.threshold == 0.2  # a of a, ac, cb and a, ab, ba
    columns = reader.read({"letters": ["acb", "ccc"]}, [0, 1])
    assert columns["unlike_training"] == [False, True]


def test_training_rows_set_the_threshold_where_rows_held_out_are_the_same(printed_registry):
    """A split at random of few proteins would call every other protein unlike."""
    near = one(*NEAR)
    (record,) = fit_similarity(plan(printed_registry, {"train": near, "test": near})).records
    assert record.basis == "train"
    assert 0 < record.threshold < 1
    assert record.kept == record.distinct == len(NEAR)
    (alone,) = fit_similarity(plan(printed_registry, {"train": one("ab")})).records
    assert (alone.threshold, alone.kept) == (1.0, 1)


def test_fields_that_change_places_share_their_training_rows(printed_registry):
    """What stood on the left in training is known on the right."""
    pairs = [(a, b) for a in NEAR for b in FAR]
    fields = ("left", "right")
    both = plan(printed_registry, {"train": pairs}, symmetric=(fields,), fields=fields)
    reader = fit_similarity(both)
    assert [record.fields for record in reader.records] == [fields]
    assert set(reader.tensors) == {"left.positions", "left.sizes"}
    columns = reader.read({"left": ["ccc"], "right": ["abab"]}, [0])
    assert columns["training_similarity.left"] == columns["training_similarity.right"] == [1.0]
    apart = fit_similarity(plan(printed_registry, {"train": pairs}, fields=fields))
    assert apart.read({"left": ["ccc"], "right": ["abab"]}, [0])["unlike_training"] == [True]


def test_a_fingerprint_that_is_too_wide_is_an_error(printed_registry, monkeypatch):
    """Its positions would not fit into what is kept."""
    monkeypatch.setattr("taglm_core.training.similarity.MOST_WIDTH", 8)
    with pytest.raises(PluginError, match="12 positions; at most 8"):
        fit_similarity(plan(printed_registry, {"train": one(*NEAR)}))


def test_domains_without_fingerprints_are_not_compared(toy_registry):
    """Their predictions have no such column."""
    letters = toy_registry.domains.get("toy/Letters").spec
    assert attrs.asdict(letters)["fingerprint"] is None
    assert fit_similarity(plan(toy_registry, {"train": one(*NEAR)})) is None
