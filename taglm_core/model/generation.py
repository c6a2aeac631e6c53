"""Writing output texts: greedy, beam or sampled, by the backbone's public `generate`.

What is the same for many rows, the tags and words before the first field, is run once and its keys
and values are given to every batch.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from taglm_core.model.assembly import Rows
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import Batch, collate
from taglm_core.model.sampling import RowDraws, row_seed
from taglm_core.model.tagged import TaggedModel
from taglm_core.specs.decoding import Decoding

Watch = Callable[[int, list[int]], bool]
"""Hears the index of a row and the token ids that it has so far; says whether to write on."""

_WORTH_KEEPING = 4
"""Tokens from which a common beginning is kept rather than run again."""


@torch.no_grad()
def write(
    model: TaggedModel,
    rows: Rows,
    decoding: Decoding,
    max_new_tokens: int,
    prefix_length: int = 0,
    max_tokens: int = 8192,
    on_progress: Callable[[int], None] | None = None,
    watch: Watch | None = None,
) -> list[list[int]]:
    """Write the output of every row.

    Prompts are padded on the left and every row has random numbers of its own, so a row is written
    the same alone and in any batch.

    Args:
        model: Backbone with tags and tables.
        rows: Rows without outputs; one with an error writes nothing.
        decoding: How.
        max_new_tokens: Longest output in tokens; less where the backbone's positions end.
        prefix_length: Ids at the start of every row that its fields do not decide.
        max_tokens: Token budget of a batch, outputs and hypotheses included.
        on_progress: Called with the number of rows done.
        watch: Hears each token as it is written; a row for which it returns False ends there. Beam
            search, whose texts change until they end, does not call it.

    Returns:
        Token ids of each row, without the end.
    """
    end = model.backbone.end_id
    written: list[list[int]] = [[] for _ in range(len(rows))]
    done = 0
    for members, limit in _groups(model, rows, max_new_tokens, prefix_length):
        prefix = _common(model, rows, members, prefix_length)
        width = decoding.beams if decoding.how == "beam" else 1
        lengths = (rows.lengths[members] + limit) * width
        for indices in batches_by_tokens(lengths, max_tokens):
            chosen = members[indices]
            for row, ids in zip(
                chosen, _batch(model, rows, chosen, decoding, limit, prefix, watch), strict=True
            ):
                written[int(row)] = _until(end, ids)
            done += len(chosen)
            if on_progress is not None:
                on_progress(done)
    return written


def _until(end: int, ids: list[int]) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids


def _groups(
    model: TaggedModel, rows: Rows, max_new_tokens: int, prefix_length: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield rows that begin alike and may write equally much, with that limit."""
    groups: dict[tuple[bytes, int], list[int]] = {}
    for i in rows.good:
        room = max(1, model.backbone.max_positions - len(rows.ids[i]))
        key = (rows.ids[i][:prefix_length].tobytes(), min(room, max_new_tokens))
        groups.setdefault(key, []).append(int(i))
    for (_, limit), members in groups.items():
        yield np.array(members), limit


def _common(
    model: TaggedModel, rows: Rows, members: np.ndarray, prefix_length: int
) -> Tensor | None:
    """Run the common beginning of some rows once.

    Returns:
        `(1, prefix_length, layers, 2, kv_heads, head_dim)` as `TaggedModel.keys_and_values` gives,
        or None where it is not worth while.
    """
    if prefix_length < _WORTH_KEEPING or len(members) < 2:
        return None
    first = rows.select(members[:1])
    cut = Rows(
        [first.ids[0][:prefix_length]],
        [first.spans[0][:prefix_length]],
        first.suffix,
        first.read,
        first.errors,
    )
    return model.keys_and_values(collate(cut, [0], False, model.backbone.device))


def _batch(
    model: TaggedModel,
    rows: Rows,
    chosen: np.ndarray,
    decoding: Decoding,
    limit: int,
    prefix: Tensor | None,
    watch: Watch | None,
) -> list[list[int]]:
    """Write one batch: token ids of each row, the end and what follows it included."""
    backbone = model.backbone
    batch = collate(rows, chosen, False, backbone.device, side="left")
    settings: dict[str, Any] = {
        "max_new_tokens": limit,
        "do_sample": False,
        "num_beams": 1,
        "eos_token_id": backbone.end_id,
        "pad_token_id": backbone.end_id,
    }
    if decoding.min_new_tokens:
        settings["min_new_tokens"] = min(decoding.min_new_tokens, limit)
    if decoding.how == "beam":
        settings |= {"num_beams": decoding.beams, "length_penalty": decoding.length_penalty}
    elif decoding.how == "sample":
        stable = [model.layout.stable(rows.ids[int(i)]) for i in chosen]
        seeds = [row_seed(decoding.seed, ids) for ids in stable]
        settings["logits_processor"] = [
            _Drawn(RowDraws(seeds, decoding.temperature, decoding.top_p))
        ]
    if watch is not None and decoding.how != "beam":
        settings["stopping_criteria"] = [_Watched(watch, chosen, backbone.end_id)]
    if prefix is not None:
        batch = _prefix_first(batch, prefix.shape[1])
        settings["past_key_values"] = _cache(prefix, len(chosen) * settings["num_beams"])
    with model.acting(batch.ids * batch.is_real, writes=True):
        written: Tensor = backbone.model.generate(
            inputs_embeds=model.embed(batch.ids).to(backbone.dtype),
            attention_mask=batch.is_real.long(),
            **settings,
        )
    listed: list[list[int]] = written.tolist()
    return listed


def _prefix_first(batch: Batch, prefix_length: int) -> Batch:
    """Move the padding of rows padded on the left behind their common prefix."""
    seq = batch.ids.shape[1]
    padding = seq - batch.lengths  # (batch,)
    column = torch.arange(seq, device=batch.ids.device)
    is_prefix = column < prefix_length
    source = torch.where(is_prefix, column + padding.unsqueeze(1), column)  # (batch, seq)
    # a column behind the common prefix is padding until as many have passed as stood on the left
    is_real = is_prefix | (column >= prefix_length + padding.unsqueeze(1))
    return Batch(
        ids=batch.ids.gather(1, source) * is_real,
        is_real=is_real,
        position_ids=batch.position_ids.gather(1, source),
        spans=None,
        read=batch.read,
    )


def _cache(prefix: Tensor, count: int) -> Any:
    """Return a transformers cache that holds the common beginning for `count` rows."""
    from taglm_core.model.tagged import PastBatch

    expanded = prefix.expand(count, *prefix.shape[1:])
    is_real = torch.ones(count, prefix.shape[1], dtype=torch.bool, device=prefix.device)
    return PastBatch(expanded, is_real).cache()


class _Drawn:
    """A logits processor that turns the arg max of greedy decoding into a draw."""

    def __init__(self, draws: RowDraws) -> None:
        self.draws = draws

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Add noise: `(batch, vocab)` to the same."""
        return self.draws.noisy(scores)


class _Watched:
    """A stopping criterion that tells of each new token, and ends rows that nobody waits for."""

    def __init__(self, watch: Watch, rows: np.ndarray, end: int) -> None:
        self._watch, self._rows, self._end = watch, rows, end
        self._is_done = [False] * len(rows)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Look at what is written, `(batch, written)`; return bool `(batch,)`: rows that end."""
        for k, ids in enumerate(input_ids.tolist()):
            if not self._is_done[k]:
                goes_on = self._watch(int(self._rows[k]), _until(self._end, ids))
                self._is_done[k] = self._end in ids or not goes_on
        return torch.tensor(self._is_done, device=input_ids.device)
