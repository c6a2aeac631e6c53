"""Tiny random backbones of each architecture, and a byte tokenizer; nothing is downloaded."""

import functools
from typing import Any

import torch

from taglm_core.model.backbone import Backbone

_SMALL: dict[str, Any] = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
_GROUPED: dict[str, Any] = {**_SMALL, "num_key_value_heads": 2}

# architecture -> (model_type of transformers, settings)
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", _GROUPED),
    "qwen2": ("qwen2", _GROUPED),
    "qwen3": ("qwen3", {**_GROUPED, "head_dim": 8}),
    "mistral": ("mistral", {**_GROUPED, "sliding_window": None, "head_dim": 8}),
    "gemma": ("gemma", {**_GROUPED, "head_dim": 8}),
    "gpt_neox": ("gpt_neox", _SMALL),
    "gpt2": (
        "gpt2",
        {"vocab_size": 260, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    ),
}


@functools.cache
def tiny_tokenizer(adds_bos: bool = False) -> Any:
    """Return a byte-level tokenizer of 259 tokens: 256 bytes, `<pad>`, `</s>`, `<s>`.

    Args:
        adds_bos: True: `<s>` is put before every text, as Llama's tokenizer does.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {symbol: index for index, symbol in enumerate(alphabet)}
    vocab |= {"<pad>": 256, "</s>": 257, "<s>": 258}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    if adds_bos:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 258)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="</s>",
        bos_token="<s>",
        pad_token="<pad>",
        padding_side="right",
    )


def tiny_backbone(
    architecture: str = "llama", seed: int = 0, adds_bos: bool = False, **changes: Any
) -> Backbone:
    """Return a random frozen backbone with 2 layers and width 32.

    Args:
        architecture: A key of `ARCHITECTURES`.
        seed: Seed of its weights.
        adds_bos: Whether its tokenizer puts a BOS before texts.
        **changes: Settings of its config to be changed, such as `rope_parameters`.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type, settings = ARCHITECTURES[architecture]
    ends = {"bos_token_id": 258, "eos_token_id": 257, "pad_token_id": 256}
    config = AutoConfig.for_model(model_type, **{**settings, **ends, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    # larger weights than the usual start, so that attention is far from uniform
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 2:
                value.mul_(4.0)
    return Backbone(model, tiny_tokenizer(adds_bos), f"tiny-{architecture}")
