"""Tags: trainable matrices at the input embeddings, and their initial values."""

import hashlib

import torch
from torch import Tensor

from taglm_core.errors import ConfigError
from taglm_core.model.backbone import Backbone


def initial_tag(
    backbone: Backbone, name: str, length: int, how: str, seed: int, words: str = ""
) -> Tensor:
    """Return the rows of an untrained tag, fp32 `(tag_length, hidden)`.

    Args:
        backbone: Whose embedding rows set direction and length.
        name: Full name of the tag; with the seed it decides which rows `vocabulary` draws.
        length: `tag_length`, rows of the tag (paper: 10).
        how: "mean": every row is the mean vocabulary embedding, stretched to the mean norm
            (Tag-LLM section 3.1). "vocabulary": `length` different vocabulary rows; equal rows
            stay almost symmetric under the gradient. "words": the tokens of `words`, over and
            over until the tag is full (Lester et al. 2021 start prompts from words too).
        seed: Seed of the run.
        words: What the tag stands for, in words that the backbone may know.

    Raises:
        ConfigError: for an unknown `how`, or "words" without any.
    """
    table = backbone.embedding_rows()  # (vocab, hidden)
    if how == "mean":
        mean = table.mean(dim=0)  # (hidden,)
        norm = table.norm(dim=1).mean()
        row: Tensor = mean * (norm / mean.norm().clamp_min(1e-12))
        return row.repeat(length, 1).cpu()  # (tag_length, hidden)
    if how == "vocabulary":
        digest = hashlib.sha256(f"{name}/{seed}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        # rows that were never trained (padding, reserved) are near zero in many vocabularies
        alive = (table.norm(dim=1) > 0.3 * table.norm(dim=1).median()).nonzero().flatten().cpu()
        drawn = alive[torch.randperm(len(alive), generator=generator)[:length]]
        return table.index_select(0, drawn.to(table.device)).cpu()  # (tag_length, hidden)
    if how == "words":
        ids = backbone.tokenizer(words, add_special_tokens=False).input_ids
        if not ids:
            raise ConfigError(
                f"tag_init=words: <{name}> has no words to start from. Use tag_init=vocabulary."
            )
        chosen = torch.tensor([ids[i % len(ids)] for i in range(length)], dtype=torch.int64)
        return table.index_select(0, chosen.to(table.device)).cpu()  # (tag_length, hidden)
    raise ConfigError(f"tag_init must be mean, vocabulary or words, not {how!r}.")
