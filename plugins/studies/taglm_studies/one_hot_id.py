"""One-hot ID baseline: a ridge on one column for each drug, target or cell line, no features.

On sets of pairs this already goes far, since some drugs bind nearly everything; a model that is no
better has learned which drug and which target it sees, not how they fit.
"""

import itertools
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from taglm_core import BaselineResult, TaskData
from taglm_studies.features import Fold

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Penalties of the squares; 1 weighs as much as one row of an ID."""
_MOST_STEPS = 200

_log = logging.getLogger(__name__)


@attrs.frozen
class OneHotRows:
    """Rows as zeros and ones."""

    matrices: dict[str, "scipy.sparse.csr_array"]
    """Split -> float32 `(rows, ids)`: those of the train split; a new one has no column."""
    fields: tuple[str, ...]
    """Fields whose values are taken for IDs."""


def recurring(values: Sequence[object]) -> bool:
    """Say whether values are few enough to be IDs: each occurs twice or more on average."""
    return 2 * len(set(values)) <= len(values)


def recurring_ids(data: TaskData) -> OneHotRows | None:
    """Take the fields whose values recur in the train split; None when there are none."""
    train = _columns(data, "train")
    fields = tuple(name for name, values in train.items() if recurring(values))
    return _one_hot_rows(data, [(name,) for name in fields], fields)


def interacting_ids(data: TaskData) -> OneHotRows | None:
    """Take IDs and all pairs of them that recur, such as a drug on a cell line.

    Fields that name the same thing, as a drug's name and its SMILES do, are taken once. None when
    no pair recurs: a drug and a target that were measured once say nothing about another row.
    """
    train = _columns(data, "train")
    fields = _distinct([n for n, values in train.items() if recurring(values)], train)
    pairs = [
        pair
        for pair in itertools.combinations(fields, 2)
        if recurring(list(zip(*(train[name] for name in pair), strict=True)))
    ]
    if not pairs:
        return None
    return _one_hot_rows(data, [*((name,) for name in fields), *pairs], fields)


def _distinct(names: Sequence[str], columns: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
    """Return names, but of those whose values decide each other the first one only."""
    distinct: list[str] = []
    for name in names:
        alike = (
            len(set(zip(columns[name], columns[other], strict=True)))
            == len(set(columns[name]))
            == len(set(columns[other]))
            for other in distinct
        )
        if not any(alike):
            distinct.append(name)
    return tuple(distinct)


def _one_hot_rows(
    data: TaskData, groups: Sequence[tuple[str, ...]], fields: tuple[str, ...]
) -> OneHotRows | None:
    """Make a column for each value of a field, or of several together, in the train split."""
    if not groups:
        return None
    matrices: dict[str, scipy.sparse.csr_array] = {}
    train = _columns(data, "train")
    places = [
        {value: place for place, value in enumerate(dict.fromkeys(_values(train, group)))}
        for group in groups
    ]
    for split in data.splits:
        columns = _columns(data, split)
        blocks = [
            _one_hot(_values(columns, group), place)
            for group, place in zip(groups, places, strict=True)
        ]
        matrices[split] = scipy.sparse.hstack(blocks, format="csr")
    return OneHotRows(matrices, fields)


def _values(columns: Mapping[str, Sequence[object]], group: tuple[str, ...]) -> list[object]:
    return list(zip(*(columns[name] for name in group), strict=True))


def _columns(data: TaskData, split: str) -> dict[str, Sequence[object]]:
    rows = data.splits[split]
    return {**rows.fields, **rows.texts}


def _one_hot(values: Sequence[object], places: Mapping[object, int]) -> "scipy.sparse.coo_array":
    known = [(row, places[v]) for row, v in enumerate(values) if v in places]
    rows, columns = zip(*known, strict=True) if known else ((), ())
    ones = np.ones(len(known), dtype=np.float32)
    return scipy.sparse.coo_array((ones, (rows, columns)), shape=(len(values), len(places)))


def one_hot_numbers(ids: OneHotRows, truth: dict[str, np.ndarray], fold: Fold) -> BaselineResult:
    """Add up an effect of each ID; the judging rows choose the penalty.

    Args:
        ids: Rows of all splits.
        truth: Splitter -> float `(rows, targets)`.
        fold: Which rows are fitted and which judge.
    """
    rows, targets = ids.matrices["train"][fold.fit], truth["train"][fold.fit]
    judged, wanted = ids.matrices[fold.split][fold.rows], truth[fold.split][fold.rows]
    spread = targets.std(axis=0)  # (targets,)
    spread = np.where(spread > 0, spread, 1.0)
    fitted: list[tuple[float, Any]] = []
    for penalty in PENALTIES:
        model = Ridge(alpha=penalty, solver="sparse_cg").fit(rows, targets)
        preds = model.predict(judged).reshape(wanted.shape)
        fitted.append((float(np.square((preds - wanted) / spread).mean()), model))
    best = min(fitted, key=lambda pair: pair[0])[1]
    return BaselineResult(
        {
            split: best.predict(ids.matrices[split]).reshape(values.shape)
            for split, values in truth.items()
        }
    )


def one_hot_classes(
    ids: OneHotRows, truth: dict[str, np.ndarray], num_classes: int, fold: Fold
) -> BaselineResult:
    """Add up log odds of each ID; the judging rows choose the penalty.

    Args:
        ids: Rows of all splits.
        truth: Splitter -> int `(rows,)` class indices, two or more in the rows fitted.
        num_classes: Number of columns of the predictions.
        fold: Which rows are fitted and which judge.
    """
    rows, classes = ids.matrices["train"][fold.fit], truth["train"][fold.fit]
    judged, wanted = ids.matrices[fold.split][fold.rows], truth[fold.split][fold.rows]
    best, least = None, np.inf
    for penalty in PENALTIES:
        model = LogisticRegression(C=1.0 / penalty, max_iter=_MOST_STEPS)
        with warnings.catch_warnings():  # a baseline need not be exact to the last digit
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(rows, classes)
        probabilities = _probabilities(model, judged, num_classes)[np.arange(len(wanted)), wanted]
        cost = float(-np.log(np.maximum(probabilities, 1e-12)).mean())
        if best is None or cost < least:
            best, least = model, cost
    return BaselineResult(
        {split: _probabilities(best, ids.matrices[split], num_classes) for split in truth}
    )


def _probabilities(
    model: LogisticRegression, rows: "scipy.sparse.csr_array", num_classes: int
) -> np.ndarray:
    probabilities = np.zeros((rows.shape[0], num_classes))
    probabilities[:, model.classes_] = model.predict_proba(rows)
    return probabilities
