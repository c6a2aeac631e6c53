"""Splits: the fixed test bucket, splits by groups, and the random split."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.errors import DataError

SPLITS = ("train", "valid", "test")
NUM_BUCKETS = 10
TEST_BUCKET = 0
_VALID_BUCKET = 1


def bucket(key: str) -> int:
    """Return the bucket of a group key, 0 to 9, the same everywhere and for ever.

    Bucket 0 is the test bucket: neither the embedded backbone nor stage 1 sees it.
    """
    digest = hashlib.blake2b(key.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % NUM_BUCKETS


def splits_by_groups(keys: Sequence[str]) -> list[str]:
    """Put groups into splits by their bucket: 0 is test, 1 valid, the others train."""
    names = {TEST_BUCKET: "test", _VALID_BUCKET: "valid"}
    known: dict[str, str] = {}
    for key in keys:
        if key not in known:
            known[key] = names.get(bucket(key), "train")
    return [known[key] for key in keys]


RANDOM = "taglm_core.data.splits:assign_random"
"""Reference of the rule that keeps nothing apart but equal rows."""

_HELD_OUT_SHARE = 0.05
_MOST_HELD_OUT = 400


def hold_out(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide the rows of a stage-1 corpus.

    Args:
        count: Rows.
        seed: Decides which.

    Returns:
        Indices of the rows held out for scoring, a twentieth but at most 400, and of the others.
    """
    order = np.random.default_rng([seed, 1]).permutation(count)
    num_held = max(1, min(_MOST_HELD_OUT, round(_HELD_OUT_SHARE * count)))
    return order[:num_held], order[num_held:]


def assign_random(columns: Mapping[str, Sequence[Any]], seed: int) -> list[str]:
    """Put 80 % of the distinct rows into train, 10 % into valid, 10 % into test.

    Rows that are equal in every given column stay together.

    Args:
        columns: Field -> canonical rows.
        seed: Decides which.
    """
    rows = list(zip(*columns.values(), strict=True))
    distinct = list(dict.fromkeys(rows))
    order = np.random.default_rng(seed).permutation(len(distinct))
    tenth = max(1, round(len(distinct) / 10)) if len(distinct) >= 3 else 0
    split_of = {distinct[i]: "train" for i in order}
    split_of |= {distinct[i]: "test" for i in order[:tenth]}
    split_of |= {distinct[i]: "valid" for i in order[tenth : 2 * tenth]}
    return [split_of[row] for row in rows]


_SPELLINGS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}


def split_word(value: Any) -> str | None:
    """Return the split that a cell names in any spelling, None for another cell."""
    return _SPELLINGS.get(str(value).strip().lower())


def parse_splits(values: Sequence[Any], rows: Sequence[int], source: str, column: str) -> list[str]:
    """Read a column that names each row's split.

    Args:
        values: Cells of the column.
        rows: Number of each row, for messages.
        source: The file, for messages.
        column: Name of the column, for messages.

    Returns:
        "train", "valid" or "test" for each row.

    Raises:
        DataError: naming file, row and value when it is none of train, valid, test.
    """
    splits = []
    for value, row in zip(values, rows, strict=True):
        split = split_word(value)
        if split is None:
            raise DataError(
                f"{source}, row {row}: column '{column}' holds {value!r}; a split column holds "
                "train, valid or test."
            )
        splits.append(split)
    return splits


LEAST_TRAIN = 2
"""Training rows without which nothing can be fitted."""


def check_splits(splits: Sequence[str], rule: str) -> None:
    """Demand rows in every split, and two or more in train.

    Raises:
        DataError: naming the split with too few rows and the split that made it.
    """
    for split in SPLITS:
        if split not in splits:
            counts = ", ".join(f"{p} {splits.count(p)}" for p in SPLITS)
            if rule.startswith("core/random"):
                advice = "Rows with the same input stay in one split: give rows of more inputs"
            else:
                advice = "Give more rows, another splitter (--split random)"
            raise DataError(
                f"the split '{rule}' leaves no rows in the {split} split ({counts}). {advice}, or "
                "a split column (--set data.split.column=NAME)."
            )
    if splits.count("train") < LEAST_TRAIN:
        counts = ", ".join(f"{p} {splits.count(p)}" for p in SPLITS)
        raise DataError(
            f"too few rows: the split '{rule}' leaves 1 row in the train split ({counts}); "
            f"{LEAST_TRAIN} or more are needed, and useful results need hundreds."
        )
