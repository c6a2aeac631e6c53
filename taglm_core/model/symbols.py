"""Symbol tables: embedding and output rows for a domain's alphabet, made from the LM's own."""

import torch
from torch import Tensor

from taglm_core.errors import BackboneError
from taglm_core.model.backbone import Backbone

# Weight of the i-th token of a spelling. Decreasing and not normalized to sum one, so that "ab",
# "ba", "a" and "aa" all give different rows.
_DECAY = 0.5


def spelling_ids(backbone: Backbone, spelling: str) -> list[int]:
    """Return the LM's token ids of a spelling, without the blank that some tokenizers prepend.

    Raises:
        BackboneError: when the tokenizer gives no token for it.
    """
    ids: list[int] = backbone.tokenizer(spelling, add_special_tokens=False)["input_ids"]
    while len(ids) > 1 and not backbone.tokenizer.decode(ids[:1]).strip() and spelling.strip():
        ids = ids[1:]
    if not ids:
        raise BackboneError(
            f"backbone '{backbone.name}': its tokenizer gives no token for the spelling "
            f"{spelling!r}."
        )
    return ids


@torch.no_grad()
def symbol_rows(backbone: Backbone, spellings: tuple[str, ...]) -> Tensor:
    """Return the input embedding of each symbol, fp32 `(symbols, hidden)`.

    A position-weighted mean over the tokens of its spelling, of what the embedding module returns.
    """
    rows = []
    for spelling in spellings:
        ids = torch.tensor(spelling_ids(backbone, spelling), device=backbone.device)
        rows.append(_weights(len(ids)).to(ids.device) @ backbone.embed(ids).float())
    return torch.stack(rows).cpu()  # (symbols, hidden)


@torch.no_grad()
def output_rows(backbone: Backbone, spellings: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return the rows of the LM's output matrix for each symbol and for the end of a sequence.

    Returns:
        Weights fp32 `(symbols + 1, hidden)` and biases fp32 `(symbols + 1,)`; the last entry is
        the end symbol, the LM's own end-of-text token.
    """
    layer = backbone.model.get_output_embeddings()
    weight, bias = layer.weight, getattr(layer, "bias", None)
    rows, offsets = [], []
    for ids in [*(spelling_ids(backbone, s) for s in spellings), [backbone.end_id]]:
        index = torch.tensor(ids, device=weight.device)
        share = _weights(len(ids)).to(weight.device)
        share = share / share.sum()  # a mean, so that logits keep their scale
        rows.append(share @ weight[index].float())
        offsets.append(share @ bias[index].float() if bias is not None else share.new_zeros(()))
    return torch.stack(rows), torch.stack(offsets)


def _weights(count: int) -> Tensor:
    weights = _DECAY ** torch.arange(count, dtype=torch.float32)
    return weights / weights.pow(2).sum().sqrt()
