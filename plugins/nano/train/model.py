"""The Llama forward pass over one flat parameter tensor, and its export to Hugging Face format.

The same mathematics as `transformers.LlamaForCausalLM` (a test compares them), written so that
query, key and value are one matrix product, gate and up another, that all parameters are views of
one flat tensor, and that only the attention sees the length of the rows: the parts between see one
shape, so that compiling them takes seconds.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LAYERS, KV_HEADS, HEAD_DIM, INNER = 6, 2, 32, 512
ROPE_THETA = 10000.0
MAX_POSITIONS = 8192
NORM_EPS = 1e-5


class Shape(NamedTuple):
    """What differs between models; there are as many heads as fit the hidden size.

    Attributes:
        vocab: Tokens.
        hidden: Size of the states.
    """

    vocab: int = 3072
    hidden: int = 320


def layout(shape: Shape) -> list[tuple[str, tuple[int, ...]]]:
    """Return Hugging Face names and shapes in the order of the flat tensor."""
    hidden = shape.hidden
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("model.embed_tokens.weight", (shape.vocab, hidden))
    ]
    for i in range(LAYERS):
        layer = {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (KV_HEADS * HEAD_DIM, hidden),
            "self_attn.v_proj": (KV_HEADS * HEAD_DIM, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (INNER, hidden),
            "mlp.up_proj": (INNER, hidden),
            "mlp.down_proj": (hidden, INNER),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        shapes += [(f"model.layers.{i}.{name}.weight", size) for name, size in layer.items()]
    return [*shapes, ("model.norm.weight", (hidden,))]


def num_parameters(shape: Shape) -> int:
    """Return the length of the flat tensor."""
    return sum(int(torch.Size(size).numel()) for _, size in layout(shape))


def views(flat: Tensor, shape: Shape) -> dict[str, Tensor]:
    """Return the named parameters as views of the flat tensor."""
    result, start = {}, 0
    for name, size in layout(shape):
        count = int(torch.Size(size).numel())
        result[name] = flat[start : start + count].view(size)
        start += count
    return result


def fused_views(flat: Tensor, shape: Shape) -> dict[str, Tensor]:
    """Return views as the forward pass uses them: q, k, v joined, gate and up joined."""
    named = views(flat, shape)
    result = {"embed": named["model.embed_tokens.weight"], "norm": named["model.norm.weight"]}
    for i in range(LAYERS):
        prefix = f"model.layers.{i}."
        for new, first, rows in (
            ("qkv", "self_attn.q_proj", shape.hidden + 2 * KV_HEADS * HEAD_DIM),
            ("o", "self_attn.o_proj", shape.hidden),
            ("gate_up", "mlp.gate_proj", 2 * INNER),
            ("down", "mlp.down_proj", shape.hidden),
        ):
            one = named[f"{prefix}{first}.weight"]
            size = rows * one.shape[1]
            start = one.storage_offset() - flat.storage_offset()
            result[f"{i}.{new}"] = flat[start : start + size].view(rows, one.shape[1])
        result[f"{i}.norm1"] = named[prefix + "input_layernorm.weight"]
        result[f"{i}.norm2"] = named[prefix + "post_attention_layernorm.weight"]
    return result


def initialize(flat: Tensor, shape: Shape, seed: int) -> None:
    """Fill the flat tensor: normal with deviation 0.02, output projections smaller, norms one."""
    generator = torch.Generator().manual_seed(seed)
    for name, view in views(flat, shape).items():
        if view.dim() == 1:
            view.fill_(1.0)
        else:
            output = name.endswith(("o_proj.weight", "down_proj.weight"))
            std = 0.02 / (2 * LAYERS) ** 0.5 if output else 0.02
            view.normal_(0.0, std, generator=generator)


def load(flat: Tensor, shape: Shape, folder: Path) -> None:
    """Fill the flat tensor from a model in Hugging Face format of the same shape."""
    from safetensors.torch import load_file

    saved = load_file(folder / "model.safetensors")
    for name, view in views(flat, shape).items():
        view.copy_(saved[name])


def rope_tables() -> tuple[Tensor, Tensor]:
    """Return cosines and sines, (positions, head_dim)."""
    frequency = ROPE_THETA ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float32) / HEAD_DIM)
    angle = torch.arange(MAX_POSITIONS, dtype=torch.float32)[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def before_attention(
    x: Tensor, norm: Tensor, qkv: Tensor, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return rotated queries and keys, and values, each (tokens, heads, head_dim).

    Args:
        x: (tokens, hidden).
        norm: Weight of the first norm.
        qkv: Joined projection.
        cos: Cosines of each token's position, (tokens, head_dim).
        sin: Sines.
    """
    heads = x.shape[1] // HEAD_DIM
    h = F.rms_norm(x, norm.shape, norm, NORM_EPS)
    joined = F.linear(h, qkv).view(len(x), -1, HEAD_DIM)
    turned = joined[:, : heads + KV_HEADS]
    half = HEAD_DIM // 2
    swapped = torch.cat([-turned[..., half:], turned[..., :half]], dim=-1)
    turned = turned * cos[:, None] + swapped * sin[:, None]
    group = heads // KV_HEADS
    keys = turned[:, heads:].repeat_interleave(group, dim=1)
    values = joined[:, heads + KV_HEADS :].repeat_interleave(group, dim=1)
    return turned[:, :heads].contiguous(), keys, values


