"""The Llama forward pass over one flat parameter tensor, and its export to Hugging Face format.

The same mathematics as `transformers.LlamaForCausalLM` (a test compares them), written so that
query, key and value are one matrix product, gate and up another, and all parameters and gradients
are views of two flat tensors that several processes share.
"""

import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

VOCAB, HIDDEN, LAYERS, HEADS, KV_HEADS, INNER = 3072, 256, 6, 8, 2, 512
HEAD_DIM = HIDDEN // HEADS
ROPE_THETA = 10000.0
MAX_POSITIONS = 8192
NORM_EPS = 1e-5


def layout(vocab: int = VOCAB) -> list[tuple[str, tuple[int, ...]]]:
    """Return Hugging Face names and shapes in the order of the flat tensor."""
    shapes: list[tuple[str, tuple[int, ...]]] = [("model.embed_tokens.weight", (vocab, HIDDEN))]
    for i in range(LAYERS):
        layer = {
            "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN),
            "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
            "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
            "mlp.gate_proj": (INNER, HIDDEN),
            "mlp.up_proj": (INNER, HIDDEN),
            "mlp.down_proj": (HIDDEN, INNER),
            "input_layernorm": (HIDDEN,),
            "post_attention_layernorm": (HIDDEN,),
        }
        shapes += [(f"model.layers.{i}.{name}.weight", shape) for name, shape in layer.items()]
    return [*shapes, ("model.norm.weight", (HIDDEN,))]


def num_parameters(vocab: int = VOCAB) -> int:
    """Return the length of the flat tensor."""
    return sum(int(torch.Size(shape).numel()) for _, shape in layout(vocab))


def vocab_of(flat: Tensor) -> int:
    """Return the vocabulary of a flat tensor; all other sizes are fixed."""
    return (flat.numel() - num_parameters(0)) // HIDDEN


def views(flat: Tensor) -> dict[str, Tensor]:
    """Return the named parameters as views of the flat tensor."""
    result, start = {}, 0
    for name, shape in layout(vocab_of(flat)):
        size = int(torch.Size(shape).numel())
        result[name] = flat[start : start + size].view(shape)
        start += size
    return result


def fused_views(flat: Tensor) -> dict[str, Tensor]:
    """Return views as the forward pass uses them: q, k, v joined, gate and up joined."""
    named = views(flat)
    result = {"embed": named["model.embed_tokens.weight"], "norm": named["model.norm.weight"]}
    for i in range(LAYERS):
        prefix = f"model.layers.{i}."
        for new, first, rows in (
            ("qkv", "self_attn.q_proj", (HEADS + 2 * KV_HEADS) * HEAD_DIM),
            ("o", "self_attn.o_proj", HIDDEN),
            ("gate_up", "mlp.gate_proj", 2 * INNER),
            ("down", "mlp.down_proj", HIDDEN),
        ):
            one = named[f"{prefix}{first}.weight"]
            size = rows * one.shape[1]
            start = one.storage_offset() - flat.storage_offset()
            result[f"{i}.{new}"] = flat[start : start + size].view(rows, one.shape[1])
        result[f"{i}.norm1"] = named[prefix + "input_layernorm.weight"]
        result[f"{i}.norm2"] = named[prefix + "post_attention_layernorm.weight"]
    return result


def initialise(flat: Tensor, seed: int) -> None:
    """Fill the flat tensor: normal with deviation 0.02, output projections smaller, norms one."""
    generator = torch.Generator().manual_seed(seed)
    for name, view in views(flat).items():
        if view.dim() == 1:
            view.fill_(1.0)
        else:
            output = name.endswith(("o_proj.weight", "down_proj.weight"))
            std = 0.02 / (2 * LAYERS) ** 0.5 if output else 0.02
            view.normal_(0.0, std, generator=generator)


