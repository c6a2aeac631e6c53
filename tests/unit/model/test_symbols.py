"""Symbol tables, tags and backbone facts."""

import pytest
import torch
from small_runs import spaced_backbone

from taglm_core.errors import BackboneError, ConfigError, UnknownNameError
from taglm_core.model.backbone_loading import load_backbone, locate
from taglm_core.model.lengths import check_lengths
from taglm_core.model.symbols import output_rows, symbol_rows
from taglm_core.model.tags import initial_tag
from taglm_core.plugins import load_registry
from taglm_core.testing import ARCHITECTURES, tiny_backbone

SPELLINGS = ("a", "b", "@", "@@", "ab", "ba", "aa", "Cl", "lC", "TH")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_two_symbols_share_a_row(architecture):
    """Spellings of several tokens, repeated or turned around, all get rows of their own."""
    rows = symbol_rows(tiny_backbone(architecture), SPELLINGS)
    distances = torch.cdist(rows, rows) + torch.eye(len(rows)) * 1e6
    assert float(distances.min()) > 1e-3


def test_a_symbol_of_one_token_is_what_the_embedding_module_returns():
    """Gemma scales inside its module; the table holds the scaled row."""
    backbone = tiny_backbone("gemma")
    token = backbone.tokenizer("a", add_special_tokens=False)["input_ids"]
    expected = backbone.embed(torch.tensor(token))[0].float()
    torch.testing.assert_close(symbol_rows(backbone, ("a",))[0], expected)
    raw = backbone.model.get_input_embeddings().weight[token[0]]
    assert not torch.allclose(raw.float(), expected)


def test_symbols_can_start_from_what_stands_after_a_space():
    """The token of " a", and the mean of both; a space that is its own token changes nothing."""
    backbone = spaced_backbone()
    ids = [backbone.tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", " a")]
    bare, spaced = (backbone.embed(torch.tensor(i))[0].float() for i in ids)
    assert [len(i) for i in ids] == [1, 1]
    assert not torch.allclose(bare, spaced)
    torch.testing.assert_close(symbol_rows(backbone, ("a",), "spaced")[0], spaced)
    torch.testing.assert_close(symbol_rows(backbone, ("a",), "mean")[0], (bare + spaced) / 2)
    assert torch.equal(symbol_rows(backbone, ("z",), "spaced"), symbol_rows(backbone, ("z",)))


def test_output_rows_repeat_the_head_for_single_tokens():
    """The logit of a symbol of one token is the LM's own logit of that token."""
    backbone = tiny_backbone("llama")
    states = torch.randn(3, 32)
    weight, bias = output_rows(backbone, ("a", "b"))
    ids = [backbone.tokenizer(s, add_special_tokens=False)["input_ids"][0] for s in "ab"]
    expected = backbone.logits(states)[:, [*ids, backbone.end_id]]
    torch.testing.assert_close(states @ weight.T + bias, expected, rtol=1e-4, atol=1e-5)


def test_the_starts_of_a_tag():
    """`mean` repeats one row of mean norm; `vocabulary` draws different rows by name and seed."""
    backbone = tiny_backbone("llama")
    mean = initial_tag(backbone, "t/A", 4, "mean", 0)
    assert torch.equal(mean, mean[:1].repeat(4, 1))
    norms = backbone.embedding_rows().norm(dim=1)
    torch.testing.assert_close(mean[0].norm(), norms.mean())
    drawn = initial_tag(backbone, "t/A", 4, "vocabulary", 0)
    assert len(torch.unique(drawn, dim=0)) == 4
    assert torch.equal(drawn, initial_tag(backbone, "t/A", 4, "vocabulary", 0))
    assert not torch.equal(drawn, initial_tag(backbone, "t/B", 4, "vocabulary", 0))
    with pytest.raises(ConfigError, match="mean, vocabulary or words"):
        initial_tag(backbone, "t/A", 4, "zeros", 0)


def test_fingerprints_tell_backbones_apart():
    """Same weights agree, other weights, shapes and tokenizers do not."""
    one = tiny_backbone("llama", seed=0).fingerprint()
    assert one.difference(tiny_backbone("llama", seed=0).fingerprint()) is None
    assert "other weights" in one.difference(tiny_backbone("llama", seed=1).fingerprint())
    assert "shape" in one.difference(tiny_backbone("qwen2").fingerprint())


def test_lengths_are_checked_against_positions_and_window():
    """Isolated prompts beyond a sliding window are refused, causal ones are not."""
    backbone = tiny_backbone("mistral")
    assert check_lengths([256, 257], backbone, True)[0] is None
    assert "takes 256" in check_lengths([257], backbone, False)[0]
    backbone.config.sliding_window = 64
    assert "window of 64" in check_lengths([65], backbone, True)[0]
    assert check_lengths([65], backbone, False) == [None]


def test_backbones_are_found_by_name_folder_or_hub_id(tmp_path, toy_backbone):
    """What is none of the three gets a message that offers all three."""
    registry = load_registry(only=())
    assert locate(str(toy_backbone), registry).path == str(toy_backbone)
    assert locate("owner/name", registry).path == "owner/name"
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackboneError, match="holds no config.json"):
        locate(str(tmp_path / "empty"), registry)
    with pytest.raises(UnknownNameError, match="A folder, a GGUF file or a Hub id"):
        locate("nothing", registry)
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(BackboneError, match="no weights"):
        load_backbone(str(tmp_path / "empty"), registry)


def test_a_tag_can_start_from_words():
    """The words' tokens over and over; without any the message names the tag."""
    backbone = tiny_backbone()
    ids = backbone.tokenizer("de:", add_special_tokens=False).input_ids
    made = initial_tag(backbone, "p/DE", 5, "words", 0, words="de:")
    wanted = [ids[i % len(ids)] for i in range(5)]
    assert torch.equal(made, backbone.embedding_rows()[torch.tensor(wanted)])
    with pytest.raises(ConfigError, match="<p/DE> has no words to start from"):
        initial_tag(backbone, "p/DE", 5, "words", 0)
