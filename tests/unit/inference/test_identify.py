"""Ranking domains by likelihood: bits, what cannot be encoded, margin and limits."""

import math

import numpy as np
import pytest
import torch
import toy_plugin
from artifacts import tag_artifact

from taglm_core.errors import DataError
from taglm_core.inference.domains import TrainedDomain
from taglm_core.inference.identify import (
    NONE,
    UNSURE,
    Calibration,
    Typical,
    bits_per_byte,
    calibrate,
    decide,
    num_bytes,
    ranking,
)
from taglm_core.model.likelihood import DomainSoftmax
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.testing import tiny_backbone

ROWS = ["abc", "0110", "xyz", ""]


@pytest.fixture
def domains(toy_registry):
    """Return letters and digits with tags on one tiny backbone."""
    model = TaggedModel(tiny_backbone())
    artifact = tag_artifact(model.backbone)
    made = []
    for tag, encoder in (
        ("Letters", toy_plugin.LettersEncoder()),
        ("Digits", StrictDigits()),
    ):
        found = toy_registry.domains.get(tag)
        model.add_table(found.name, symbol_rows(model.backbone, encoder.spellings))
        model.add_tag(found.name, initial_tag(model.backbone, found.name, 4, "vocabulary", 0))
        softmax = DomainSoftmax.of(model.backbone, encoder)
        made.append(TrainedDomain(found, encoder, model, softmax, artifact))
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
    bits = bits_per_byte(domains, ROWS, max_tokens=16)
    assert np.isinf(bits).tolist() == [[False, True], [True, False], [True, True], [True, True]]
    names = [item.name for item in domains]
    said = [v.domain for v in decide(bits, num_bytes(ROWS), names, Calibration(margin=0.5))]
    assert said == ["toy/Letters", "toy/Digits", NONE, NONE]
    assert ranking(bits[0], names)[1] == {"domain": "toy/Digits", "bits_per_byte": None}


def test_a_row_costs_the_same_in_any_batch(domains):
    """Longer neighbors change nothing."""
    alone = bits_per_byte(domains, ["abc"])
    beside = bits_per_byte(domains, ["a" * 40, "abc", "01" * 30])
    assert alone[0] == pytest.approx(beside[1], rel=1e-5)


def test_the_margin_is_the_smallest_that_keeps_what_is_right():
    """Wrong rows with a small lead are let go, and rows beyond the limit are none of these."""
    right = [[1.0, 2.0]] * 98
    wrong = [[1.05, 1.0]] * 2
    bits, sizes = np.array(right + wrong), np.full(100, 10)
    held = calibrate(bits, sizes, [0] * 100, ["p", "q"], confidence=0.99, inside=1.0)
    assert held.margin == pytest.approx(10.0)  # bits of the row: ten bytes, one bit each
    assert held.accuracy == pytest.approx(0.98)
    assert set(held.limits) == {"p"}
    assert held.accepted == pytest.approx(0.98)
    rows = np.array([[1.0, 2.0], [1.0, 1.5], [1.5, 9.0], [3.0, 1.0], [1.0, np.inf]])
    said = [v.domain for v in decide(rows, np.full(5, 10), ["p", "q"], held)]
    assert said == ["p", UNSURE, NONE, "q", "p"]


def test_a_long_row_needs_a_smaller_lead_in_each_byte():
    """Half a bit a byte leads by 5 bits over 10 bytes and by 50 over 100."""
    held = Calibration(margin=20.0)
    said = decide(np.array([[1.0, 1.5], [1.0, 1.5]]), np.array([10, 100]), ["p", "q"], held)
    assert [v.domain for v in said] == [UNSURE, "p"]
    assert [v.margin for v in said] == pytest.approx([5.0, 50.0])


def test_what_is_typical_depends_on_the_length():
    """Short rows cost more and differ more; a long row has to be close to the mean of long ones."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(10, 400, 4000)
    bits = 2.0 + 8.0 / sizes + rng.normal(size=4000) * np.sqrt(0.01 + 3.0 / sizes)
    usual = Typical.of(bits, sizes, 0.99)
    assert usual.level == pytest.approx(2.0, abs=0.03)
    assert usual.start == pytest.approx(8.0, abs=1.0)
    assert usual.between == pytest.approx(0.01, abs=0.004)
    assert usual.within == pytest.approx(3.0, abs=0.4)
    assert usual.most == pytest.approx(2.33, abs=0.25)
    strange = usual.excess(np.array([2.9, 2.9]), np.array([12, 400]))
    assert strange[0] < usual.most < strange[1]


def test_few_rows_have_one_limit_for_all_lengths():
    """A fit to the length would be worth nothing."""
    usual = Typical.of(np.array([1.0, 2.0, 3.0]), np.array([5, 50, 500]), 1.0)
    assert (usual.start, usual.within) == (0.0, 0.0)
    excess = usual.excess(np.array([3.0, 3.1]), np.array([7, 7]))
    assert excess[0] == pytest.approx(usual.most)
    assert excess[1] > usual.most


def test_a_margin_of_nought_when_everything_is_right():
    """Nothing is let go without need."""
    bits = np.array([[1.0, 2.0], [2.0, 1.9]])
    assert calibrate(bits, np.array([9, 9]), [0, 1], ["p", "q"]).margin == 0
    with pytest.raises(DataError, match="no validation rows"):
        calibrate(np.zeros((0, 2)), np.zeros(0), [], ["p", "q"])


def test_a_single_domain_has_no_second():
    """The limit alone decides."""
    held = calibrate(np.array([[1.0], [1.2]]), np.array([9, 9]), [0, 0], ["p"], inside=1.0)
    verdicts = decide(np.array([[1.1], [1.3]]), np.array([9, 9]), ["p"], held)
    assert [v.domain for v in verdicts] == ["p", NONE]
    assert verdicts[0].margin is None
