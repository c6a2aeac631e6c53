"""The tagged model: a frozen backbone, its symbol tables, tags and heads, and their forward.

Letters of shapes: batch, seq, hidden, vocab as everywhere; past = positions held by a cache.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from taglm_core.errors import BackboneError, ShapeError
from taglm_core.model.assembly import Layout, make_layout
from taglm_core.model.backbone import Backbone
from taglm_core.model.collate import Batch
from taglm_core.model.layer_hooks import Acting, active


class TaggedModel:
    """Holds everything trainable apart from the frozen backbone.

    Not an `nn.Module`: what is trained is named explicitly by each stage.
    """

    def __init__(self, backbone: Backbone) -> None:
        """Hold nothing yet that is trained.

        Args:
            backbone: The frozen backbone.
        """
        self.backbone = backbone
        self.tags: dict[str, nn.Parameter] = {}
        """Full name of a tag -> its tag tokens, `(tag_length, hidden)`."""
        self.inner: dict[str, dict[str, nn.Parameter]] = {}
        """Tag that acts in the layers too -> its tensors there, by place."""
        self.tables: dict[str, nn.Parameter] = {}
        """Domain -> the embeddings of its symbols, `(symbols, hidden)`."""
        self.heads: dict[str, nn.Module] = {}
        """Task -> its head; none for text."""
        self._layout: Layout | None = None

    def add_tag(self, name: str, rows: Tensor, inner: Mapping[str, Tensor] | None = None) -> None:
        """Add a tag, frozen until a stage trains it.

        Args:
            name: Full name.
            rows: `(tag_length, hidden)`.
            inner: What it has in the layers, as `tag_forms.inner_tensors` gives it; None: nothing.
        """
        if rows.dim() != 2 or rows.shape[1] != self.backbone.hidden_size:
            raise ShapeError(
                f"tag {name}: shape {tuple(rows.shape)}, expected (tag_length, "
                f"{self.backbone.hidden_size})."
            )
        self.tags[name] = self._parameter(rows)
        self.inner.pop(name, None)
        if inner:
            self.backbone.layer_hooks.hook(list(inner))
            self.inner[name] = {place: self._parameter(value) for place, value in inner.items()}
        self._layout = None

    @torch.no_grad()
    def set_tag(self, name: str, rows: Tensor, inner: Mapping[str, Tensor]) -> None:
        """Give a tag other values; one that is there in this form keeps its parameters."""
        tag, own = self.tags.get(name), self.inner.get(name, {})
        if tag is None or tag.shape != rows.shape or _shapes(own) != _shapes(inner):
            self.add_tag(name, rows, inner)
            return
        tag.copy_(rows)
        for place, parameter in own.items():
            parameter.copy_(inner[place])

    def add_table(self, domain: str, rows: Tensor) -> None:
        """Add a domain's symbol table `(symbols, hidden)`, frozen until a stage trains it."""
        self.tables[domain] = self._parameter(rows)
        self._layout = None

    def _parameter(self, rows: Tensor) -> nn.Parameter:
        copied = rows.detach().to(self.backbone.device, torch.float32).clone()
        return nn.Parameter(copied, requires_grad=False)

    @property
    def layout(self) -> Layout:
        """The common id space of the LM's tokens, the symbols and the tag rows."""
        if self._layout is None:
            self._layout = make_layout(
                self.backbone.vocab_size,
                {name: len(table) for name, table in self.tables.items()},
                {name: len(tag) for name, tag in self.tags.items()},
            )
        return self._layout

    def train_only(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make exactly these parameters trainable and freeze all others."""
        wanted = {id(parameter) for parameter in parameters}
        for parameter in self.all_parameters():
            parameter.requires_grad_(id(parameter) in wanted)

    def all_parameters(self) -> list[nn.Parameter]:
        """Return tags, symbol tables and heads, never the backbone's weights."""
        heads = [p for head in self.heads.values() for p in head.parameters()]
        inner = [p for tensors in self.inner.values() for p in tensors.values()]
        return [*self.tags.values(), *inner, *self.tables.values(), *heads]

    def embed(self, ids: Tensor) -> Tensor:
        """Embed ids of the common space.

        Args:
            ids: int64 `(batch, seq)`.

        Returns:
            fp32 `(batch, seq, hidden)`.
        """
        vocab = self.backbone.vocab_size
        is_own = ids >= vocab
        with torch.no_grad():
            embedded = self.backbone.embed(ids.masked_fill(is_own, 0)).float()
        rows: list[Tensor] = [*self.tables.values(), *self.tags.values()]
        if not any(len(each) for each in rows):  # a tag may have no tokens
            return embedded
        own = torch.cat(rows)  # (symbols + rows, hidden)
        chosen = own[(ids - vocab).clamp_min(0)]  # (batch, seq, hidden)
        return torch.where(is_own.unsqueeze(-1), chosen, embedded)

    def hidden_states(self, batch: Batch) -> Tensor:
        """Run whole rows: `(batch, seq, hidden)` after the final norm."""
        return self.run(batch.ids, batch.mask(self.backbone.dtype), batch.position_ids)

    def run(
        self,
        ids: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor,
        cache: Any = None,
        may_run_again: bool = True,
    ) -> Tensor:
        """Run ids of the common space: `(batch, seq)` to fp32 `(batch, seq, hidden)`.

        The other arguments are those of `Backbone.hidden_states`.
        """
        with self.acting(ids):
            return self.backbone.hidden_states(
                self.embed(ids), attention_mask, position_ids, cache, may_run_again
            )

    def acting(self, ids: Tensor, writes: bool = False) -> AbstractContextManager[None]:
        """Let the tags in a batch act in the layers of passes that are run meanwhile.

        Args:
            ids: int64 `(batch, seq)`.
            writes: See `Acting`.
        """
        parts = []
        for name, tensors in self.inner.items():
            start, length = self.layout.tags[name]
            places = ((ids >= start) & (ids < start + length)).nonzero()  # (positions, 2)
            if len(places):
                rows, columns = places.unbind(dim=1)
                parts.append((tensors, rows, columns))
        shape = (ids.shape[0], ids.shape[1])
        return active(Acting(shape, parts, writes) if parts else None)

    def read(self, batch: Batch, pooling: "Pooling | None" = None) -> Tensor:
        """Return what a head reads of each row, `(batch, num_states * hidden)`.

        Args:
            batch: Whole rows.
            pooling: Of the function tag's states; None: the last one.
        """
        return (pooling or LAST).of_states(self.hidden_states(batch), batch.read)

    def suffix_states(self, batch: Batch, prefix: "PastBatch") -> Tensor:
        """Run function tags (and outputs) on top of cached prefixes.

        Args:
            batch: Suffixes, padded on the right, `(batch, seq)`.
            prefix: Their prefixes' keys and values, padded on the left.

        Returns:
            `(batch, seq, hidden)`.
        """
        mask = torch.cat([prefix.is_real, batch.is_real], dim=1).long()  # (batch, past + seq)
        return self.run(batch.ids, mask, batch.position_ids, prefix.cache())

    @torch.no_grad()
    def keys_and_values(self, batch: Batch) -> Tensor:
        """Run prefixes once and return their keys and values.

        Args:
            batch: Prefixes padded on the right.

        Returns:
            `(batch, seq, layers, 2, kv_heads, head_dim)`; index 0 of the fourth axis holds keys.

        Raises:
            BackboneError: when the backbone keeps no plain keys and values.
        """
        from transformers import DynamicCache

        cache = DynamicCache()
        self.run(batch.ids, batch.mask(self.backbone.dtype), batch.position_ids, cache)
        layers = getattr(cache, "layers", [])
        if not layers or any(getattr(layer, "keys", None) is None for layer in layers):
            raise BackboneError(
                f"backbone '{self.backbone.name}' keeps no keys and values to reuse."
            )
        pairs = [torch.stack([layer.keys, layer.values]) for layer in layers]
        held = torch.stack(pairs)  # (layers, 2, batch, kv_heads, seq, head_dim)
        return held.permute(2, 4, 0, 1, 3, 5)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {place: tensor.shape for place, tensor in tensors.items()}


class PastBatch:
    """Keys and values of a batch of prefixes, padded on the left."""

    def __init__(self, held: Tensor, is_real: Tensor) -> None:
        """Keep keys and values with the mask of what is real.

        Args:
            held: `(batch, past, layers, 2, kv_heads, head_dim)`.
            is_real: bool `(batch, past)`.
        """
        self.held = held
        self.is_real = is_real

    def cache(self) -> Any:
        """Return a fresh transformers cache that holds the prefixes."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer in range(self.held.shape[2]):
            keys = self.held[:, :, layer, 0].transpose(1, 2)  # (batch, kv_heads, past, head_dim)
            values = self.held[:, :, layer, 1].transpose(1, 2)
            cache.update(keys, values, layer)
        return cache


@attrs.frozen
class Pooling:
    """Which states of the function tag a head reads."""

    count: int = 1
    """The last so many tag tokens."""
    is_mean: bool = False
    """Whether their mean is read instead of all of them, one after the other."""

    @staticmethod
    def of(how: str, tag_length: int) -> "Pooling":
        """Return the pooling of a setting: last, mean or all."""
        return Pooling() if how == "last" else Pooling(tag_length, how == "mean")

    @property
    def num_states(self) -> int:
        """How many states wide a row is."""
        return 1 if self.is_mean else self.count

    def of_states(self, states: Tensor, positions: Tensor) -> Tensor:
        """Return what a head reads: `(batch, seq, hidden)` to `(batch, num_states * hidden)`.

        Args:
            states: `(batch, seq, hidden)`.
            positions: `(batch,)`, the last tag token of each row.
        """
        picked = pick(states, positions, self.count)
        if not self.is_mean or self.count == 1:
            return picked
        return picked.view(len(picked), self.count, -1).mean(dim=1)  # (batch, hidden)


LAST = Pooling()
"""The last tag token, as in the paper."""


def pick(states: Tensor, positions: Tensor, count: int = 1) -> Tensor:
    """Pick a position of each row and those before it.

    Args:
        states: `(batch, seq, hidden)`.
        positions: `(batch,)`, the last position picked.
        count: How many positions.

    Returns:
        `(batch, count * hidden)`, the positions one after the other in their order.
    """
    rows = torch.arange(len(states), device=states.device)
    if count == 1:
        return states[rows, positions]
    back = torch.arange(1 - count, 1, device=states.device)
    return states[rows.unsqueeze(1), positions.unsqueeze(1) + back].flatten(1)


def parameter_counts(named: Mapping[str, nn.Parameter | nn.Module]) -> dict[str, int]:
    """Return how many parameters stand behind each name."""
    return {
        name: item.numel()
        if isinstance(item, nn.Parameter)
        else sum(p.numel() for p in item.parameters())
        for name, item in named.items()
    }
