"""Checks of a loaded backbone: whole, causal, finite, and with a tokenizer that fits it."""

import logging
import re
from typing import Any

import torch
from torch import Tensor

from taglm_core.errors import BackboneError, listed

logger = logging.getLogger(__name__)

_PROBE_TOKENS = 24
_MOST_NAMED = 4
# buffers that older files hold and that the library computes anew
_COMPUTED = re.compile(r"(inv_freq|masked_bias|attn\.bias|attention\.bias|position_ids)$")
_ADVICE = "Give the whole model as its authors saved it (AutoModelForCausalLM, save_pretrained)."


def check_backbone_model(backbone: Any, info: Any = None) -> None:
    """Check a backbone once, after loading.

    Args:
        backbone: A `Backbone`.
        info: What `from_pretrained(..., output_loading_info=True)` reported; None: nothing.

    Raises:
        BackboneError: naming what is wrong and what to do.
    """
    if info is not None:
        _check_keys(backbone, info)
    _check_tokenizer(backbone)
    _check_states(backbone)


def _check_keys(backbone: Any, info: Any) -> None:
    """Refuse weights that the file lacks, and those of the model's own layers that it ignores."""
    report = dict(info) if not isinstance(info, dict) else info
    mismatched = [k if isinstance(k, str) else k[0] for k in report.get("mismatched_keys") or ()]
    if mismatched:
        raise BackboneError(
            f"backbone '{backbone.name}': {len(mismatched)} weights have another shape than "
            f"config.json says ({listed(mismatched, _MOST_NAMED)}). {_ADVICE}"
        )
    missing = sorted(str(key) for key in report.get("missing_keys") or ())
    missing = [key for key in missing if not _COMPUTED.search(key)]
    if missing:
        raise BackboneError(
            f"backbone '{backbone.name}': the file lacks {len(missing)} of the model's weights "
            f"({listed(missing, _MOST_NAMED)}); they would be random. {_ADVICE}"
        )
    extra = sorted(str(key) for key in report.get("unexpected_keys") or ())
    extra = [key for key in extra if not _COMPUTED.search(key)]
    own = _modules(backbone.model)
    inside = [key for key in extra if _place(key) in own]
    if inside:
        raise BackboneError(
            f"backbone '{backbone.name}': the file holds {len(inside)} weights of layers that the "
            f"model does not use ({listed(inside, _MOST_NAMED)}): config.json belongs to another "
            f"model, or a quantization is not declared in it. {_ADVICE}"
        )
    if extra:
        logger.warning(
            "backbone '%s': %d weights of the file are not used: %s",
            backbone.name,
            len(extra),
            listed(extra, _MOST_NAMED),
        )


def _modules(model: Any) -> set[str]:
    """Return the names of the modules that hold weights, layer numbers left out."""
    return {_place(name) for name, _ in model.named_parameters()}


def _place(key: str) -> str:
    """Return the module that a weight belongs to, layer numbers and the outer prefix left out."""
    parts = [part for part in key.split(".")[:-1] if part not in ("model", "transformer")]
    return ".".join("N" if part.isdigit() else part for part in parts)


def _check_tokenizer(backbone: Any) -> None:
    """Demand an embedding row for every token, as symbols have ids behind them."""
    vocabulary = backbone.tokenizer.get_vocab()
    beyond = sorted((i, token) for token, i in vocabulary.items() if i >= backbone.vocab_size)
    if beyond:
        shown = ", ".join(repr(token) for _, token in beyond[:_MOST_NAMED])
        raise BackboneError(
            f"backbone '{backbone.name}': the tokenizer has {len(beyond)} tokens ({shown}) beyond "
            f"the {backbone.vocab_size} rows of the embedding. Give the tokenizer that the model "
            "was trained with, or a model whose embedding was resized and trained for it."
        )


@torch.no_grad()
def _check_states(backbone: Any) -> None:
    """Demand finite states, and states that no later token changes."""
    for what, module in (
        ("embedding", backbone.model.get_input_embeddings()),
        ("output matrix", backbone.model.get_output_embeddings()),
    ):
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and not bool(torch.isfinite(weight.sum(dtype=torch.float32))):
            raise BackboneError(_not_finite(backbone.name, f"its {what} holds"))
    count = min(_PROBE_TOKENS, backbone.max_positions)
    half = count // 2
    first = (torch.arange(count) * 37 + 11) % backbone.vocab_size
    second = first.clone()
    second[half:] = (first[half:] * 5 + 7) % backbone.vocab_size
    ids = torch.stack([first, second]).to(backbone.device)  # (2, tokens)
    positions = torch.arange(count, device=backbone.device).expand_as(ids)
    states = backbone.hidden_states(
        backbone.embed(ids), torch.ones_like(ids), positions, may_run_again=False
    ).float()
    if not bool(torch.isfinite(states).all()):
        raise BackboneError(_not_finite(backbone.name, "it computes"))
    size = states.square().mean().sqrt().clamp_min(1e-12)
    change = float((states[0, :half] - states[1, :half]).abs().max() / size)
    rounding = 1e-4 if backbone.dtype in (torch.float32, torch.float64) else 3e-2
    if change > rounding:
        kind = getattr(backbone.config, "model_type", "unknown")
        raise BackboneError(
            f"backbone '{backbone.name}': the model ({kind}) is not causal: later tokens change "
            f"the states of earlier ones (by {change:.2g} of their size). taglm needs a causal "
            "(decoder-only) language model, such as Llama, Qwen, Mistral, Gemma or GPT-NeoX."
        )


def _not_finite(name: str, what: str) -> str:
    return (
        f"backbone '{name}': {what} NaN or infinite numbers. The file may be damaged, or its "
        "weights overflow in this precision (fp16 above 65,504). Download it again, or take "
        "weights in fp32 or bf16."
    )
