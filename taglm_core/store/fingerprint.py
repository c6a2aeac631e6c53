"""Content fingerprints: equal content, equal name, on every machine."""

import hashlib
import json
from typing import Any

import numpy as np


def fingerprint_of(content: Any) -> str:
    """Return a short hash of plain data, independent of the order of keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"no fingerprint of {type(value).__name__}")
