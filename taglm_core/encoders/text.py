"""The text encoder: the LM's own tokenizer, without any special token."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from taglm_core.specs import Encoded


class TextEncoder:
    """Encodes rows with the LM's tokenizer; ids are the LM's own token ids."""

    def __init__(self, tokenizer: Any) -> None:
        """Encode with a tokenizer.

        Args:
            tokenizer: Of the backbone, as transformers loads it.
        """
        self.tokenizer = tokenizer
        self._memo: dict[str, np.ndarray] = {}

    def encode(self, text: str) -> np.ndarray:
        """Encode one text, remembered, since templates repeat theirs.

        Returns:
            int32 `(tokens,)`.
        """
        if text not in self._memo:
            if len(self._memo) > 10_000:
                self._memo.clear()
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
            self._memo[text] = np.asarray(ids, dtype=np.int32)
        return self._memo[text]

    def encode_batch(self, rows: Sequence[str]) -> Encoded:
        """Encode rows; an empty one is an error.

        Returns:
            Token ids of the LM, end to end.
        """
        filled = [row if row else " " for row in rows]
        listed = (
            self.tokenizer(filled, add_special_tokens=False)["input_ids"] if len(filled) else []
        )
        errors: list[str | None] = [None if row else "empty text" for row in rows]
        pieces = [[] if error else ids for ids, error in zip(listed, errors, strict=True)]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(piece) for piece in pieces], out=offsets[1:])
        joined = [token for piece in pieces for token in piece]
        return Encoded(np.asarray(joined, dtype=np.int32), offsets, errors)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text
