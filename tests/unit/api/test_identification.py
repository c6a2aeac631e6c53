"""What `taglm identify --label` counts."""

import pytest
import torch
from artifacts import tag_artifact

from taglm_core.api import identification
from taglm_core.api.identification import _scored, identify
from taglm_core.errors import DataError
from taglm_core.inference.identify import EMPTY, NONE, UNSURE, Calibration, Verdict
from taglm_core.store.tagstore import TagStore
from taglm_core.testing import tiny_backbone


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


@pytest.mark.parametrize(
    ("texts", "said"),
    [([""], "the text is empty"), ([" ", None, "\u3000"], "all 3 texts are empty")],
)
def test_empty_texts_alone_are_an_error(texts, said):
    """Before a backbone is loaded: they are of no domain."""
    with pytest.raises(DataError, match=f"{said}. Give a text such as CCO."):
        identify(texts, backbone="none")


def test_an_empty_text_beside_others_is_called_so(toy_registry, monkeypatch):
    """It is not one that no domain explains."""
    backbone = tiny_backbone()
    made = tag_artifact(backbone, toy__Letters=torch.randn(2, backbone.hidden_size))
    TagStore().save(backbone.fingerprint().key, "toy/Letters", "1a2b", made, "")
    monkeypatch.setattr(identification, "load_registry", lambda: toy_registry)
    monkeypatch.setattr(identification, "load_backbone", lambda *_: backbone)
    monkeypatch.setattr(identification, "_calibration", lambda *_: Calibration())
    found = identify({"text": ["abc", "  ", "abca"], "truth": ["Letters"] * 3}, label="truth")
    verdicts = [row["domain"] for row in found.report["rows"]]
    assert verdicts == ["toy/Letters", EMPTY, "toy/Letters"]
    assert found.columns["margin"][1] is None
    assert found.report["scored"]["of_domains"]["none"] == pytest.approx(1 / 3)
