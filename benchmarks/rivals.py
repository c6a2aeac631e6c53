"""What taglm is measured against, on the same rows and symbols: PEFT, plain loops, bare floors."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from taglm_core.model.assembly import Rows
from taglm_core.model.backbone import Backbone
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import collate
from taglm_core.model.heads import LinearHead
from taglm_core.model.tagged import TaggedModel, pick

_BARE = "taglm_bare"


def without_tags(rows: Rows, model: TaggedModel) -> list[np.ndarray]:
    """Return the same text and symbols without any tag."""
    first_tag = min(start for start, _ in model.layout.tags.values())
    return [row[row < first_tag] for row in rows.ids]


class PeftRival:
    """A PEFT method with the head that taglm has, read at the last token."""

    def __init__(
        self, backbone: Backbone, how: str, streams: list[np.ndarray], virtual: int
    ) -> None:
        """Wrap a backbone of its own.

        Args:
            backbone: Is changed by LoRA, so it must not be shared.
            how: "prompt": prompt tuning with `virtual` tokens; "lora": rank 8 on q and v.
            streams: Ids of each row.
            virtual: Virtual tokens.
        """
        import peft

        kind = peft.TaskType.FEATURE_EXTRACTION
        if how == "prompt":
            config = peft.PromptTuningConfig(task_type=kind, num_virtual_tokens=virtual)
        else:
            config = peft.LoraConfig(
                task_type=kind, r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model = peft.get_peft_model(backbone.base, config)
        self.virtual = virtual if how == "prompt" else 0
        self.streams = streams
        self.head = LinearHead(backbone.hidden_size, 1)
        nn.init.normal_(self.head.weight, std=0.02)
        held = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW([*held, *self.head.parameters()], lr=1e-4)

    def step(self, embed: TaggedModel, indices: np.ndarray, wanted: Tensor, tokens: int) -> None:
        """Take an optimizer step over some rows, in length-sorted batches of so many tokens."""
        self.optimizer.zero_grad(set_to_none=True)
        lengths = np.array([len(self.streams[i]) + self.virtual for i in indices])
        for split in batches_by_tokens(lengths, tokens):
            chosen = [self.streams[i] for i in indices[split]]
            found = self.head(self._read(embed, chosen))
            (found[:, 0] - wanted[torch.from_numpy(split)]).square().sum().div(
                len(indices)
            ).backward()
        self.optimizer.step()

    def _read(self, embed: TaggedModel, streams: Sequence[np.ndarray]) -> Tensor:
        longest = max(map(len, streams))
        ids = np.zeros((len(streams), longest), dtype=np.int64)
        for place, stream in enumerate(streams):
            ids[place, : len(stream)] = stream
        with torch.no_grad():
            embedded = embed.embed(torch.from_numpy(ids))
        # padded on the right under a plain causal mask, the quickest that the library offers
        states = self.model(inputs_embeds=embedded).last_hidden_state
        ends = torch.tensor([self.virtual + len(stream) - 1 for stream in streams])
        return pick(states, ends)


def plain_loop(model: TaggedModel, rows: Rows, indices: np.ndarray, tokens: int) -> Tensor:
    """Run whole rows in length-sorted batches, as a Hugging Face loop would: `(rows, hidden)`."""
    found = torch.zeros(len(indices), model.backbone.hidden_size)
    with torch.inference_mode():
        for split in batches_by_tokens(rows.lengths[indices], tokens):
            # causal without a mask is the quickest path of the library
            batch = collate(rows, indices[split], False)
            found[torch.from_numpy(split)] = model.read(batch)
    return found


class CachedStep:
    """The bare backbone on the new tokens alone, over a cache that is there already.

    Every row has as many kept keys as the rows have on average, so nothing is paid for padding.
    """

    def __init__(self, backbone: Backbone, rows: int, new: int, past: int) -> None:
        """Make a cache of the given size; its values do not matter for the time."""
        self.backbone = backbone
        config = backbone.config
        heads = config.num_key_value_heads
        shape = (rows, heads, past, config.hidden_size // config.num_attention_heads)
        generator = torch.Generator().manual_seed(0)
        self.past = [
            torch.randn(2, *shape, generator=generator, dtype=backbone.dtype)
            for _ in range(config.num_hidden_layers)
        ]
        self.embedded = torch.randn(rows, new, backbone.hidden_size, generator=generator)
        self.positions = torch.arange(past, past + new).expand(rows, new)

    def library(self) -> None:
        """Step with the library's cache: each layer copies it, and it gets gradients."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self.past):
            cache.update(keys, values, layer)
        self._step(cache)

    def bare(self) -> None:
        """Step with attention that reads the cache in place and gives it no gradients."""
        from transformers import AttentionInterface

        AttentionInterface.register(_BARE, self._attend)  # type: ignore[no-untyped-call]
        model = self.backbone.model
        before = model.config._attn_implementation
        model.set_attn_implementation(_BARE)
        try:
            self._step(None)
        finally:
            model.set_attn_implementation(before)

    def _step(self, cache: Any) -> None:
        embedded = self.embedded.clone().requires_grad_(True)
        states = self.backbone.hidden_states(embedded, None, self.positions, cache, False)
        states[:, -1].square().sum().backward()

    def _attend(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **more: Any
    ) -> tuple[Tensor, None]:
        """Attend over kept keys and, causally, over the new ones; the signature is the library's.

        The best that plain torch does here: one batched product with the kept keys as they lie,
        one softmax, one product with the kept values.
        """
        keys, values = self.past[module.layer_idx]
        batch, heads, new, head_dim = query.shape
        groups = heads // key.shape[1]
        queries = query.reshape(batch, key.shape[1], groups * new, head_dim) * head_dim**-0.5
        later = torch.ones(new, new, dtype=torch.bool).triu(1).repeat(groups, 1)
        own = (queries @ key.transpose(2, 3)).masked_fill(later, -1e30)
        scores = torch.cat([queries @ keys.transpose(2, 3), own], dim=-1)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
        past = keys.shape[2]
        mixed = weights[..., :past] @ values + weights[..., past:] @ value
        return mixed.reshape(query.shape).transpose(1, 2), None


def whole_floor(backbone: Backbone, rows: int, tokens: int) -> None:
    """Run the bare backbone and the backward of its activations on so many tokens."""
    generator = torch.Generator().manual_seed(0)
    embedded = torch.randn(rows, tokens, backbone.hidden_size, generator=generator)
    positions = torch.arange(tokens).expand(rows, tokens)
    states = backbone.hidden_states(embedded.requires_grad_(True), None, positions)
    states.square().sum().backward()
