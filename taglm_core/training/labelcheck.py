"""The look at the targets before training: what cannot be learned, and what cannot be judged."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.data.censoring import censored_remark, exact_of, values_of
from taglm_core.data.masks import is_known
from taglm_core.data.metrics import METRICS, varies
from taglm_core.data.rows import TaskRows
from taglm_core.errors import DataError, counted
from taglm_core.inference.scores import metric_doubts
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Metric, Regression
from taglm_core.specs.reference import resolve

_PARTS = ("train", "valid", "test")
_SHOWN_CLASSES = 6
LEAST_ROWS = 20
"""Rows of a split below which its scores are called guesses."""


@attrs.frozen
class LabelCheck:
    """What was found in the targets of a task."""

    remarks: tuple[str, ...] = ()
    """What a user should know before training."""
    selects_by_loss: bool = False
    """Whether the first metric is undefined on the validation split of a regression, so that early
    stopping and the choice of a head go by the squared error."""


@attrs.frozen
class _Column:
    """One target of the task."""

    name: str
    values: np.ndarray
    """`(rows,)`: of all rows, missing ones included."""
    known: np.ndarray
    """bool `(rows,)`."""
    scored: np.ndarray
    """bool `(rows,)`: known and not censored, so that metrics count it."""
    classes: tuple[str, ...]
    """Class names; empty: numbers."""

    def of(self, splits: np.ndarray, split: str) -> np.ndarray:
        """Return the values of a split: those that are trained on, or those that are scored."""
        counts = self.known if split == "train" else self.scored
        held: np.ndarray = self.values[(splits == split) & counts]
        return held


def check_labels(task: ResolvedTask, rows: TaskRows) -> LabelCheck:
    """Look at the targets of each split.

    Args:
        task: The task; of text the metrics are looked at.
        rows: Its rows, split.

    Raises:
        DataError: when there is nothing to learn (a target without a training value, one class or
            one number in all training rows), or no class to select by in the validation split.
    """
    splits = np.array(rows.splits)
    misleading = _misleading(task, rows, splits)
    if not isinstance(task.spec.target, Regression | Classification):
        return LabelCheck(misleading)
    columns = _columns(task, rows)
    remarks = list(_missing(columns, splits))
    censored = censored_remark([column.name for column in columns], rows.targets)
    remarks += [censored] if censored is not None else []
    remarks += _untrainable(columns, splits, rows)
    undefined = _undefined(task, columns, splits)
    remarks += [_said(*found) for found in undefined]
    first = task.metrics[0].name
    lacking = {c.name for m, split, c in undefined if split == "valid" and m == first}
    selects_by_loss = len(lacking) == len(columns)
    if selects_by_loss and columns[0].classes:
        # the log loss of one class is least for a predictor that always says this class
        held = "; ".join(f"{c.name}: {_counts(c, c.of(splits, 'valid'))}" for c in columns)
        raise DataError(
            f"{rows.source}: {first} selects the best step and the head, but is undefined on the "
            f"valid split, which holds one class only ({held}); nothing else can select either. "
            "Choose another split or seed, or put rows of every class into the valid split (now: "
            f"{rows.rule})."
        )
    if selects_by_loss:
        remarks.append(
            f"{first} selects the best step but is undefined on the valid split: the squared error "
            "in standardized units selects instead. Put rows of other values into it to select by "
            f"{first}."
        )
    return LabelCheck((*remarks, *misleading), selects_by_loss)


def small_splits(rows: TaskRows) -> tuple[str, ...]:
    """Say which of the splits that are scored are too small for their scores to mean much.

    Args:
        rows: Rows of a task, split.
    """
    counts = {split: rows.splits.count(split) for split in _PARTS}
    advice = "" if ", fold " in rows.rule else ". --folds 5 scores every row once"
    said = []
    if counts["test"] < LEAST_ROWS:
        said.append(
            f"the test split has {counted(counts['test'], 'row')}, fewer than {LEAST_ROWS}: its "
            f"metrics are rough estimates{advice}"
        )
    if counts["valid"] < LEAST_ROWS:
        said.append(
            f"the valid split has {counted(counts['valid'], 'row')}, fewer than {LEAST_ROWS}: the "
            "choice of the step and the head is partly random"
        )
    return tuple(said)


def _misleading(task: ResolvedTask, rows: TaskRows, splits: np.ndarray) -> tuple[str, ...]:
    """Say which metrics mislead on the rows of the test and valid splits."""
    chosen = np.flatnonzero(splits != "train").tolist()
    if isinstance(rows.targets, np.ndarray):
        return tuple(metric_doubts(task, exact_of(rows.targets[chosen])))
    return tuple(metric_doubts(task, [rows.targets[i] for i in chosen]))


def _columns(task: ResolvedTask, rows: TaskRows) -> list[_Column]:
    target = task.spec.target
    values = values_of(np.asarray(rows.targets))
    known, scored = is_known(values), is_known(exact_of(np.asarray(rows.targets)))
    if isinstance(target, Classification) and not target.multi_label:
        return [_Column(target.names[0], values, known, scored, rows.classes)]
    assert isinstance(target, Regression | Classification), "text has no columns"
    return [
        _Column(name, values[:, k], known[:, k], scored[:, k], rows.classes)
        for k, name in enumerate(target.names)
    ]


def _missing(columns: Sequence[_Column], splits: np.ndarray) -> Iterator[str]:
    """Say how many rows lack each of several targets.

    Raises:
        DataError: when no training row has one of them.
    """
    if all(column.known.all() for column in columns):
        return
    shown = ", ".join(f"{c.name} {int(c.known.sum()):,}" for c in columns)
    yield (
        f"some of the {len(splits):,} rows lack a target (rows with a value: {shown}); each target "
        "is trained and scored on its own rows"
    )
    for column in columns:
        counts = {split: len(column.of(splits, split)) for split in _PARTS}
        said = ", ".join(f"{split} {count}" for split, count in counts.items())
        if not counts["train"]:
            raise DataError(
                f"target '{column.name}' has no value in the train split (rows with a value: "
                f"{said}). Leave it out of the task's target, or choose another split."
            )
        empty = [split for split in ("valid", "test") if not counts[split]]
        if empty:
            yield f"target '{column.name}' has no value in the {' and '.join(empty)} split"


def _untrainable(columns: Sequence[_Column], splits: np.ndarray, rows: TaskRows) -> list[str]:
    """Say which targets never vary in the training rows.

    Raises:
        DataError: when none of them does.
    """
    constant = [c for c in columns if len(np.unique(c.of(splits, "train"))) == 1]
    said = [f"target '{c.name}' {_same(c, splits)}" for c in constant]
    if len(constant) == len(columns):
        raise DataError(
            f"{rows.source}: nothing to learn: {'; '.join(said)}. Check the column "
            f"{_column_names(columns, rows)}, or choose another split (now: {rows.rule})."
        )
    absent = [
        f"class {name!r} of target '{c.name}' has no row in the train split"
        for c in columns
        if c.classes and len(columns) == 1
        for k, name in enumerate(c.classes)
        if not (c.of(splits, "train") == k).any()
    ]
    return [f"{text}; it cannot be learned" for text in said] + absent


def _column_names(columns: Sequence[_Column], rows: TaskRows) -> str:
    return ", ".join(f"'{rows.columns.get(c.name, c.name)}'" for c in columns)


def _same(column: _Column, splits: np.ndarray) -> str:
    """Describe the one value of the train split, and what the other splits hold."""
    train = column.of(splits, "train")
    if column.classes:
        held = f"has one class in the train split, {column.classes[train[0]]!r}"
    else:
        held = f"has one value in the train split, {float(train[0]):.6g}"
    others = "; ".join(
        f"{split}: {_counts(column, column.of(splits, split))}" for split in ("valid", "test")
    )
    return f"{held} in all {counted(len(train), 'row')} ({others})"


def _counts(column: _Column, values: np.ndarray) -> str:
    if not column.classes:
        return f"{counted(len(np.unique(values)), 'value')} in {counted(len(values), 'row')}"
    held = [(name, int((values == k).sum())) for k, name in enumerate(column.classes)]
    shown = [f"{name!r} in {counted(count, 'row')}" for name, count in held if count][
        :_SHOWN_CLASSES
    ]
    return ", ".join(shown) or "no rows"


def _undefined(
    task: ResolvedTask, columns: Sequence[_Column], splits: np.ndarray
) -> list[tuple[str, str, _Column]]:
    """Return metric, split and target where the metric has no value whatever is predicted."""
    found = []
    for split in ("valid", "test"):
        for metric in task.metrics:
            found += [
                (metric.name, split, column)
                for column in columns
                if not _is_defined(metric, column, column.of(splits, split))
            ]
    return found


def _is_defined(metric: Metric, column: _Column, truth: np.ndarray) -> bool:
    """Ask a metric about predictions that differ from row to row."""
    if metric in METRICS and varies(truth):
        return True  # known without a call, which takes a second to import scikit-learn
    function: Callable[[Any, Any], float] = resolve(metric.function, f"metric {metric.name}")
    rng = np.random.default_rng(0)
    if column.classes:
        made = rng.random((len(truth), len(column.classes))) + 0.1
        prediction = made / made.sum(axis=1, keepdims=True)
    else:
        size = max(1.0, float(np.abs(truth).max())) if len(truth) else 1.0
        prediction = rng.standard_normal(len(truth)) * size
    value = float(function(truth, prediction))
    return value == value


def _said(metric: str, split: str, column: _Column) -> str:
    return f"{metric} of target '{column.name}' is undefined on the {split} split"
