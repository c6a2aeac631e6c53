"""Small GGUF files, written from a tiny backbone with the package gguf."""

import json

import gguf
import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from taglm_core.testing import tiny_backbone
from taglm_core.testing.tiny import tiny_tokenizer

WIDE = {"hidden_size": 64, "intermediate_size": 96, "num_key_value_heads": 2}
"""Settings whose rows are whole blocks of 32 weights, as quantized types need."""


def wide_backbone(seed=0):
    """Return a tiny Llama whose weights can be quantized and whose tokenizer has a merge."""
    backbone = tiny_backbone("llama", seed, **WIDE)
    inner = json.loads(tiny_tokenizer().backend_tokenizer.to_str())
    inner["model"]["vocab"]["ab"] = 259
    inner["model"]["merges"] = [["a", "b"]]
    backbone.tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(inner)),
        eos_token="</s>",
        bos_token="<s>",
        pad_token="<pad>",
    )
    return backbone


def write_gguf(path, backbone, kind="F32", **changes):
    """Write a Llama backbone as a GGUF file.

    Args:
        path: The file.
        backbone: From `wide_backbone`.
        kind: Type of its matrices, such as Q8_0 or Q4_1.
        **changes: `architecture`, or `has_tokenizer=False`.
    """
    config = backbone.config
    writer = gguf.GGUFWriter(path, changes.get("architecture", "llama"))
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if changes.get("has_tokenizer", True):
        _add_tokenizer(writer, backbone.tokenizer)
    for name, values in _tensors(backbone):
        is_matrix = values.ndim == 2 and kind != "F32"
        type_of = gguf.GGMLQuantizationType[kind if is_matrix else "F32"]
        raw = gguf.quants.quantize(values, type_of)
        writer.add_tensor(name, raw, raw_dtype=type_of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer, tokenizer):
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(["a b"])  # without one the key would be left out
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)


def _tensors(backbone):
    """Give each weight under its name in GGUF, rotary rows in the order of llama.cpp."""
    config = backbone.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, value in backbone.model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = value.float().numpy().astype(np.float32)
        for part, count in heads.items():
            if part in name:
                shaped = values.reshape(count, 2, len(values) // count // 2, -1)
                values = np.ascontiguousarray(shaped.swapaxes(1, 2).reshape(values.shape))
        yield names.get_name(name.removesuffix(".weight")) + ".weight", values
