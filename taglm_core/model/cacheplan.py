"""The plan of a cache: what reuse would save by count of work, and how much memory it may take.

Work is counted in multiply-adds of weights and of attention, so that a plan says the same on every
machine; what a step then takes depends on the machine too.
"""

from collections.abc import Sequence

import attrs
import numpy as np
import psutil
import torch

from taglm_core.errors import ConfigError
from taglm_core.model.backbone import Backbone
from taglm_core.model.blocks import SPAN, TEXT, RowBlocks

AUTO, OFF = "auto", "off"
_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_MOST_OF_FREE = 0.9
_WORTH = 1.1
"""Saving below which blocks are not kept: the bookkeeping would eat it."""


def cache_setting(value: object) -> str:
    """Return `auto`, `off` or a size as given, checked.

    Raises:
        ConfigError: for anything else.
    """
    text = str(value).strip().lower()
    if text in ("false", "0", "0.0"):  # YAML reads a bare off as false
        text = OFF
    if text not in (AUTO, OFF):
        _size(text, value)
    return text


def _size(text: str, given: object) -> int:
    number, factor = text, 1e9
    for unit, bytes_of_unit in _UNITS.items():
        if text.endswith(unit):
            number, factor = text.removesuffix(unit), bytes_of_unit
    try:
        size = float(number)
    except ValueError:
        size = -1.0
    if not 0 <= size * factor < 1e18:
        raise ConfigError(
            f"the cache is {given!r}: write auto, off, or a size such as 500MB or 2GB (a bare "
            "number is GB)."
        )
    return int(size * factor)


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def cache_budget(setting: str, device: torch.device) -> tuple[int, str]:
    """Return the bytes that a cache may take, and a remark when that is less than asked for.

    Args:
        setting: `auto`: half of what is free; `off`: none; a size: that, but never more than
            nine tenths of what is free.
        device: Where the cache will lie.
    """
    free = free_bytes(device)
    if setting == OFF:
        return 0, ""
    if setting == AUTO:
        return free // 2, ""
    wanted = _size(setting, setting)
    most = int(_MOST_OF_FREE * free)
    if wanted <= most:
        return wanted, ""
    return most, f"the cache takes {shown(most)} instead of {setting}: {shown(free)} are free"


@attrs.frozen
class WorkOfRows:
    """Multiply-adds of a forward pass."""

    per_token: float
    """By the weights, for one token."""
    per_pair: float
    """By attention, for one token that sees one key."""

    @staticmethod
    def of(backbone: Backbone) -> "WorkOfRows":
        """Count those of a backbone."""
        config = backbone.config
        embedding = backbone.model.get_input_embeddings().weight
        weights = sum(p.numel() for p in backbone.base.parameters() if p.dim() == 2)
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or backbone.hidden_size // heads
        pairs = 2.0 * config.num_hidden_layers * heads * head_dim
        return WorkOfRows(float(weights - embedding.numel()), pairs)

    def run(self, tokens: np.ndarray, before: np.ndarray | int = 0) -> np.ndarray:
        """Return the work of causal passes of some tokens that also see all `before` them."""
        tokens = np.asarray(tokens, dtype=np.float64)
        seen = tokens * before + tokens * (tokens + 1) / 2
        return np.asarray(tokens * self.per_token + seen * self.per_pair)


def bytes_per_token(backbone: Backbone, itemsize: int) -> int:
    """Return what keys and values of one token take."""
    config = backbone.config
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or backbone.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    return int(2 * config.num_hidden_layers * kv_heads * head_dim * itemsize)


