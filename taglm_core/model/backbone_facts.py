"""What a backbone is and can do on this machine: its size, its speed, what works with it."""

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch

from taglm_core.errors import BackboneError
from taglm_core.model.backbone import Backbone
from taglm_core.model.divided import Division, divide, gather
from taglm_core.model.free_memory import free_bytes
from taglm_core.model.precision import BF16, FP32, PRECISIONS, put_layers, rounded_layers
from taglm_core.model.prefix_cache import PrefixCache, bytes_per_token
from taglm_core.model.quantized import INT8, NF4, packed_bytes, plain_layers, quantized_layers
from taglm_core.model.tag_forms import ADAPTER, adapted_maps
from taglm_core.model.tagged import TaggedModel

_ROW_TOKENS = 128
_WORK = 2e10  # multiply-adds of one timed pass, so that a large backbone is measured on fewer rows
_SECONDS = 1.0
"""Passes are repeated until they have taken as long as this."""


@attrs.frozen(kw_only=True)
class Speed:
    """How quick a backbone is here, in one precision."""

    forward: float
    """Tokens a second of forward passes over rows of 128 tokens."""
    backward: float
    """Tokens a second of a forward and a backward pass over them, as in training."""


@attrs.frozen(kw_only=True)
class Ability:
    """Whether something works on a backbone."""

    name: str
    works: bool
    reason: str
    """How, or why not."""


@attrs.frozen(kw_only=True)
class BackboneFacts:
    """What `taglm backbone show` says."""

    name: str
    architecture: str
    parameters: int
    hidden_size: int
    layers: int
    heads: str
    """Attention heads, and those of keys and values."""
    vocabulary: int
    context: int
    """Longest sequence in tokens."""
    memory: dict[str, int]
    """Precision -> bytes of the weights."""
    free_memory: int
    """Bytes that are free on the device now, with the backbone loaded."""
    cache_bytes: int
    """Bytes of keys and values that a cached token takes."""
    device: str
    threads: int
    speed: dict[str, Speed]
    """Precision -> what was measured; without those in which it does not fit."""
    elsewhere: dict[str, int]
    """Precision -> layers that lie elsewhere than on the device, of a device such as cuda+cpu."""
    abilities: tuple[Ability, ...]
    content: str
    """Hash of what is stored of it."""


def facts_of(
    backbone: Backbone, division: Division | None = None, device: torch.device | None = None
) -> BackboneFacts:
    """Look at a loaded backbone and measure it.

    Args:
        backbone: In fp32, and in host memory if it is to be divided; left so.
        division: How it is divided while passes are timed; None: it is not.
        device: That of the division.
    """
    config = backbone.config
    device = backbone.device if device is None else device
    found = abilities(backbone)
    speed, elsewhere = speeds(backbone, division, device)
    heads = config.num_attention_heads
    keys = getattr(config, "num_key_value_heads", None) or heads
    return BackboneFacts(
        name=backbone.name,
        architecture=str(config.model_type),
        parameters=backbone.num_parameters,
        hidden_size=backbone.hidden_size,
        layers=int(config.num_hidden_layers),
        heads=f"{heads} ({keys} for keys and values)" if keys != heads else str(heads),
        vocabulary=backbone.vocab_size,
        context=backbone.max_positions,
        memory=weight_bytes(backbone),
        free_memory=free_bytes(device),
        cache_bytes=bytes_per_token(backbone, backbone.dtype.itemsize),
        device=_shown(device),
        threads=torch.get_num_threads(),
        speed=speed,
        elsewhere=elsewhere,
        abilities=found,
        content=backbone.fingerprint().content,
    )


