"""Symbol tables: embedding and output rows for a domain's alphabet, made from the LM's own."""

import torch
from torch import Tensor

from taglm_core.errors import BackboneError
from taglm_core.model.backbone import Backbone

BARE, SPACED, MEAN = "bare", "spaced", "mean"
STARTS = (BARE, SPACED, MEAN)
"""What an embedding row is made from: the spelling, the spelling after a space, both."""

# Weight of the i-th token of a spelling. Decreasing and not normalized to sum one, so that "ab",
# "ba", "a" and "aa" all give different rows.
_DECAY = 0.5


def spelling_ids(backbone: Backbone, spelling: str, is_spaced: bool = False) -> list[int]:
    """Return the LM's token ids of a spelling, without the blank that some tokenizers prepend.

    Args:
        backbone: Brings the tokenizer.
        spelling: Such as "Cl".
        is_spaced: As it is read after a space, where most tokenizers have a token of its own.

    Raises:
        BackboneError: when the tokenizer gives no token for it.
    """
    text = f" {spelling}" if is_spaced else spelling
    ids: list[int] = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    while len(ids) > 1 and not backbone.tokenizer.decode(ids[:1]).strip() and spelling.strip():
        ids = ids[1:]
    if not ids:
        raise BackboneError(
            f"backbone '{backbone.name}': its tokenizer gives no token for the spelling "
            f"{spelling!r}."
        )
    return ids


@torch.no_grad()
def symbol_rows(backbone: Backbone, spellings: tuple[str, ...], start: str = BARE) -> Tensor:
    """Return the input embedding of each symbol, fp32 `(symbols, hidden)`.

    A position-weighted mean over the tokens of its spelling, of what the embedding module returns.

    Args:
        backbone: Brings tokenizer and embeddings.
        spellings: One for each symbol.
        start: One of `STARTS`. A tokenizer that puts a space before every text gives the same
            rows with all three.
    """
    if start == MEAN:
        return (symbol_rows(backbone, spellings) + symbol_rows(backbone, spellings, SPACED)) / 2
    rows = []
    for spelling in spellings:
        spelled = spelling_ids(backbone, spelling, start == SPACED)
        ids = torch.tensor(spelled, device=backbone.device)
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
