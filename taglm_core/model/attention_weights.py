"""Attention weights of the last positions of a row, which no other pass keeps."""

import torch
from torch import Tensor

from taglm_core.errors import BackboneError
from taglm_core.model.collate import Batch
from taglm_core.model.tagged import TaggedModel


@torch.no_grad()
def attention_of_suffix(model: TaggedModel, prefix: Batch | None, suffix: Batch) -> Tensor:
    """Return how much each position of a suffix attends to all before it and itself.

    Only the suffix runs with attention that is written out, so that the memory does not grow
    with the square of the prefix.

    Args:
        model: The tagged model.
        prefix: What comes first in the one row, `(1, past)`; None: nothing does.
        suffix: What comes behind it, `(1, seq)`.

    Returns:
        fp32 `(seq, past + seq)`, the mean over heads and layers; each row sums to 1.

    Raises:
        BackboneError: when the model gives no attention weights.
    """
    from transformers import DynamicCache

    backbone = model.backbone
    past = 0 if prefix is None else prefix.ids.shape[1]
    places = torch.arange(past + suffix.ids.shape[1], device=backbone.device).unsqueeze(0)
    cache = DynamicCache()
    if prefix is not None:
        model.run(prefix.ids, prefix.mask(backbone.dtype), places[:, :past], cache)
    before = backbone.model.config._attn_implementation
    try:
        backbone.model.set_attn_implementation("eager")
        with model.acting(suffix.ids):
            output = backbone.base(
                inputs_embeds=model.embed(suffix.ids).to(backbone.dtype),
                attention_mask=torch.ones_like(places),
                position_ids=places[:, past:],
                past_key_values=cache,
                use_cache=True,
                output_attentions=True,
            )
    except ValueError as error:  # transformers: the architecture has no such attention
        raise BackboneError(f"backbone '{backbone.name}': no attention weights: {error}") from error
    finally:
        backbone.model.set_attn_implementation(before)
    layers = [layer for layer in output.attentions or () if layer is not None]
    if not layers:
        raise BackboneError(f"backbone '{backbone.name}' gives no attention weights.")
    return torch.stack([layer[0].float().mean(dim=0) for layer in layers]).mean(dim=0)
