"""A backbone is checked when it is loaded: what is not a whole causal LM is named as what it is."""

import json
import logging
import os
import re
import shutil
import time

import pytest
import torch
from small_runs import saved_backbone

from taglm_core.errors import BackboneError, TaglmError, UnknownNameError
from taglm_core.model.backbone_checks import check_backbone_model
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.plugins import load_registry
from taglm_core.testing import tiny_backbone
from taglm_core.testing.tiny import tiny_tokenizer


@pytest.fixture
def registry():
    """Return a registry with the core's own registrations."""
    return load_registry(only=())


@pytest.fixture
def good(tmp_path):
    """Save a small causal LM whose output matrix is its own; return the folder."""
    folder = tmp_path / "good"
    saved_backbone(folder, "llama", tie_word_embeddings=False)
    return folder


def tensors(folder, change):
    """Change the tensors of a folder in place."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    held = change(load_file(file))
    save_file(held, file, metadata={"format": "pt"})


def config(folder, **changes):
    """Change config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def error(folder, registry):
    """Load a folder and return the message of its refusal."""
    with pytest.raises(BackboneError) as caught:
        load_backbone(str(folder), registry, "cpu")
    return str(caught.value)


def _base_only(folder):
    tiny_backbone("llama", tie_word_embeddings=False).model.model.save_pretrained(folder)


def _no_layer(folder):
    tensors(folder, lambda held: {k: v for k, v in held.items() if "layers.1." not in k})


def _fewer_layers_in_config(folder):
    config(folder, num_hidden_layers=1, layer_types=None)


def _nan(folder):
    def change(held):
        key = next(k for k in held if "layers.0.mlp.down_proj" in k)
        held[key][0, 0] = float("nan")
        return held

    tensors(folder, change)


def _nan_in_a_rare_row(folder):
    def change(held):
        held["model.embed_tokens.weight"][3, 2] = float("nan")
        return held

    tensors(folder, change)


def _infinite_output(folder):
    def change(held):
        held["lm_head.weight"][7, 1] = float("inf")
        return held

    tensors(folder, change)


def _more_tokens(folder):
    tokenizer = tiny_tokenizer.__wrapped__()
    tokenizer.add_tokens(["mol1", "mol2", "molecule"])
    tokenizer.save_pretrained(folder)


def _bert(folder):
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=260,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
        )
    )
    shutil.rmtree(folder)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)


def _t5(folder):
    config(folder, model_type="t5", is_encoder_decoder=True)


def _adapter(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    facts = {"peft_type": "LORA", "base_model_name_or_path": "owner/base", "r": 8}
    (folder / "adapter_config.json").write_text(json.dumps(facts))
    (folder / "adapter_model.safetensors").write_bytes(b"x" * 50)


def _pointer(folder):
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 988097824\n"
    )


def _tokenizer_pointer(folder):
    (folder / "tokenizer.json").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "1" * 64 + "\nsize 988\n"
    )


def _no_tokenizer(folder):
    for file in folder.glob("tokenizer*"):
        file.unlink()


def _cut(folder):
    file = folder / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def _empty_weights(folder):
    (folder / "model.safetensors").write_bytes(b"")


def _page_instead_of_weights(folder):
    (folder / "model.safetensors").write_text("<html>Not found</html>")


def _no_weights(folder):
    (folder / "model.safetensors").unlink()


