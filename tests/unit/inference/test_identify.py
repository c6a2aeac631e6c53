"""Ranking domains by likelihood: bits, what cannot be encoded, margin and limits."""

import math

import numpy as np
import pytest
import torch
import toy_plugin

from taglm_core.errors import DataError
from taglm_core.inference.domains import TrainedDomain
from taglm_core.inference.identify import (
    NONE,
    UNSURE,
    bits_per_byte,
    calibrate,
    decide,
    ranking,
)
from taglm_core.model.likelihood import DomainSoftmax
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.store.artefact import Artefact
from taglm_core.testing import tiny_backbone


@pytest.fixture
def domains(toy_registry):
    """Return letters and digits with tags on one tiny backbone."""
    model = TaggedModel(tiny_backbone())
    artefact = Artefact(kind="tag", config={}, tensors={})
    made = []
    for tag, encoder in (
        ("Letters", toy_plugin.LettersEncoder()),
        ("Digits", StrictDigits()),
    ):
        found = toy_registry.domains.get(tag)
        model.add_table(found.name, symbol_rows(model.backbone, encoder.spellings))
        model.add_tag(found.name, initial_tag(model.backbone, found.name, 4, "vocabulary", 0))
        softmax = DomainSoftmax.of(model.backbone, encoder)
        made.append(TrainedDomain(found, encoder, model, softmax, artefact))
    return made


class StrictDigits(toy_plugin.DigitsEncoder):
    """Digits that refuse everything else."""

    def encode_batch(self, rows):
        """Encode; a row with another character is an error."""
        bad = [None if set(row) <= set("01") else "not a digit" for row in rows]
        kept = [row if error is None else "" for row, error in zip(rows, bad, strict=True)]
        return super().encode_batch(kept)._replace(errors=bad)


@torch.no_grad()
def test_bits_are_those_of_whole_forward_passes(domains):
    """Sum of -log2 p over symbols and end, divided by the bytes."""
    trained = domains[0]
    bits = bits_per_byte(domains, ["abca", "c"])
    model = trained.model
    for row, found in zip(["abca", "c"], bits[:, 0], strict=True):
        symbols = ["abc".index(char) for char in row]
        ids = torch.tensor([[*trained.before(), *(s + trained.base for s in symbols)]])
        states = model.backbone.hidden_states(
            model.embed(ids), None, torch.arange(ids.shape[1]).unsqueeze(0)
        )
        logs = trained.softmax.logits(states[0, 3:]).log_softmax(-1)
        total = -sum(float(logs[k, s]) for k, s in enumerate([*symbols, 3]))
        assert found == pytest.approx(total / math.log(2) / len(row), rel=1e-4)


def test_a_row_that_a_domain_cannot_encode_is_not_of_it(domains):
    """Alphabet and the domain's own check both say no; a row of no domain is none of these."""
    bits = bits_per_byte(domains, ["abc", "0110", "xyz", ""], max_tokens=16)
    assert np.isinf(bits).tolist() == [[False, True], [True, False], [True, True], [True, True]]
    names = [item.name for item in domains]
    said = [v.domain for v in decide(bits, names, 0.5, {})]
    assert said == ["toy/Letters", "toy/Digits", NONE, NONE]
    assert ranking(bits[0], names)[1] == {"domain": "toy/Digits", "bits_per_byte": None}


def test_a_row_costs_the_same_in_any_batch(domains):
    """Longer neighbours change nothing."""
    alone = bits_per_byte(domains, ["abc"])
    beside = bits_per_byte(domains, ["a" * 40, "abc", "01" * 30])
    assert alone[0] == pytest.approx(beside[1], rel=1e-5)


def test_the_margin_is_the_smallest_that_keeps_what_is_right():
    """Wrong rows with a small lead are let go, and rows beyond the limit are none of these."""
    right = [[1.0, 2.0]] * 98
    wrong = [[1.05, 1.0]] * 2
    bits = np.array(right + wrong)
    held = calibrate(bits, [0] * 100, ["p", "q"], confidence=0.99, inside=1.0)
    assert held.margin == pytest.approx(1.0)
    assert held.accuracy == pytest.approx(0.98)
    assert held.limits == {"p": 1.05}
    assert held.accepted == pytest.approx(0.98)
    rows = np.array([[1.0, 2.0], [1.0, 1.5], [1.5, 9.0], [3.0, 1.0], [1.0, np.inf]])
    said = [v.domain for v in decide(rows, ["p", "q"], held.margin, held.limits)]
    assert said == ["p", UNSURE, NONE, "q", "p"]


def test_a_margin_of_nought_when_everything_is_right():
    """Nothing is let go without need."""
    bits = np.array([[1.0, 2.0], [2.0, 1.9]])
    assert calibrate(bits, [0, 1], ["p", "q"]).margin == 0
    with pytest.raises(DataError, match="no validation rows"):
        calibrate(np.zeros((0, 2)), [], ["p", "q"])


def test_a_single_domain_has_no_second():
    """The limit alone decides."""
    held = calibrate(np.array([[1.0], [1.2]]), [0, 0], ["p"], inside=1.0)
    verdicts = decide(np.array([[1.1], [1.3]]), ["p"], held.margin, held.limits)
    assert [v.domain for v in verdicts] == ["p", NONE]
    assert verdicts[0].margin is None
