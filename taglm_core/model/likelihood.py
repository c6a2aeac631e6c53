"""How likely a domain's symbols are after a tag: the softmax of a domain and its log-likelihood."""

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.model.backbone import Backbone
from taglm_core.model.symbols import output_rows
from taglm_core.model.tagged import TaggedModel
from taglm_core.specs import Encoder

_IGNORED = -100
_UNSEEN = 0.5
"""Times that a symbol counts beyond its occurrences, so that no symbol is impossible."""
_ROUNDS = 4
_LOWEST, _HIGHEST = -30.0, 3.0
"""Limits of an offset in nats. A symbol that the corpus lacks is only lowered."""


@attrs.frozen
class DomainSoftmax:
    """What predicts the next symbol: the LM's rows of the alphabet and its end, or its vocabulary.

    The last symbol is the end of a row.
    """

    backbone: Backbone
    rows: tuple[Tensor, Tensor] | None
    """Weights `(symbols + 1, hidden)` and biases `(symbols + 1,)`; None: the LM's vocabulary."""
    end: int
    """Index of the end among the outputs."""
    offsets: Tensor | None = None
    """fp32 `(symbols + 1,)`, added to the logits; None: nothing is."""

    @staticmethod
    def of(
        backbone: Backbone, encoder: Encoder | None, offsets: Tensor | None = None
    ) -> "DomainSoftmax":
        """Return the softmax of a domain; without a symbol encoder it is the LM's own.

        Args:
            backbone: The backbone.
            encoder: The domain's symbol encoder; None: the LM's tokenizer.
            offsets: What stage 1 added to the logits, see `calibrated`; None: nothing.
        """
        if encoder is None:
            return DomainSoftmax(backbone, None, backbone.end_id)
        rows = output_rows(backbone, tuple(encoder.spellings))
        if offsets is not None:
            offsets = offsets.to(rows[0].device)
        return DomainSoftmax(backbone, rows, len(encoder.symbols), offsets)

    def logits(self, states: Tensor) -> Tensor:
        """Map `(..., hidden)` to fp32 `(..., symbols + 1)`, or to the LM's vocabulary."""
        if self.rows is None:
            return self.backbone.logits(states).float()
        weight, bias = self.rows
        logits = self.backbone.scale_logits(states.float() @ weight.T + bias)
        return logits if self.offsets is None else logits + self.offsets


def symbol_nats(
    model: TaggedModel,
    softmax: DomainSoftmax,
    before: np.ndarray,
    pieces: Sequence[np.ndarray],
    base: int,
    skip: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return the negative log-likelihood of each symbol of some rows, their ends included.

    Args:
        model: Holds the tag and, for a symbol encoder, the table.
        softmax: Of the domain.
        before: int `(tokens,)`: what stands before every row, such as the domain tag; or
            `(rows, tokens)`, before each.
        pieces: int `(symbols,)` a row: symbol indices, or token ids of a text domain.
        base: First id of the domain's symbols in the common space; 0 for text.
        skip: Symbols at the start of each row that do not count.

    Returns:
        Nats fp32 `(labels,)`, and int64 `(labels,)`, the row of each.
    """
    states, wanted, owner = _label_states(model, softmax, before, pieces, base, skip)
    logits = softmax.logits(states)  # (labels, alphabet + 1)
    return torch.nn.functional.cross_entropy(logits, wanted, reduction="none"), owner


@torch.no_grad()
def calibrated(
    model: TaggedModel,
    softmax: DomainSoftmax,
    before: np.ndarray,
    pieces: Sequence[np.ndarray],
    base: int,
    counts: np.ndarray,
) -> DomainSoftmax:
    """Return the softmax with offsets such that each symbol is as frequent as in the corpus.

    The output row of a symbol that the LM spells with several tokens is a mean of theirs, so that
    a symbol that never occurs (`Cn`) would be drawn wherever its tokens are likely (`C`, `n`).

    Args:
        model: Holds the tag and the table.
        softmax: Of a domain with a symbol encoder.
        before: int `(tokens,)`: what stands before every row.
        pieces: int `(symbols,)` a row: a sample of the corpus.
        base: First id of the domain's symbols in the common space.
        counts: int `(symbols + 1,)`: how often each symbol, and the end, occurs in the corpus.
    """
    states, _, _ = _label_states(model, softmax, before, pieces, base, 0)
    occurring = torch.as_tensor(counts, dtype=torch.float64, device=states.device) + _UNSEEN
    wanted = (occurring / occurring.sum()).log()
    highest = torch.where(occurring > _UNSEEN, _HIGHEST, 0.0)
    offsets = torch.zeros(len(wanted), device=states.device)
    for _ in range(_ROUNDS):
        present = attrs.evolve(softmax, offsets=offsets)
        predicted = present.logits(states).softmax(dim=1).double().mean(dim=0)
        step = wanted - predicted.clamp_min(1e-30).log()
        offsets = (offsets.double() + step).clamp_min(_LOWEST).minimum(highest).float()
    return attrs.evolve(softmax, offsets=offsets)


def _label_states(
    model: TaggedModel,
    softmax: DomainSoftmax,
    before: np.ndarray,
    pieces: Sequence[np.ndarray],
    base: int,
    skip: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the states that predict the symbols of some rows, these symbols, and their rows."""
    backbone = softmax.backbone
    lengths = [len(piece) for piece in pieces]
    width = before.shape[-1]
    longest, seq = max(lengths), width + max(lengths)
    ids = np.zeros((len(pieces), seq), dtype=np.int64)
    ids[:, :width] = before
    labels = np.full((len(pieces), longest + 1), _IGNORED, dtype=np.int64)
    for place, (piece, length) in enumerate(zip(pieces, lengths, strict=True)):
        ids[place, width : width + length] = piece + base
        labels[place, :length] = piece
        labels[place, length] = softmax.end
    labels[:, :skip] = _IGNORED
    token_ids = torch.from_numpy(ids).to(backbone.device)
    positions = torch.arange(seq, device=backbone.device).expand_as(token_ids)
    # padded on the right under a plain causal mask: real tokens never see padding
    states = model.run(token_ids, None, positions)
    start = width - 1  # the position that predicts the first symbol
    if start < 0:  # nothing stands before the first symbol: it cannot be predicted
        labels = labels[:, 1:]
        start = 0
    wanted = torch.from_numpy(labels).to(backbone.device)
    chosen = states[:, start : start + wanted.shape[1]]
    is_label = wanted != _IGNORED  # (batch, symbols)
    rows = torch.arange(len(pieces), device=backbone.device).unsqueeze(1).expand_as(wanted)
    return chosen[is_label], wanted[is_label], rows[is_label]
