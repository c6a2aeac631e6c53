"""A small task made up here, for checks that need rows without a plugin's own."""

from typing import Any

import numpy as np

from taglm_core.specs import Classification, Regression, SplitData, TaskData

SPLITS = {"train": slice(0, 40), "valid": slice(40, 50), "test": slice(50, 60)}
_NUM_ROWS = 60


def regression_task() -> TaskData:
    """Return 60 rows of text with one number each, which their letters decide in part."""
    truth = np.random.default_rng(0).normal(size=(_NUM_ROWS, 1)) + np.arange(_NUM_ROWS)[:, None] % 2
    return _task(Regression(names=("y",)), truth)


def classification_task() -> TaskData:
    """Return 60 rows of text in two classes, which their letters decide."""
    target = Classification(names=("y",), classes=("no", "yes"))
    return _task(target, np.arange(_NUM_ROWS) % 2)


def _task(target: Any, truth: np.ndarray) -> TaskData:
    rows = [f"row {i} {'ab'[i % 2]}" for i in range(_NUM_ROWS)]
    texts = {  # words that recur, alone and in pairs
        "line": ["PQRST"[i % 5] for i in range(_NUM_ROWS)],
        "dose": [("low", "high")[i // 5 % 2] for i in range(_NUM_ROWS)],
        "note": [f"sample {i} was {('cold', 'warm')[i % 2]} that day" for i in range(_NUM_ROWS)],
    }
    splits = {
        name: SplitData(
            fields={"text": rows[cut]},
            texts={word: values[cut] for word, values in texts.items()},
            truth=truth[cut],
        )
        for name, cut in SPLITS.items()
    }
    return TaskData(
        task="checked",
        target=target,
        splits=splits,
        features={"text": _features},
        descriptors={"text": _features},
        seed=0,
    )


def _features(rows: Any) -> np.ndarray:
    counts = [[len(row), row.count("a"), row.count("b"), row.count("1")] for row in rows]
    return np.array(counts, dtype=np.float32)


def score(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Return the mean absolute error of numbers, or of the most probable class."""
    same = prediction.ndim == truth.ndim
    flat = prediction if same else prediction.argmax(axis=1)
    return {"mae": float(np.abs(flat - truth).mean())}
