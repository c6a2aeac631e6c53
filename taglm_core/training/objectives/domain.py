"""Stage 1: a domain tag learns to make the frozen backbone predict the domain's next symbol."""

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.encoders import TextEncoder, encode_checked
from taglm_core.errors import DataError
from taglm_core.model.assembly import Layout
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.likelihood import DomainSoftmax, calibrated, symbol_nats
from taglm_core.model.tagged import TaggedModel
from taglm_core.specs import Encoder
from taglm_core.training import processes

_CALIBRATION_ROWS = 128
"""Corpus rows from which the offsets of the symbols are computed."""


@attrs.frozen
class _Rows:
    """Encoded corpus rows: LM token ids or symbol indices."""

    ids: list[np.ndarray]
    lengths: np.ndarray


class DomainObjective:
    """Next-symbol prediction after `[BOS;] tag; x_1 .. x_n` (Tag-LLM section 3.2, stage 1).

    The softmax runs over the domain's alphabet and an end symbol; for text domains over the LM's
    vocabulary. The loss is the mean over predicted symbols in nats.
    """

    sorts_batches = True

    def __init__(
        self,
        model: TaggedModel,
        domain: str,
        tag: str,
        encoder: Encoder | None,
        train: Sequence[Any],
        held_out: Sequence[Any],
        max_tokens: int,
        softmax: DomainSoftmax | None = None,
    ) -> None:
        """Encode the corpus.

        Args:
            model: Holds the tag and, for a symbol encoder, the table.
            domain: Full name of the domain.
            tag: Key of the tag in the model.
            encoder: Symbol encoder; None: the LM's tokenizer.
            train: Canonical rows.
            held_out: Canonical rows for the score.
            max_tokens: Token budget of an evaluation batch.
            softmax: Of the domain; None: one that is calibrated on the corpus.
        """
        self.model = model
        self.domain = domain
        self.tag = tag
        self.encoder = encoder
        self.max_tokens = max_tokens
        self.num_cut = 0
        self.train = self._encode(train)
        self.held_out = self._encode(held_out)
        self.lengths = self.train.lengths + len(self._before())
        self.softmax = self._softmax() if softmax is None else softmax

    def _encode(self, rows: Sequence[Any]) -> _Rows:
        if self.encoder is None:
            encoded = TextEncoder(self.model.backbone.tokenizer).encode_batch(rows)
        else:
            encoded = encode_checked(self.encoder, rows, self.domain)
        limit = self.model.backbone.max_positions - 64
        pieces = []
        for i, error in enumerate(encoded.errors):
            if error is not None:
                raise DataError(f"corpus of {self.domain}, row {i + 1}: {error}.")
            piece = encoded.ids[encoded.offsets[i] : encoded.offsets[i + 1]]
            self.num_cut += len(piece) > limit  # trained on its beginning, and reported
            pieces.append(piece[:limit])
        return _Rows(pieces, np.array([len(piece) for piece in pieces], dtype=np.int64))

    def _softmax(self) -> DomainSoftmax:
        """Return the domain's softmax, calibrated on the corpus where it has symbols."""
        softmax = DomainSoftmax.of(self.model.backbone, self.encoder)
        if self.encoder is None:
            return softmax
        counts = np.bincount(np.concatenate(self.train.ids), minlength=softmax.end + 1)
        counts[softmax.end] = len(self.train.ids)
        sample = self.train.ids[:_CALIBRATION_ROWS]
        return calibrated(self.model, softmax, self._before(), sample, self._base(), counts)

    def _base(self) -> int:
        """Return the first id of the domain's symbols in the common space, 0 for text."""
        return self.model.layout.symbols[self.domain][0] if self.encoder is not None else 0

    def _before(self, variant: str = "tag") -> np.ndarray:
        layout: Layout = self.model.layout
        bos = np.asarray(self.model.backbone.bos_ids, dtype=np.int32)
        if variant == "tag":
            return np.concatenate([bos, layout.tag_ids(self.tag)])
        if variant == "words":
            words = TextEncoder(self.model.backbone.tokenizer).encode(
                f"{self.domain.rpartition('/')[2]}:"
            )
            return np.concatenate([bos, words])
        return bos

    def _before_of(self, rows: _Rows, indices: np.ndarray, variant: str) -> np.ndarray:
        """Return what stands before some rows, `(tokens,)` or `(rows, tokens)`."""
        return self._before(variant)

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """Return nothing: the tag is all that changes."""
        return ()

    def refine(self) -> None:
        """Do nothing: a tag has no closed form."""

    def begin(self, indices: np.ndarray, num_batches: int) -> None:
        """Do nothing: the loss of a row depends on that row alone."""

    def weight(self, indices: np.ndarray) -> float:
        """Return how many symbols are predicted, the end included."""
        return float((self.train.lengths[indices] + 1).sum())

    def loss(self, indices: np.ndarray) -> tuple[Tensor, float]:
        """Return the summed negative log-likelihood in nats and the number of symbols."""
        total, count = self._nll(self.train, indices, "tag", 0)
        return total, count

    def _nll(
        self, rows: _Rows, indices: np.ndarray, variant: str, skip: int
    ) -> tuple[Tensor, float]:
        """Sum -log p over the symbols after the first `skip` of each row.

        Each of several processes runs its own rows.
        """
        own = np.asarray(indices)[processes.is_own(indices)]
        part, count = torch.zeros((), device=self.model.backbone.device), 0
        if len(own):
            nats, _ = symbol_nats(
                self.model,
                self.softmax,
                self._before_of(rows, own, variant),
                [rows.ids[int(i)] for i in own],
                self._base(),
                skip,
            )
            part, count = nats.sum(), len(nats)
        number = torch.tensor(float(count), device=part.device)
        return processes.total(part), float(processes.total(number))

    @torch.no_grad()
    def nats(self, variant: str = "tag", skip: int = 0) -> float:
        """Return held-out nats per symbol.

        Args:
            variant: "tag"; "none": nothing before the data; "words": the domain's name in text.
            skip: Symbols at the start of each row that do not count; 1 where the variants are
                compared, since without anything before it the first symbol cannot be predicted.
        """
        total = count = 0.0
        lengths = self.held_out.lengths + len(self._before(variant))
        for batch in batches_by_tokens(lengths, self.max_tokens):
            nll, number = self._nll(self.held_out, batch, variant, skip)
            total += float(nll)
            count += number
        return total / max(count, 1.0)

    def moved(self) -> None:
        """Do nothing: nothing is kept between evaluations."""

    def evaluate(self) -> tuple[float, dict[str, float]]:
        """Return held-out nats per symbol, the score and the record."""
        nats = self.nats()
        return nats, {"nats_per_symbol": nats}