def _shown(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def weight_bytes(backbone: Backbone) -> dict[str, int]:
    """Return the bytes of the weights in each precision.

    Only the linear layers change; embeddings, norms and the output matrix stay fp32.
    """
    shapes = [weight.shape for _, (weight, _) in plain_layers(backbone.base)]
    linear = sum(shape.numel() for shape in shapes)
    rows = sum(shape[0] for shape in shapes)
    others = 4 * (backbone.num_parameters - linear)
    sizes = {FP32: 4 * linear, BF16: 2 * linear}
    sizes |= {kind: packed_bytes(linear, rows, kind) for kind in (INT8, NF4)}
    return {kind: others + size for kind, size in sizes.items() if linear or kind == FP32}


def speeds(
    backbone: Backbone, division: Division | None, device: torch.device
) -> tuple[dict[str, Speed], dict[str, int]]:
    """Measure forward and backward passes in each precision that the backbone has.

    Args:
        backbone: In fp32, and in host memory if it is to be divided; left so.
        division: How it is divided meanwhile; None: it is not.
        device: That of the division.

    Returns:
        Precision -> what was measured. Precision -> how many layers were elsewhere, empty without
        a division. Precisions in which one layer is too large for the division are in neither.
    """
    base = backbone.base
    made: dict[str, Callable[[], dict[str, Any]]] = {
        BF16: lambda: rounded_layers(base),
        INT8: lambda: quantized_layers(base, INT8),
        NF4: lambda: quantized_layers(base, NF4),
    }
    plain: dict[str, Any] = {name: base.get_submodule(name) for name, _ in plain_layers(base)}
    found, elsewhere = {}, {}
    try:
        for kind in PRECISIONS if plain else (FP32,):
            put_layers(base, plain)  # so that one copy is made at a time
            if kind != FP32:
                layers = made[kind]()
                put_layers(base, {name: each.to(backbone.device) for name, each in layers.items()})
                del layers
            if division is None:
                found[kind] = speed_of(backbone)
                continue
            with contextlib.suppress(BackboneError):  # one layer is too large
                divide(backbone, division, device)
                elsewhere[kind] = backbone.num_outside
                found[kind] = speed_of(backbone)
            gather(backbone)
    finally:
        put_layers(base, plain)
    return found, elsewhere


def speed_of(
    backbone: Backbone,
    tokens: int = _ROW_TOKENS,
    work: float = _WORK,
    seconds: float = _SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Measure forward and backward passes in the precision that a backbone has.

    Args:
        backbone: Left as it is.
        tokens: Of a row.
        work: Multiply-adds of one pass, more or less; a large backbone runs few rows.
        seconds: Passes of each kind are repeated until they have taken as long.
        clock: What is read, in seconds.
    """
    tokens = min(tokens, backbone.max_positions)
    rows = max(1, min(32, int(work / backbone.num_matrix_weights / tokens)))
    return Speed(
        forward=rate_of(lambda: _forward(backbone, rows, tokens), rows * tokens, seconds, clock),
        backward=rate_of(lambda: _backward(backbone, rows, tokens), rows * tokens, seconds, clock),
    )


def rate_of(
    run: Callable[[], object], amount: float, seconds: float, clock: Callable[[], float]
) -> float:
    """Return how much a second the quickest of some passes does.

    Args:
        run: A pass.
        amount: What it does, such as tokens.
        seconds: It is repeated until the passes have taken as long.
        clock: What is read, in seconds.
    """
    best, spent = float("inf"), 0.0
    while best == float("inf") or spent < seconds:
        began = clock()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken = clock() - began
        best, spent = min(best, taken), spent + taken
    return round(amount / best, 1)


def _embedded(backbone: Backbone, rows: int, tokens: int) -> tuple[Any, Any]:
    ids = (torch.arange(rows * tokens) * 37 + 11).view(rows, tokens) % backbone.vocab_size
    places = torch.arange(tokens, device=backbone.device).expand(rows, tokens)
    return backbone.embed(ids.to(backbone.device)).float(), places


@torch.no_grad()
def _forward(backbone: Backbone, rows: int, tokens: int) -> None:
    embedded, places = _embedded(backbone, rows, tokens)
    backbone.hidden_states(embedded, None, places, may_run_again=False)


def _backward(backbone: Backbone, rows: int, tokens: int) -> None:
    embedded, places = _embedded(backbone, rows, tokens)
    embedded = embedded.detach().requires_grad_(True)
    # otherwise the weights of every layer that comes would be kept for the backward pass
    states = backbone.hidden_states(embedded, None, places, may_run_again=backbone.is_divided)
    states.square().mean().backward()  # type: ignore[no-untyped-call]


def abilities(backbone: Backbone) -> tuple[Ability, ...]:
    """Find out what works, by the probes that a run would make."""
    with tempfile.TemporaryDirectory(prefix="taglm-") as folder:
        cache, _ = PrefixCache.open(TaggedModel(backbone), "100mb", Path(folder))
    assert cache is not None, "memory was allowed"
    window = backbone.window
    spans = "spans attend only to themselves"
    if window is not None:
        spans += f", in prompts of up to {window} tokens (sliding window); longer ones need "
        spans += "attention=causal"
    reuse = "a span is computed once, wherever it stands in a prompt"
    if cache.reason:
        reuse = f"only equal beginnings of prompts are reused: {cache.reason}"
        if not cache.is_exact:
            reuse = f"no: {cache.reason}"
    return (
        Ability(name="isolated spans", works=True, reason=spans),
        Ability(name="reuse", works=cache.is_exact, reason=reuse),
        _adapters(backbone),
        _text_output(backbone),
    )


def _adapters(backbone: Backbone) -> Ability:
    try:
        count = len(adapted_maps(backbone))
    except BackboneError as error:
        return Ability(name="adapters", works=False, reason=str(error))
    reason = f"stages.task.tag={ADAPTER} updates {count} linear maps at the function tag's tokens"
    return Ability(name="adapters", works=True, reason=reason)


def _text_output(backbone: Backbone) -> Ability:
    reason = "text is generated by the output matrix until the end-of-text token"
    try:
        if backbone.model.get_output_embeddings() is None:
            raise BackboneError("the model has no output matrix")
        assert backbone.end_id >= 0
    except BackboneError as error:
        return Ability(name="text output", works=False, reason=str(error))
    return Ability(name="text output", works=True, reason=reason)
