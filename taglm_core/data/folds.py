"""Folds of a cross-validation, and splits of other shares: groups of rows that stay together."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.data.splits import NUM_BUCKETS, bucket
from taglm_core.errors import ConfigError, DataError

VALID_SHARE = 0.125
"""Share of the rows outside the test fold that choose the model: a tenth of all in five folds."""


def read_shares(given: Sequence[str]) -> tuple[float, float, float]:
    """Return the shares of train, valid and test.

    Raises:
        ConfigError: unless there are three numbers above 0 whose sum is 1 or 100.
    """
    try:
        shares = [float(word) for text in given for word in str(text).split(",")]
    except ValueError:
        shares = []
    total = sum(shares)
    is_good = len(shares) == 3 and all(share > 0 for share in shares)
    if not is_good or min(abs(total - 1), abs(total - 100)) > 1e-6 * total:
        raise ConfigError(
            "data.split.fractions: write the shares of train, valid and test, such as "
            f"[0.8, 0.1, 0.1], not {list(given)}."
        )
    return shares[0] / total, shares[1] / total, shares[2] / total


def splits_by_share(keys: Sequence[str], shares: Sequence[float]) -> list[str]:
    """Put groups into splits by the place of their hash between 0 and 1, test first.

    With a tenth for test and valid each these are the splits without shares; a larger test split
    holds all of a smaller one.

    Args:
        keys: Group of each row.
        shares: Of train, valid and test.
    """
    known = {key: _place(key) for key in dict.fromkeys(keys)}
    _, valid, test = shares
    names = {
        key: "test" if place < test else "valid" if place < test + valid else "train"
        for key, place in known.items()
    }
    return [names[key] for key in keys]


def _place(key: str) -> float:
    """Return a number from 0 to 1 of a key; its first digit is the bucket."""
    digest = hashlib.blake2b(key.encode("utf-8"), digest_size=8, salt=b"within").digest()
    return (bucket(key) + int.from_bytes(digest, "big") / 2**64) / NUM_BUCKETS


def random_by_share(keys: Sequence[str], shares: Sequence[float], seed: int) -> list[str]:
    """Put groups into splits at random.

    Args:
        keys: Group of each row.
        shares: Of train, valid and test.
        seed: Decides which.
    """
    distinct = list(dict.fromkeys(keys))
    order = np.random.default_rng(seed).permutation(len(distinct))
    counts = [max(1, round(len(distinct) * share)) for share in shares[1:]]
    names = dict.fromkeys(distinct, "train")
    names |= {distinct[i]: "test" for i in order[: counts[1]]}
    names |= {distinct[i]: "valid" for i in order[counts[1] : sum(counts)]}
    return [names[key] for key in keys]


def folds_of(keys: Sequence[str], count: int, seed: int, repeat: int, source: str) -> np.ndarray:
    """Put groups into folds of nearly equal size.

    The largest groups go first, each into the fold with the fewest rows; equal ones by chance.

    Args:
        keys: Group of each row.
        count: Number of folds.
        seed: Of the run.
        repeat: Each repetition has its own folds.
        source: The file, for messages.

    Returns:
        int64 `(rows,)`: fold of each row, from 0.

    Raises:
        DataError: when there are fewer groups than folds.
    """
    sizes = Counter(keys)
    if len(sizes) < count:
        raise DataError(
            f"{source}: {count} folds need as many groups of related rows, and there are "
            f"{len(sizes)}. Use fewer folds, or --split random."
        )
    names = list(sizes)
    order = np.random.default_rng([seed, repeat, 5]).permutation(len(names))
    filled = np.zeros(count, dtype=np.int64)
    fold_of: dict[str, int] = {}
    for i in sorted(order.tolist(), key=lambda i: -sizes[names[i]]):
        fold = int(filled.argmin())
        fold_of[names[i]] = fold
        filled[fold] += sizes[names[i]]
    return np.array([fold_of[key] for key in keys], dtype=np.int64)


def splits_of_fold(
    folds: np.ndarray, keys: Sequence[str], fold: int, seed: int, repeat: int
) -> list[str]:
    """Return the splits in which one fold is test and an eighth of the other rows valid.

    Args:
        folds: int64 `(rows,)`: fold of each row.
        keys: Group of each row; groups stay together in valid too.
        fold: The test fold, from 0.
        seed: Of the run.
        repeat: Of the folds.
    """
    others = [key for key, own in zip(keys, folds, strict=True) if own != fold]
    sizes = Counter(others)
    wanted = VALID_SHARE * len(others)
    valid: set[str] = set()
    taken = 0
    names = list(sizes)
    for i in np.random.default_rng([seed, repeat, fold, 6]).permutation(len(names)).tolist():
        if taken and taken + sizes[names[i]] > wanted:
            continue
        valid.add(names[i])
        taken += sizes[names[i]]
    return [
        "test" if own == fold else "valid" if key in valid else "train"
        for key, own in zip(keys, folds, strict=True)
    ]


def row_groups(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return a key of each row such that equal rows have equal ones."""
    return ["\x1f".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