def _missing_shard(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {
        "weight_map": {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00002-of-00002.safetensors",
        }
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _broken_config(folder):
    (folder / "config.json").write_text('{"model_type": "lla')


def _run_folder(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "run.yaml").write_text("task: {name: X}\n")


def _wrong_width(folder):
    config(folder, intermediate_size=64)


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (_base_only, "lacks 1 of the model's weights .*lm_head.weight"),
        (_no_layer, "lacks 9 of the model's weights .*layers.1"),
        (_fewer_layers_in_config, "weights of layers that the model does not use .*layers.1"),
        (_nan, "NaN or infinite numbers"),
        (_nan_in_a_rare_row, "its embedding holds NaN"),
        (_infinite_output, "its output matrix holds NaN or infinite"),
        (_more_tokens, r"the tokenizer has \d+ tokens .*beyond the 260 rows"),
        (_bert, r"\(bert\) is not causal"),
        (_t5, r"encoder-decoder \(t5\)"),
        (_adapter, r"PEFT adapter \(LORA\) of the model 'owner/base'.*Merge"),
        (_pointer, "model.safetensors is a Git LFS pointer.*git lfs pull"),
        (_tokenizer_pointer, "tokenizer.json is a Git LFS pointer"),
        (_no_tokenizer, "no tokenizer.*save_pretrained"),
        (_cut, r"model.safetensors is cut off: [\d,]+ of [\d,]+ bytes"),
        (_empty_weights, "model.safetensors is empty"),
        (_page_instead_of_weights, "not a safetensors file"),
        (_no_weights, "no weights"),
        (_missing_shard, "model-00002-of-00002.safetensors is missing"),
        (_broken_config, "config.json is not a valid JSON"),
        (_run_folder, "holds a run of taglm"),
        (_wrong_width, "weights have another shape"),
    ],
)
def test_what_is_no_whole_causal_model_is_named(spoil, wanted, good, registry):
    """Each of these would otherwise give random numbers, NaN, or a message about the network."""
    spoil(good)
    message = error(good, registry)
    assert re.search(wanted, message), message
    assert "network" not in message
    assert str(good) in message


def test_a_file_is_not_a_folder(good, registry):
    """Somebody gives the weights instead of the folder."""
    assert "is not a GGUF file" in error(good / "model.safetensors", registry)


def test_a_folder_that_is_gone_is_said(tmp_path, registry):
    """The message holds the folder that was looked for."""
    with pytest.raises(UnknownNameError, match="there is no folder or file './gone'"):
        load_backbone("./gone", registry, "cpu")


def test_an_unknown_hub_id_speaks_of_the_network(registry, monkeypatch):
    """Only what may come from the Hub does."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TaglmError, match="a Hub id needs the network once"):
        load_backbone("nobody/nothing-of-this-name", registry, "cpu")


def test_weights_beside_the_model_are_a_warning(good, registry, caplog):
    """A value head or a vision tower changes nothing of the language model."""
    tensors(good, lambda held: {**held, "v_head.summary.weight": torch.zeros(1, 32)})
    with caplog.at_level(logging.WARNING):
        load_backbone(str(good), registry, "cpu")
    assert "1 weights of the file are not used: v_head.summary.weight" in caplog.text


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma", "gpt_neox", "gpt2"])
def test_good_models_pass(architecture, tmp_path, registry):
    """Tied matrices and computed buffers are no missing weights."""
    saved_backbone(tmp_path / "m", architecture)
    loaded = load_backbone(str(tmp_path / "m"), registry, "cpu")
    assert loaded.hidden_size == 32


def test_half_precision_is_causal_too():
    """Rounding in bf16 is no sight of the future."""
    made = tiny_backbone("llama")
    made.model.to(torch.bfloat16)
    made.dtype = torch.bfloat16
    check_backbone_model(made)


def test_the_content_follows_the_weights(good, registry, tmp_path):
    """One weight less by a little is another backbone; the same tensors saved again are not."""
    first = load_backbone(str(good), registry, "cpu")
    first.model.save_pretrained(tmp_path / "again", max_shard_size="40KB")
    first.tokenizer.save_pretrained(tmp_path / "again")
    shutil.copy(good / "tokenizer.json", tmp_path / "again" / "tokenizer.json")
    again = load_backbone(str(tmp_path / "again"), registry, "cpu")
    assert again.fingerprint().key == first.fingerprint().key

    def nudge(held):
        held["model.layers.1.mlp.down_proj.weight"][0, 0] += 1e-3
        return held

    before = (good / "model.safetensors").stat()
    tensors(good, nudge)
    os.utime(good / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = load_backbone(str(good), registry, "cpu")
    assert changed.fingerprint().key != first.fingerprint().key
    assert changed.fingerprint().probe != first.fingerprint().probe
    config(good, rms_norm_eps=1e-3)
    assert load_backbone(str(good), registry, "cpu").fingerprint().key not in (
        first.fingerprint().key,
        changed.fingerprint().key,
    )


@pytest.mark.slow
def test_the_checks_are_cheap():
    """Loading the embedded backbone is not slowed by more than 0.3 s."""
    registry = load_registry()
    loaded = load_backbone("nano", registry, "cpu")
    began = time.perf_counter()
    check_backbone_model(loaded)
    assert time.perf_counter() - began < 0.3