@attrs.frozen(kw_only=True)
class ReusePlan:
    """What reuse would do for some rows."""

    rows: int
    distinct: int
    """Distinct blocks."""
    tokens: int
    """Tokens of the distinct blocks."""
    row_tokens: int
    """Tokens of the rows."""
    token_bytes: int
    """Bytes that a kept token takes."""
    budget: int
    """Bytes that may be kept."""
    share: float
    """Share of the block tokens that fits the budget."""
    speedup: float
    """Work of whole rows over the work with reuse, over all passes."""
    device: str

    @property
    def is_worth(self) -> bool:
        """Whether reuse pays."""
        return self.speedup >= _WORTH

    def line(self) -> str:
        """Return the plan in one line."""
        if self.budget == 0:
            return "reuse: off"
        need = shown(self.tokens * self.token_bytes)
        if not self.is_worth:
            return (
                f"reuse: none, since what recurs in {self.rows:,} rows would save only "
                f"{100 * (1 - 1 / self.speedup):.0f} % of the work (cache {need}, "
                f"{shown(self.budget)} allowed)"
            )
        held = "all" if self.share >= 1 else f"{100 * self.share:.0f} %"
        return (
            f"reuse: {self.rows:,} rows of {self.row_tokens / max(1, self.rows):.0f} tokens share "
            f"{self.distinct:,} blocks; cache {need} at {shown(self.token_bytes)} a token, {held} "
            f"kept on {self.device} (up to {shown(self.budget)}); about {self.speedup:.1f} times "
            "less work"
        )


def plan_reuse(
    parts: Sequence[tuple[RowBlocks, np.ndarray]],
    backbone: Backbone,
    budget: int,
    passes: float = 1.0,
    trains: bool = False,
    itemsize: int | None = None,
) -> ReusePlan:
    """Count what reuse would save.

    Args:
        parts: Blocks of rows, and int64 `(rows,)` tokens of each row; parts are counted as if
            they shared nothing.
        backbone: Runs the rows.
        budget: Bytes that may be kept.
        passes: How often each row is run.
        trains: Whether a pass has a backward, which costs twice the forward and never reaches
            kept blocks.
        itemsize: Bytes of a number in the cache; None: as the backbone's weights.
    """
    work = WorkOfRows.of(backbone)
    token_bytes = bytes_per_token(backbone, itemsize or backbone.dtype.itemsize)
    factor = (3.0 if trains else 1.0) * passes
    whole = reused = 0.0
    distinct = tokens = rows = row_tokens = kept_tokens = 0
    room = budget // token_bytes
    for blocks, lengths in parts:
        whole += factor * float(work.run(lengths).sum())
        reused += factor * float(work.run(lengths - blocks.tails, blocks.tails).sum())
        cost = block_work(blocks, work)
        uses = blocks.uses
        order = np.argsort(-uses, kind="stable")
        is_kept = np.zeros(len(uses), dtype=bool)
        is_kept[order] = np.cumsum(blocks.sizes[order]) <= room
        room -= int(blocks.sizes[is_kept].sum())
        reused += float(cost[is_kept].sum() + passes * (cost * uses)[~is_kept].sum())
        distinct += int((blocks.sizes > 0).sum())
        tokens += int(blocks.sizes.sum())
        kept_tokens += int(blocks.sizes[is_kept].sum())
        rows += len(lengths)
        row_tokens += int(lengths.sum())
    return ReusePlan(
        rows=rows,
        distinct=distinct,
        tokens=tokens,
        row_tokens=row_tokens,
        token_bytes=token_bytes,
        budget=budget,
        share=kept_tokens / max(1, tokens),
        speedup=whole / max(reused, 1.0),
        device=str(backbone.device),
    )


def block_work(blocks: RowBlocks, work: WorkOfRows) -> np.ndarray:
    """Return the work of computing each distinct block once, fp64 `(distinct blocks,)`."""
    before = np.zeros(len(blocks.sizes), dtype=np.int64)
    for column, kind in enumerate(blocks.kinds):
        if kind == TEXT:
            before[blocks.ids[:, column]] = blocks.cuts[:, column]
        elif kind == SPAN:
            before[blocks.ids[:, column]] = 0
    return work.run(blocks.sizes, before)


def shown(size: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
