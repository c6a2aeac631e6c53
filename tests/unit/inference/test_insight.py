"""What a predictor looks at: attention and the geometry of tags."""

import numpy as np
import pytest
import torch
from small_runs import PLAIN, SHARE, run, write_table

from taglm_core.model.attention_weights import attention_of_suffix
from taglm_core.model.collate import collate


@pytest.fixture
def predictor(tmp_path, toy_registry, toy_backbone):
    """Train a predictor of letters for a step."""
    table = write_table(tmp_path)
    return run(tmp_path, toy_registry, toy_backbone, table, SHARE, PLAIN).predictor


def test_attention_is_shared_out_among_symbols_text_and_tags(predictor):
    """The weights of a row sum to 1, and each symbol of the field has one; a bad row has none."""
    good, bad = predictor.insight.attention(["abcab", "a?"])
    assert bad is None
    field = good["fields"]["letters"]
    assert field["symbols"] == list("abcab")
    assert field["domain"] == "toy/Letters"
    assert min(field["weights"]) >= 0
    rest = good["text"] + good["domain_tags"] + good["function_tag"]
    assert sum(field["weights"]) + rest == pytest.approx(1, abs=1e-5)
    assert 0 < good["function_tag"] < 1


def test_attention_of_a_suffix_equals_that_of_the_whole(predictor):
    """Running the end of a row on kept keys gives the weights of one whole pass."""
    model, backbone = predictor.task_model.model, predictor.task_model.model.backbone
    rows = predictor.task_model.assemble({"letters": ["abcab"]})
    prefix, suffix, row = (
        collate(rows, [0], False, only=only) for only in ("prefix", "suffix", "all")
    )
    found = attention_of_suffix(model, prefix, suffix)
    whole = attention_of_suffix(model, None, row)
    torch.testing.assert_close(found, whole[prefix.ids.shape[1] :], atol=1e-5, rtol=1e-4)
    assert backbone.model.config._attn_implementation == "sdpa"


def test_tags_lie_among_the_vocabulary(predictor):
    """Each token has its norm and its nearest words; its cosine with itself is 1."""
    geometry = predictor.insight.tag_geometry()
    tokens = geometry["tokens"]
    assert {token["tag"] for token in tokens} == set(predictor.tags)
    cosine = np.array(geometry["cosine"])
    assert cosine.shape == (len(tokens), len(tokens))
    np.testing.assert_allclose(np.diag(cosine), 1, atol=1e-5)
    for token in tokens:
        near = [word["cosine"] for word in token["nearest"]]
        assert near == sorted(near, reverse=True)
        assert token["norm"] > 0
