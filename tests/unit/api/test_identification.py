"""What `taglm identify --label` counts."""

import pytest

from taglm_core.api.identification import _scored
from taglm_core.inference.identify import NONE, UNSURE, Verdict


def test_right_wrong_unsure_and_refused_are_told_apart(toy_registry):
    """Rows of a domain by verdict and by likeliest domain; rows of no domain should be refused."""
    letters, digits = "toy/Letters", "toy/Digits"
    verdicts = [
        Verdict(letters, letters, 1.0, 9.0),
        Verdict(digits, digits, 1.0, 9.0),
        Verdict(UNSURE, letters, 1.0, 0.1),
        Verdict(NONE, letters, 9.0, 9.0),
        Verdict(NONE, None, None, None),
        Verdict(digits, digits, 1.0, 9.0),
    ]
    labels = ["Letters", "Letters", letters, "Letters", "none", ""]
    found = _scored(labels, verdicts, toy_registry)
    assert found["rows"] == 6
    own = found["of_domains"]
    assert own["rows"] == 4
    assert own["accuracy_of_best"] == pytest.approx(3 / 4)
    shares = ("accepted_and_right", "accepted_and_wrong", "unsure", "none")
    assert [own[name] for name in shares] == [0.25, 0.25, 0.25, 0.25]
    strange = found["of_none"]
    assert strange["rows"] == 2
    assert [strange[name] for name in shares] == [0.0, 0.5, 0.0, 0.5]
    assert found["wrong"] == {"toy/Letters taken for toy/Digits": 1}
