"""How like rows are by the features of their domain."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from taglm_core import Domain
from taglm_core.plugin import Nearest, Registered, import_object
from taglm_studies.features import sample_rows
from taglm_studies.findings import SHOWN

NEAR = 0.95
"""Similarity of features from which two different rows are near duplicates."""
MOST_TEST, MOST_TRAIN = 300, 3000
"""Distinct values that are compared before a run."""
MOST_CHECKED = 20_000
"""Distinct train values with which `taglm data check` compares."""


def nearest_similarity(
    features: Callable[[Sequence[str]], np.ndarray], rows: Sequence[str], others: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Find the most similar of other rows, by Tanimoto or the cosine (`taglm_core.plugin.Nearest`).

    Args:
        features: Feature or fingerprint function of the domain.
        rows: Rows, each of which is compared.
        others: Rows that it is compared with.

    Returns:
        float32 `(rows,)` similarities and int64 `(rows,)` indices of the most similar.
    """
    both = np.asarray(features([*rows, *others]))
    return Nearest(both[len(rows) :]).find(both[: len(rows)])


def near_rows(
    features: Callable[[Sequence[str]], np.ndarray],
    test: Sequence[str],
    train: Sequence[str],
    seed: int = 0,
    most: tuple[int, int] = (MOST_TEST, MOST_TRAIN),
) -> dict[str, Any]:
    """Count test rows that are nearly as a train row.

    Args:
        features: Feature function of the domain.
        test: Distinct rows that do not stand in train.
        train: Distinct rows.
        seed: Chooses among them when there are more than `most`.
        most: Rows of each that are compared.

    Returns:
        How many were compared with how many, the count, and the nearest as examples.
    """
    few = [test[i] for i in sample_rows(len(test), most[0], seed)]
    sampled = [train[i] for i in sample_rows(len(train), most[1], seed)]
    values, places = nearest_similarity(features, few, sampled)
    order = [i for i in np.argsort(-values, kind="stable")[:SHOWN] if values[i] >= NEAR]
    return {
        "compared": len(few),
        "with": len(sampled),
        "threshold": NEAR,
        "count": int((values >= NEAR).sum()),
        "examples": [
            {"test": few[i], "train": sampled[places[i]], "similarity": round(float(values[i]), 3)}
            for i in order
        ],
    }


def near_values(
    domain: Registered[Domain], values: Sequence[Any], splits: Sequence[str]
) -> dict[str, Any]:
    """Compare the test values of a column with its train values, those in both left out.

    Args:
        domain: Gives the features.
        values: Canonical value of each row, None where it is not valid.
        splits: Part of each row.
    """
    train, test = (
        dict.fromkeys(
            v for v, p in zip(values, splits, strict=True) if p == split and v is not None
        )
        for split in ("train", "test")
    )
    new = [value for value in test if value not in train]
    if not new or not train:
        return {"compared": 0, "with": len(train), "threshold": NEAR, "count": 0, "examples": []}
    features = import_object(domain.spec.features or "", f"domain {domain.name}, features")
    return near_rows(features, new, list(train), most=(2000, MOST_CHECKED))
