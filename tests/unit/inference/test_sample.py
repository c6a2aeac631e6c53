"""Drawing from a domain: exact softmax, batches, and what is said about the rows."""

import numpy as np
import pytest
import torch
import toy_plugin
from artifacts import tag_artifact

from taglm_core.errors import UnknownNameError
from taglm_core.inference.domains import TrainedDomain, load_domain
from taglm_core.inference.drawing import Drawn, draw
from taglm_core.inference.sample import check, properties, summary
from taglm_core.model.likelihood import DomainSoftmax, calibrated, symbol_nats
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone


def domain(registry, architecture="llama", tag=True, text=False):
    """Return the letters (or the same domain as text) on a tiny random backbone."""
    import attrs

    found = registry.domains.get("Letters")
    encoder = None if text else toy_plugin.LettersEncoder()
    if text:
        spec = attrs.evolve(found.spec, encoder="text", canonical=None)
        found = attrs.evolve(found, spec=spec)
    model = TaggedModel(tiny_backbone(architecture))
    if encoder is not None:
        model.add_table(found.name, symbol_rows(model.backbone, encoder.spellings))
    model.add_tag(found.name, initial_tag(model.backbone, found.name, 4, "vocabulary", 0))
    artifact = tag_artifact(model.backbone) if tag else None
    softmax = DomainSoftmax.of(model.backbone, encoder)
    return TrainedDomain(found, encoder, model, softmax, artifact)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma"])
def test_the_batch_changes_nothing(architecture, text, toy_registry):
    """Rows drawn three at a time equal those drawn together, and another seed gives others."""
    trained = domain(toy_registry, architecture, text=text)
    together = draw(trained, 7, max_length=12, seed=1)
    assert draw(trained, 7, max_length=12, seed=1, batch_size=3) == together
    assert draw(trained, 7, max_length=12, seed=2).rows != together.rows
    if not text:
        assert all(set(row) <= set("abc") and 1 <= len(row) <= 12 for row in together.rows)


def test_rows_that_reach_the_limit_are_not_finished(toy_registry):
    """Shorter rows ended by themselves."""
    drawn = draw(domain(toy_registry), 60, max_length=3)
    assert {len(row) for row, done in zip(*_pairs(drawn), strict=True) if not done} <= {3}
    assert any(drawn.is_finished)
    assert not all(drawn.is_finished)


def _pairs(drawn):
    return drawn.rows, drawn.is_finished


def test_frequencies_follow_the_softmax(toy_registry):
    """The first two symbols of 3,000 rows have the probabilities of the teacher-forced softmax."""
    trained = domain(toy_registry)
    drawn = draw(trained, 3000, max_length=3, batch_size=3000)
    rows = [np.array([0]), np.array([1]), np.array([2])]
    with torch.no_grad():
        nats, owner = symbol_nats(
            trained.model, trained.softmax, trained.before(), rows, trained.base
        )
    first = (-nats[[int((owner == k).nonzero()[0]) for k in range(3)]]).exp()
    first = first / first.sum()  # the end cannot come first
    counts = torch.tensor([sum(row[0] == "abc"[k] for row in drawn.rows) for k in range(3)]) / 3000
    assert ((counts - first).abs() < 4 * (first * (1 - first) / 3000).sqrt() + 1e-6).all()
    ends = (-nats[[int((owner == k).nonzero()[1]) for k in range(3)]]).exp()
    for k in range(3):
        begun = [row for row in drawn.rows if row[0] == "abc"[k]]
        share = sum(len(row) == 1 for row in begun) / max(len(begun), 1)
        spread = float((ends[k] * (1 - ends[k]) / max(len(begun), 1)).sqrt())
        assert abs(share - float(ends[k])) < 4 * spread + 1e-6


def test_without_its_tag_a_domain_starts_from_the_end_of_a_text(toy_registry):
    """Something has to stand before the first symbol; the draws differ from those with the tag."""
    plain, tagged = domain(toy_registry, tag=False), domain(toy_registry)
    assert plain.before().tolist() == [257]
    assert len(tagged.before()) == 4
    assert draw(plain, 9, max_length=8).rows != draw(tagged, 9, max_length=8).rows


def test_validity_uniqueness_and_novelty(toy_registry):
    """Each is a share of what the one before has left."""
    trained = domain(toy_registry)
    drawn = Drawn(["abc", "ABC", "cz", "ca", "aaa"], [True, True, True, True, False])
    canonical, errors = check(trained, drawn)
    assert canonical == ["abc", "abc", None, "ca", None]
    assert errors == [None, None, "a z is not allowed", None, "cut before its end"]
    report = summary(trained, drawn, canonical, ["abc", "b"])
    assert report["valid"] == pytest.approx(3 / 5)
    assert report["unique"] == pytest.approx(2 / 3)
    assert report["novel"] == pytest.approx(1 / 2)
    assert report["finished"] == pytest.approx(4 / 5)
    assert summary(trained, drawn, canonical, None)["novel"] is None


def test_properties_come_from_tasks_with_computed_labels(toy_registry):
    """Only targets that the plugin computes from this domain are shown."""
    found = properties(domain(toy_registry), ["aab", "bbb"], ["aaaa"], toy_registry)
    assert list(found) == ["share_a"]
    assert found["share_a"]["drawn"]["mean"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["share_a"]["corpus"]["mean"] == 1
    assert sum(found["share_a"]["drawn"]["counts"]) == 2
    assert properties(domain(toy_registry), [], [], toy_registry)["share_a"]["edges"] == []


def test_a_domain_without_a_trained_tag_says_how_to_get_one(toy_registry, tmp_path):
    """The message names store, tag and backbone."""
    with pytest.raises(UnknownNameError, match="no trained tag <toy/Letters> .* `taglm run`"):
        load_domain("Letters", tiny_backbone(), toy_registry, TagStore(tmp_path))


def test_a_symbol_that_the_corpus_lacks_is_hardly_drawn(toy_registry):
    """Calibrated on rows without a c, the softmax draws the symbols as often as they occur."""
    trained = domain(toy_registry)
    rows = [np.array([0, 1, 0, 1, 1]), np.array([1, 0]), np.array([0, 0, 1])] * 20
    counts = np.array([100, 100, 0, 60])
    plain = draw(trained, 200, max_length=8)
    trained.softmax = calibrated(
        trained.model, trained.softmax, trained.before(), rows, trained.base, counts
    )
    drawn = draw(trained, 200, max_length=8)
    assert "".join(plain.rows).count("c") > 100
    assert "".join(drawn.rows).count("c") < 20
    assert trained.softmax.offsets[2] < -2
