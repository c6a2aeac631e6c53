"""Keys of rows: equal inputs have equal keys, by which a row of another file is known again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from taglm_core.plugins.resolved import ResolvedTask


def row_keys(task: ResolvedTask, fields: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return a key for each row.

    Args:
        task: Its symmetric fields may stand in either order.
        fields: Field or tag column -> canonical values.

    Returns:
        16 hexadecimal digits each.
    """
    orders = [_texts(task, order) for order in task.orders(fields)]
    return [
        hashlib.blake2b(min(texts).encode("utf-8"), digest_size=8).hexdigest()
        for texts in zip(*orders, strict=True)
    ]


def _texts(task: ResolvedTask, fields: Mapping[str, Sequence[Any]]) -> list[str]:
    rows = zip(*(fields[name] for name in task.fields), strict=True)
    return [json.dumps(row, ensure_ascii=True, default=str) for row in rows]
