"""`taglm backbone`: what a backbone is and can do is known before a run with it."""

import json

import pytest
from small_runs import saved_backbone
from typer.testing import CliRunner

from taglm_core.cli.main import core_app
from taglm_core.errors import UnknownNameError
from taglm_core.model.backbone_facts import abilities, facts_of, weight_bytes
from taglm_core.testing import tiny_backbone


@pytest.fixture
def program(monkeypatch):
    """Return a function that calls the program in this process."""
    monkeypatch.setattr("taglm_core.model.backbone_facts._SECONDS", 0.0)
    return lambda *words: CliRunner().invoke(core_app(), [*words], catch_exceptions=False)


def test_show_measures_a_backbone(program, toy_backbone):
    """Size, memory, speed in both directions, and what works."""
    facts = json.loads(program("backbone", "show", str(toy_backbone), "--json").stdout)
    assert facts["architecture"] == "llama"
    assert (facts["hidden_size"], facts["layers"], facts["context"]) == (32, 2, 256)
    assert facts["cache_bytes"] == 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, width, fp32
    assert min(facts["speed"]["fp32"].values()) > 0
    assert facts["memory"]["fp32"] == 4 * facts["parameters"]
    assert {a["name"]: a["works"] for a in facts["abilities"]} == {
        "isolated spans": True,
        "reuse": True,
        "adapters": True,
        "text output": True,
    }


def test_show_measures_a_divided_backbone(program, tmp_path):
    """In each precision other layers lie elsewhere; one that does not fit is said to."""
    saved_backbone(tmp_path, num_hidden_layers=4)
    # embeddings and the layer that runs take 98, 82, 82 and 77 kB; a layer in nf4 takes 5
    words = ("backbone", "show", str(tmp_path), "--device", "cpu=83KB+disk")
    facts = json.loads(program(*words, "--json").stdout)
    assert facts["elsewhere"] == {"bf16": 4, "int8": 4, "nf4": 3}
    assert set(facts["speed"]) == {"bf16", "int8", "nf4"}
    assert set(facts["memory"]) == {"fp32", "bf16", "int8", "nf4"}
    table = program(*words).stdout
    assert "layers elsewhere" in table
    assert "does not fit" in table
    assert "3 of 4" in table


def test_show_as_a_table_and_of_a_gguf_file(program, tmp_path):
    """A person reads sizes with units, and the types in which a file stores its weights."""
    from gguf_files import wide_backbone, write_gguf

    file = write_gguf(tmp_path / "m.gguf", wide_backbone(), "Q8_0")
    shown = program("backbone", "show", str(file)).stdout
    for words in ("tokens/s forward", "256 tokens", "Q8_0 100%", "cache of a token", "isolated"):
        assert words in shown


def test_what_does_not_work_says_why():
    """GPT-2 adds places to embeddings, so a span cannot move; a model may lack an end of text."""
    gpt2 = tiny_backbone("gpt2")
    found = {each.name: each for each in abilities(gpt2)}
    assert "only equal beginnings" in found["reuse"].reason
    gpt2.tokenizer = type(gpt2.tokenizer)(tokenizer_object=gpt2.tokenizer.backend_tokenizer)
    gpt2.config.eos_token_id = None
    text = next(each for each in abilities(gpt2) if each.name == "text output")
    assert not text.works
    assert "end-of-text" in text.reason


def test_measuring_leaves_the_backbone_as_it_was(monkeypatch):
    """Layers are put in for bf16, and taken out again."""
    monkeypatch.setattr("taglm_core.model.backbone_facts._SECONDS", 0.0)
    backbone = tiny_backbone("llama")
    before = backbone.checksum()
    facts = facts_of(backbone)
    assert backbone.checksum() == before
    assert set(facts.speed) == set(facts.memory) == {"fp32", "bf16", "int8", "nf4"}
    sizes = weight_bytes(backbone)
    linear = sum(v.numel() for name, v in backbone.base.named_parameters() if "proj" in name)
    assert sizes["fp32"] - sizes["bf16"] == 2 * linear
    for kind in ("int8", "nf4"):
        packed = tiny_backbone("llama")
        packed.use_precision(kind)
        held = (*packed.base.parameters(), *packed.base.buffers())
        assert sum(v.numel() * v.element_size() for v in held) == pytest.approx(
            sizes[kind] - 4 * packed.model.lm_head.weight.numel(), rel=0.01
        )


def test_list_names_registered_backbones(program):
    """With the number of tags that the store holds for each."""
    records = json.loads(program("backbone", "list", "--json").stdout)
    nano = next(record for record in records if record["name"] == "nano")
    assert nano["tags"] == 2  # its package holds those of molecules and of proteins
    assert nano["description"]


def test_an_unknown_backbone_is_an_error(program):
    """The message offers what there is."""
    with pytest.raises(UnknownNameError, match="unknown backbone 'nonsense'"):
        program("backbone", "show", "nonsense")