def rope_tables() -> tuple[Tensor, Tensor]:
    """Return cosines and sines, (positions, head_dim)."""
    frequency = ROPE_THETA ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float32) / HEAD_DIM)
    angle = torch.arange(MAX_POSITIONS, dtype=torch.float32)[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = HEAD_DIM // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin


def hidden_states(p: dict[str, Tensor], ids: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Run the decoder on right-padded rows.

    Args:
        p: Parameters from `fused_views`.
        ids: Token ids, (batch, seq).
        cos: From `rope_tables`.
        sin: From `rope_tables`.

    Returns:
        Normed last hidden states, (batch, seq, hidden).
    """
    batch, seq = ids.shape
    cos, sin = cos[:seq], sin[:seq]
    num_rotated = HEADS + KV_HEADS
    x = F.embedding(ids, p["embed"])
    for i in range(LAYERS):
        h = F.rms_norm(x, (HIDDEN,), p[f"{i}.norm1"], NORM_EPS)
        qkv = F.linear(h, p[f"{i}.qkv"]).view(batch, seq, -1, HEAD_DIM)
        qkv = qkv.transpose(1, 2)  # (batch, heads + 2 * kv_heads, seq, head_dim)
        qk = _rotate(qkv[:, :num_rotated], cos, sin)
        q, k, v = qk[:, :HEADS], qk[:, HEADS:], qkv[:, num_rotated:]
        k = k.repeat_interleave(HEADS // KV_HEADS, dim=1)  # (batch, heads, seq, head_dim)
        v = v.repeat_interleave(HEADS // KV_HEADS, dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(batch, seq, HIDDEN)
        x = x + F.linear(mixed, p[f"{i}.o"])
        h = F.rms_norm(x, (HIDDEN,), p[f"{i}.norm2"], NORM_EPS)
        gate, up = F.linear(h, p[f"{i}.gate_up"]).chunk(2, dim=-1)
        x = x + F.linear(F.silu(gate) * up, p[f"{i}.down"])
    return F.rms_norm(x, (HIDDEN,), p["norm"], NORM_EPS)


def loss_sum(
    p: dict[str, Tensor],
    ids: Tensor,
    lengths: Tensor,
    cos: Tensor,
    sin: Tensor,
    starts: Tensor | None = None,
) -> Tensor:
    """Return the next-token cross-entropy summed over all real targets, in nats.

    Args:
        p: Parameters from `fused_views`.
        ids: Token ids, (batch, seq).
        lengths: Tokens of each document, (batch,).
        cos: From `rope_tables`.
        sin: From `rope_tables`.
        starts: First token of each document that is predicted, (batch,); None: the second.
    """
    h = hidden_states(p, ids, cos, sin)[:, :-1]
    places = torch.arange(1, ids.shape[1])[None, :]
    real = places < lengths[:, None]  # (batch, seq - 1)
    if starts is not None:
        real &= places >= starts[:, None]
    logits = F.linear(h[real], p["embed"])  # (targets, vocab)
    return F.cross_entropy(logits, ids[:, 1:][real], reduction="sum")


def export(flat: Tensor, tokenizer_folder: Path, folder: Path) -> None:
    """Write the model in Hugging Face format, bf16, with tokenizer and configuration files."""
    from safetensors.torch import save_file
    from transformers import GenerationConfig, LlamaConfig

    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = {name: v.detach().to(torch.bfloat16).clone() for name, v in views(flat).items()}
    save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
    config = LlamaConfig(
        vocab_size=vocab_of(flat),
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        max_position_embeddings=MAX_POSITIONS,
        rms_norm_eps=NORM_EPS,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    config.architectures = ["LlamaForCausalLM"]
    config.dtype = torch.bfloat16
    config.save_pretrained(part)
    GenerationConfig(bos_token_id=None, eos_token_id=1, pad_token_id=0).save_pretrained(part)
    for path in sorted(tokenizer_folder.iterdir()):
        shutil.copy(path, part / path.name)
    for path in part.iterdir():
        path.chmod(0o644)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
