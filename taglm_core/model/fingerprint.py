"""The fingerprint of a backbone, which artifacts and the tag store remember."""

import hashlib
import json

import attrs
import numpy as np

SAME = 0.98
"""Least cosine of the probe's outputs at which weights count as the same backbone's."""


@attrs.frozen(kw_only=True)
class Fingerprint:
    """What an artifact remembers of its backbone.

    `shape` and `tokenizer` must be equal, `probe` close: so a re-saved or quantized copy of the
    same backbone is accepted and another one refused.
    """

    shape: str
    """Model type, hidden size, layers, heads and vocabulary size."""
    tokenizer: str
    """Hash of the token ids of a probe text and of the special ids."""
    probe: tuple[float, ...]
    """Leading hidden-state values of the probe, unit norm."""
    content: str = ""
    """Hash of weights, configuration and tokenizer as they are stored, equal on every device; "":
    not known, as in artifacts that were written without it."""

    @property
    def key(self) -> str:
        """Short stable name of the backbone for the tag store: other content, another name."""
        text = json.dumps([self.shape, self.tokenizer, self.content])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def difference(self, other: "Fingerprint") -> str | None:
        """Return None when both mean the same backbone, else what differs."""
        if self.shape != other.shape:
            return f"shape {self.shape} against {other.shape}"
        if self.tokenizer != other.tokenizer:
            return "the tokenizers give other ids for the same text"
        cosine = float(np.dot(self.probe, other.probe))
        if cosine < SAME:
            return (
                "equal shape but other weights, or a copy in too few bits (cosine of the probe's "
                f"outputs {cosine:.3f}, at least {SAME} is needed)"
            )
        return None
