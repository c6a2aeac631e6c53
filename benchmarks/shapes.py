"""How much of a device a backbone of a known shape uses: tokens a second, share of peak, memory.

    python benchmarks/shapes.py --device cuda --precision bf16       # a GPU, some minutes
    python benchmarks/shapes.py --shapes 135M --precision fp32       # two cores
    python benchmarks/shapes.py --shapes 1B,8B --seconds 10 --json gpu.json

The weights are random, so that nothing is downloaded: time and memory do not depend on them. The
peak is that of a product of square matrices on the same device in the same precision, in the same
run; a pass counts the multiply-adds of its linear layers and of its attention.
"""

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import setting
import torch
from measure import CLOCKS
from transformers import LlamaConfig, LlamaForCausalLM

from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_facts import rate_of, speed_of
from taglm_core.model.backbone_loading import pick_device
from taglm_core.model.precision import BF16, FP32
from taglm_core.model.prefix_cache import bytes_per_token
from taglm_core.model.prefix_cache.cost_model import ForwardCost
from taglm_core.plugin import peak_memory

_NAMES = ("hidden_size", "intermediate_size", "num_hidden_layers")
_HEADS = ("num_attention_heads", "num_key_value_heads", "vocab_size")
# name -> width, inner width, layers, heads, heads of keys and values, vocabulary
SHAPES: dict[str, tuple[int, ...]] = {
    "toy": (64, 128, 2, 4, 2, 2048),
    "135M": (576, 1536, 30, 9, 3, 49_152),  # SmolLM2
    "360M": (960, 2560, 32, 15, 5, 49_152),
    "1B": (2048, 8192, 16, 32, 8, 128_256),  # Llama 3.2
    "3B": (3072, 8192, 28, 24, 8, 128_256),
    "8B": (4096, 14_336, 32, 32, 8, 128_256),  # Llama 3.1
}
_BACKWARD = 2.0  # of a forward pass: gradients of the states, none of the weights: one more pass
_ROW = 512
_SQUARE = {"cuda": 8192, "cpu": 2048}
COLUMNS = (
    "shape", "parameters", "forward", "backward", "share_forward", "share_backward",
    "weights_gb", "peak_gb", "cache_kb",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Measure the shapes that are asked for, and print a line for each as it is done."""
    args = _parsed(arguments)
    device = pick_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    clock = CLOCKS[args.clock]
    peak = matrix_peak(device, args.precision, args.seconds, clock)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"{where}, {args.precision}, torch {torch.__version__}, {torch.get_num_threads()} threads: "
        f"peak {peak / 1e12:.3g} tera multiply-adds a second; rows of {args.tokens} tokens"
    )
    _show(COLUMNS)
    found = []
    for name in args.shapes.split(","):
        record = measured(name, device, args, peak, clock)
        found.append(record)
        print(
            ("{:>16}" * len(COLUMNS)).format(*(_cell(record[key]) for key in COLUMNS)), flush=True
        )
    if args.json is not None:
        content = {"device": where, "precision": args.precision, "peak": peak, "shapes": found}
        args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", default="1B,8B", help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=(FP32, BF16), default=BF16)
    parser.add_argument("--tokens", type=int, default=_ROW, help="tokens of a row")
    parser.add_argument("--work", type=float, default=2e12, help="multiply-adds of a timed pass")
    parser.add_argument("--seconds", type=float, default=5.0, help="least time of a measurement")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0: as torch has them")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--json", type=Path, default=None)
    args = parser.parse_args(arguments)
    unknown = sorted(set(args.shapes.split(",")) - set(SHAPES))
    if unknown:
        sys.exit(f"no shape {', '.join(unknown)}: take of {', '.join(SHAPES)}")
    return args


def matrix_peak(
    device: torch.device, precision: str, seconds: float, clock: Callable[[], float]
) -> float:
    """Return the multiply-adds a second of a product of square matrices."""
    kind = torch.bfloat16 if precision == BF16 else torch.float32
    size = _SQUARE.get(device.type, 2048)
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    return rate_of(lambda: torch.mm(left, right), float(size) ** 3, seconds, clock)


def measured(
    name: str,
    device: torch.device,
    args: argparse.Namespace,
    peak: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Return what a backbone of a shape does on a device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with peak_memory() as held:
        backbone = random_backbone(name, device, args.precision)
        speed = speed_of(backbone, args.tokens, args.work, args.seconds, clock)
    bytes_held = (
        torch.cuda.max_memory_allocated(device) if device.type == "cuda" else held.num_bytes
    )
    weights = sum(p.numel() * p.element_size() for p in backbone.model.parameters())
    each = float(ForwardCost.of(backbone).run(np.array([args.tokens]))[0]) / args.tokens
    return {
        "shape": name,
        "parameters": backbone.num_parameters,
        "forward": speed.forward,
        "backward": speed.backward,
        "share_forward": round(speed.forward * each / peak, 3),
        "share_backward": round(speed.backward * _BACKWARD * each / peak, 3),
        "weights_gb": round(weights / 1e9, 2),
        "peak_gb": round(bytes_held / 1e9, 2),
        "cache_kb": round(bytes_per_token(backbone, backbone.dtype.itemsize) / 1e3, 1),
    }


def random_backbone(name: str, device: torch.device, precision: str) -> Backbone:
    """Make a backbone of a shape with random weights, behind the tokenizer of nano."""
    shape = dict(zip((*_NAMES, *_HEADS), SHAPES[name], strict=True))
    config = LlamaConfig(**shape, max_position_embeddings=8192, tie_word_embeddings=True)
    config._attn_implementation = "sdpa"
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if precision == BF16 else torch.float32)
    try:
        with device:
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(kept)
    model.eval().requires_grad_(False)
    backbone = Backbone(model, _tokenizer(), name)
    backbone.content = f"random {name}"  # nothing is stored, so nothing has to be hashed
    backbone.use_precision(precision)
    backbone.move_to(device)
    return backbone


@functools.cache
def _tokenizer() -> Any:
    return setting.backbone().tokenizer


def _show(cells: Sequence[str]) -> None:
    print(("{:>16}" * len(cells)).format(*cells), flush=True)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
