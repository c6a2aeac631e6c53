"""Tags of ranges of a property: trained behind the domain tag, and asked for in a draw."""

import numpy as np
import pytest
import torch
import toy_plugin
from artifacts import tag_artifact

from taglm_core.errors import ConfigError, DataError, UnknownNameError
from taglm_core.inference.conditions import (
    add_conditions,
    condition_report,
    find_property,
    place_of,
)
from taglm_core.inference.domains import TrainedDomain
from taglm_core.inference.drawing import draw
from taglm_core.inference.sample import check
from taglm_core.model.likelihood import DomainSoftmax, symbol_nats
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.plugins import load_registry
from taglm_core.progress import Silent
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone
from taglm_core.training.conditions import ConditionSettings, ranges_of, train_condition


def letters(registry):
    """Return the letters with a tag on a tiny random backbone."""
    backbone, encoder = tiny_backbone("llama"), toy_plugin.LettersEncoder()
    artifact = tag_artifact(
        backbone, toy__Letters=initial_tag(backbone, "toy/Letters", 4, "vocabulary", 0)
    )
    model = TaggedModel(backbone)
    model.add_table("toy/Letters", symbol_rows(backbone, encoder.spellings))
    model.add_tag("toy/Letters", artifact.tag("toy/Letters"))
    found = registry.domains.get("Letters")
    return TrainedDomain(found, encoder, model, DomainSoftmax.of(backbone, encoder), artifact)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a store with the tags of two ranges of the share of a, and what they were made of."""
    toy_registry = load_registry(only=(), extra=[("toy", toy_plugin)])
    trained = letters(toy_registry)
    rng = np.random.default_rng(0)
    rows = [
        "".join(rng.choice(list("abc"), 6, p=p))
        for p in ([0.9, 0.05, 0.05], [0, 0.5, 0.5])
        for _ in range(60)
    ]
    rng.shuffle(rows)
    name, computed = find_property(trained, toy_registry, "Share_A")
    before = trained.model.tags["toy/Letters"].clone()
    parts = (rows[:100], rows[100:])
    values = tuple(computed.values(part) for part in parts)
    artifact, fingerprint, readme = train_condition(
        trained, name, parts, values, ConditionSettings(bins=2, max_steps=25), "made", Silent()
    )
    assert torch.equal(trained.model.tags["toy/Letters"], before)
    store = TagStore(tmp_path_factory.mktemp("home"))
    key = trained.model.backbone.fingerprint().key
    store.save(key, "toy/Letters+share_a", fingerprint, artifact, readme)
    return store, artifact, rows


def test_each_range_has_its_own_tag_that_tells_its_rows(stored):
    """Both are better than the domain tag alone on held-out rows of their range."""
    _, artifact, _ = stored
    record = artifact.config.tags["toy/Letters+share_a"]
    nats = record.lineage.held_out_nats_per_symbol
    assert nats["tag"] < nats["domain_tag"] - 0.1
    low, high = artifact.tag("toy/Letters+share_a").chunk(2)
    assert not torch.equal(low, high)


def test_rows_are_drawn_in_the_range_that_is_asked_for(stored, toy_registry):
    """The share in the upper range rises when it is asked for and falls when the lower one is."""
    store, _, corpus = stored
    shares = {}
    for value in ("0.9", "0.0"):
        trained = letters(toy_registry)
        (asked,) = add_conditions(trained, [f"share_a={value}"], toy_registry, store)
        canonical, _ = check(trained, draw(trained, 200, max_length=12))
        rows = [row for row in canonical if row is not None]
        (report,) = condition_report([asked], rows, corpus)
        assert report["corpus_in_range"] == pytest.approx(0.5, abs=0.1)
        shares[value] = report["in_range"]
    assert shares["0.9"] > 0.6
    assert shares["0.0"] > 0.6


def test_guidance_counts_a_condition_more_often(stored, toy_registry):
    """Symbols are drawn from log p plus guidance times what the condition changes."""
    trained = letters(toy_registry)
    add_conditions(trained, ["share_a=0.9"], toy_registry, stored[0])
    shares = {}
    for guidance in (1.0, 3.0):
        rows = draw(trained, 400, max_length=6, guidance=guidance).rows
        shares[guidance] = np.array([sum(row[0] == c for row in rows) / 400 for c in "abc"])
    logs = []
    for conditioned in (True, False):
        before = trained.before(conditioned)
        rows = [np.array([k]) for k in range(3)]
        nats, owner = symbol_nats(trained.model, trained.softmax, before, rows, trained.base)
        first = torch.stack([-nats[owner == k][0] for k in range(3)]).double()
        logs.append(first.detach().numpy())
    for guidance, share in shares.items():
        expected = np.exp(logs[1] + guidance * (logs[0] - logs[1]))
        expected /= expected.sum()
        assert (abs(share - expected) < 4 * np.sqrt(expected / 400) + 1e-3).all()


@pytest.mark.parametrize(
    ("wanted", "error", "match"),
    [
        (["share_a"], ConfigError, "write a property and a number"),
        (["share_a=much"], ConfigError, "write a property and a number"),
        (["share_a=nan"], ConfigError, "write a property and a number"),
        (["shar_a=1"], UnknownNameError, "Did you mean 'share_a'"),
        (["share_a=1", "SHARE_A=0"], ConfigError, "given twice"),
    ],
)
def test_conditions_that_cannot_be_met(wanted, error, match, stored, toy_registry):
    """Each says what is wrong and what would be right."""
    with pytest.raises(error, match=match):
        add_conditions(letters(toy_registry), wanted, toy_registry, stored[0])


def test_a_condition_needs_tags_behind_the_same_domain_tag(stored, toy_registry, tmp_path):
    """Without any, or with those of another domain tag, the message says how to train them."""
    with pytest.raises(UnknownNameError, match="taglm condition Letters share_a"):
        add_conditions(letters(toy_registry), ["share_a=1"], toy_registry, TagStore(tmp_path))
    other = letters(toy_registry)
    other.artifact.config.tags["toy/Letters"] = tag_record_of(other, "another")
    with pytest.raises(UnknownNameError, match="for this <toy/Letters>"):
        add_conditions(other, ["share_a=1"], toy_registry, stored[0])
    plain = letters(toy_registry)
    plain.artifact = None
    with pytest.raises(ConfigError, match="Leave out --no-tag"):
        add_conditions(plain, ["share_a=1"], toy_registry, stored[0])


def tag_record_of(trained, fingerprint):
    """Return the record of the domain tag under another fingerprint."""
    import attrs

    return attrs.evolve(trained.artifact.config.tags["toy/Letters"], fingerprint=fingerprint)


def test_ranges_hold_equal_numbers_of_rows():
    """Values that recur join ranges; too few rows are an error."""
    edges = ranges_of(np.arange(100.0), 4, "x")
    assert np.bincount(place_of(np.arange(100.0), edges)).tolist() == [25, 25, 25, 25]
    assert ranges_of(np.array([1.0] * 90 + [2.0] * 10), 5, "x") == []
    with pytest.raises(DataError, match="too few for 4 ranges"):
        ranges_of(np.arange(30.0), 4, "x")