def after_attention(
    x: Tensor, mixed: Tensor, o: Tensor, norm: Tensor, gate_up: Tensor, down: Tensor
) -> Tensor:
    """Return the layer's output, (tokens, hidden), from its input and the attention's result."""
    x = x + F.linear(mixed, o)
    gate, up = F.linear(F.rms_norm(x, norm.shape, norm, NORM_EPS), gate_up).chunk(2, dim=-1)
    return x + F.linear(F.silu(gate) * up, down)


def token_losses(states: Tensor, embed: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each token in nats, 0 where the target is -100."""
    logits = F.linear(states, embed).float()
    return F.cross_entropy(logits, targets, ignore_index=-100, reduction="none")


class Parts:
    """The three parts that see one shape, compiled or not."""

    def __init__(self, compiled: bool) -> None:
        """Wrap them; compiling itself happens at the first call."""

        def wrap(function: Callable) -> Callable:
            return torch.compile(function, dynamic=False) if compiled else function

        self.before_attention = wrap(before_attention)
        self.after_attention = wrap(after_attention)
        self.token_losses = wrap(token_losses)


EAGER = Parts(compiled=False)


def hidden_states(
    p: dict[str, Tensor],
    ids: Tensor,
    cos: Tensor,
    sin: Tensor,
    noise: Tensor | None = None,
    parts: Parts = EAGER,
) -> Tensor:
    """Run the decoder on right-padded rows.

    Args:
        p: Parameters from `fused_views`.
        ids: Token ids, (batch, seq).
        cos: From `rope_tables`, of the parameters' type.
        sin: From `rope_tables`, of the parameters' type.
        noise: Added to the embeddings, (batch, seq, hidden).
        parts: The compiled parts.

    Returns:
        Normed last hidden states, (batch, seq, hidden).
    """
    batch, seq = ids.shape
    hidden = p["embed"].shape[1]
    cos, sin = (
        t[:seq].expand(batch, seq, HEAD_DIM).reshape(batch * seq, HEAD_DIM) for t in (cos, sin)
    )
    x = F.embedding(ids, p["embed"])
    if noise is not None:
        x = x + noise
    x = x.view(batch * seq, hidden)
    for i in range(LAYERS):
        qkv = parts.before_attention(x, p[f"{i}.norm1"], p[f"{i}.qkv"], cos, sin)
        q, k, v = (t.view(batch, seq, -1, HEAD_DIM).transpose(1, 2) for t in qkv)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(batch * seq, hidden)
        x = parts.after_attention(
            x, mixed, p[f"{i}.o"], p[f"{i}.norm2"], p[f"{i}.gate_up"], p[f"{i}.down"]
        )
    return F.rms_norm(x, (hidden,), p["norm"], NORM_EPS).view(batch, seq, hidden)


def export(flat: Tensor, shape: Shape, tokenizer_folder: Path, folder: Path) -> None:
    """Write the model in Hugging Face format, bf16, with tokenizer and configuration files."""
    from safetensors.torch import save_file
    from transformers import GenerationConfig, LlamaConfig

    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    named = views(flat.detach().to("cpu", torch.bfloat16), shape)
    tensors = {name: view.clone() for name, view in named.items()}
    save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=shape.hidden // HEAD_DIM,
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
        shutil.copyfile(path, part / path.name)
    for path in part.iterdir():
        path.chmod(0o644)
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
