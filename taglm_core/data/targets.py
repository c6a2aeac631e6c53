"""The targets of a task: read from columns, cut at a threshold, or computed from the fields."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from taglm_core.data.censoring import EXACT, parse_censored, with_sides
from taglm_core.data.classnames import class_key
from taglm_core.data.columns import as_value, find_column, parse_classes
from taglm_core.data.kept import kept_result
from taglm_core.data.labels import parse_labels
from taglm_core.data.masks import is_known
from taglm_core.data.missing import is_missing
from taglm_core.data.table import Table
from taglm_core.errors import counted
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Regression
from taglm_core.specs.encoding import first_errors
from taglm_core.specs.reference import resolve
from taglm_core.specs.target import Target

Errors = list[str | None]
"""None or what is wrong with each row."""


def target_columns(task: ResolvedTask) -> dict[str, str]:
    """Return target name -> the column that it asks for; empty for text and computed ones."""
    target = task.spec.target
    if isinstance(target, Regression | Classification) and target.compute is None:
        return dict(zip(target.names, target.columns or target.names, strict=True))
    return {}


def read_targets(
    table: Table,
    task: ResolvedTask,
    fields: Mapping[str, Sequence[Any]],
    errors: Sequence[str | None],
    mapping: Mapping[str, str],
) -> tuple[Any, dict[str, str], list[str | None]]:
    """Read or compute the targets.

    A row of several targets may lack some of them; one that lacks all has an error.

    Args:
        table: The rows.
        task: What they are of.
        fields: Canonical fields.
        errors: None or what is wrong with the fields of each row.
        mapping: Target -> column, as the user named it.

    Returns:
        Raw targets: float64 `(rows, targets)` with NaN where one is missing, with a side of each
        behind it where some are censored (see `censoring`); int64
        `(rows, labels)` with -1 where one is; a list of class words; or texts. Target -> column.
        And None or the first error of each row.
    """
    target = task.spec.target
    values, columns, reasons = _read(target, table, task, fields, errors, mapping)
    return values, columns, first_errors(errors, *reasons)


def _read(
    target: Target,
    table: Table,
    task: ResolvedTask,
    fields: Mapping[str, Sequence[Any]],
    errors: Sequence[str | None],
    mapping: Mapping[str, str],
) -> tuple[Any, dict[str, str], list[Errors]]:
    """Return raw targets, target -> column, and what each check found wrong with each row."""
    if isinstance(target, Regression) and target.compute is not None:
        numbers, reasons = _computed_numbers(target, task, fields, errors)
        return numbers, {}, [reasons]
    if isinstance(target, Classification) and target.compute is not None:
        words, unknown = _computed_classes(target, task, fields, errors)
        if target.multi_label:
            labels, invalid = _labels(target, words, target.names, table.source)
            return labels, {}, [unknown, *invalid]
        return words[0], {}, [unknown]
    if isinstance(target, Regression | Classification):
        return _measured(target, table, task, mapping)
    output = task.prompt.output
    assert output is not None, "a text task has an output field"
    column = find_column(table.columns, output.field, (), mapping, table.source)
    texts = [as_value(value, is_text=True) for value in table.columns[column]]
    empty: Errors = [None if text else f"column '{column}': empty" for text in texts]
    return texts, {output.field: column}, [empty]


def _measured(
    target: Regression | Classification,
    table: Table,
    task: ResolvedTask,
    mapping: Mapping[str, str],
) -> tuple[Any, dict[str, str], list[Errors]]:
    """Return the targets that columns hold; otherwise as `_read`."""
    columns: dict[str, str] = {}
    for name, wanted in target_columns(task).items():
        aliases = task.spec.aliases.get(wanted, ())
        columns[name] = find_column(table.columns, wanted, aliases, mapping, table.source)
    cells = [table.columns[column] for column in columns.values()]
    if isinstance(target, Classification) and target.multi_label:
        labels, invalid = _labels(target, cells, tuple(columns.values()), table.source)
        return labels, columns, invalid
    read: list[Any] = []
    reasons: list[Errors] = []
    for column, values in zip(columns.values(), cells, strict=True):
        parsed, errors = _parser(target)(values, table.rows, table.source, column, on_error="skip")
        if len(cells) > 1:
            pairs = zip(values, errors, strict=True)
            errors = [None if is_missing(value) else error for value, error in pairs]
        read.append(parsed)
        reasons.append(errors)
    if isinstance(target, Classification):
        return read[0], columns, reasons
    numbers = np.stack([values for values, _ in read], axis=1)
    targets = with_sides(numbers, np.stack([sides for _, sides in read], axis=1))
    return targets, columns, [*reasons, _empty_rows(is_known(numbers), tuple(columns.values()))]


def _empty_rows(known: np.ndarray, columns: Sequence[str]) -> Errors:
    """Return an error for each row that lacks every one of several targets."""
    reason = f"all of the columns {', '.join(columns)} are empty"
    is_several = len(columns) > 1
    return [reason if is_several and not any(row) else None for row in known.tolist()]


def _labels(
    target: Classification,
    cells: Sequence[Sequence[Any]],
    columns: Sequence[str],
    source: str,
) -> tuple[np.ndarray, list[Errors]]:
    """Return int64 `(rows, labels)`, and what each check found wrong with each row."""
    parsed = [
        parse_labels(values, source, column, target.classes)
        for column, values in zip(columns, cells, strict=True)
    ]
    labels = np.stack([values for values, _ in parsed], axis=1)
    known = is_known(labels)
    if len(columns) == 1:
        reason = f"column '{columns[0]}': the cell is empty"
        empty: Errors = [None if is_filled else reason for is_filled in known[:, 0].tolist()]
    else:
        empty = _empty_rows(known, columns)
    return labels, [*(errors for _, errors in parsed), empty]


def _parser(target: Regression | Classification) -> Any:
    """Return the function that reads the cells of a target: what they hold, and errors."""
    if isinstance(target, Regression):
        return partial(_parse_numbers, target)
    if target.threshold is None:
        return partial(parse_classes, classes=target.classes)
    return partial(_parse_sides, target)


def _parse_numbers(
    target: Regression, *arguments: Any, **options: Any
) -> tuple[tuple[np.ndarray, np.ndarray], Errors]:
    """Read numbers or limits, and the side of each; arguments as `parse_censored`.

    A limit that the limit of the task covers says nothing that the task does not say already.
    """
    numbers, sides, errors = parse_censored(*arguments, **options)
    if target.censored_below is not None:
        sides[(sides < EXACT) & (numbers <= target.censored_below)] = EXACT
    return (numbers, sides), errors


def _parse_sides(
    target: Classification, *arguments: Any, **options: Any
) -> tuple[list[str | None], Errors]:
    """Read numbers as the class below or above the threshold; arguments as `parse_censored`."""
    assert target.classes is not None, "a threshold names its classes"
    assert target.threshold is not None, "asked for by the caller"
    below, above = target.classes
    values, sides, errors = parse_censored(*arguments, **options)
    classes: list[str | None] = []
    for i, (value, side) in enumerate(zip(values, sides, strict=True)):
        is_above = value > target.threshold or (value == target.threshold and side > EXACT)
        if errors[i] is None and side * (value - target.threshold) < 0:
            errors[i] = (
                f"column '{arguments[3]}': {arguments[0][i]!r} lies on both sides of the threshold "
                f"{target.threshold:g}"
            )
        classes.append(None if errors[i] else (above if is_above else below))
    return classes, errors


def _computed_numbers(
    target: Regression,
    task: ResolvedTask,
    fields: Mapping[str, Sequence[Any]],
    errors: Sequence[str | None],
) -> tuple[np.ndarray, Errors]:
    """Return float64 `(rows, targets)`, NaN where one cannot be computed, and errors by row."""
    compute = resolve(target.compute or "", f"task {task.name}, target")
    good = [i for i, error in enumerate(errors) if error is None]
    numbers = np.full((len(errors), len(target.names)), np.nan)
    if good:
        picked = {name: [rows[i] for i in good] for name, rows in fields.items()}
        made = _computed(target, compute, picked, len(good))
        numbers[good] = np.asarray(made, dtype=np.float64).reshape(len(good), -1)
    numbers[~np.isfinite(numbers)] = np.nan
    reason = f"{', '.join(target.names)} cannot be computed"
    return numbers, [reason if lacks else None for lacks in np.isnan(numbers).all(axis=1).tolist()]


def _computed_classes(
    target: Classification,
    task: ResolvedTask,
    fields: Mapping[str, Sequence[Any]],
    errors: Sequence[str | None],
) -> tuple[list[list[str | None]], Errors]:
    """Return one list of class words a label, None where one cannot be computed, and errors."""
    compute = resolve(target.compute or "", f"task {task.name}, target")
    good = [i for i, error in enumerate(errors) if error is None]
    words: list[list[str | None]] = [[None] * len(errors) for _ in target.names]
    picked = {name: [rows[i] for i in good] for name, rows in fields.items()}
    computed = _computed(target, compute, picked, len(good)) if good else []
    for i, answer in zip(good, computed, strict=True):
        labels = answer if target.multi_label else (answer,)
        for column, word in zip(words, labels, strict=True):
            column[i] = None if word is None else str(word)
    reason = f"{', '.join(target.names)} cannot be computed"
    is_lacking = [all(word is None for word in row) for row in zip(*words, strict=True)]
    return words, [reason if lacks else None for lacks in is_lacking]


def _computed(
    target: Regression | Classification,
    compute: Callable[..., Any],
    fields: Mapping[str, Sequence[Any]],
    count: int,
) -> Any:
    title = f"computing the labels of {counted(count, 'row')}"
    return kept_result(target.compute or "", compute, fields, count, title)


def encode_classes(
    words: Sequence[str | None], target: Classification, train: Sequence[int]
) -> tuple[np.ndarray, tuple[str, ...], dict[int, str]]:
    """Turn class words into indices.

    Args:
        words: The class of each row.
        target: The target; its classes, when given, fix the order.
        train: Rows whose words make up the classes otherwise.

    Returns:
        int64 `(rows,)`, the class names, and errors by row.
    """
    names = target.classes or tuple(sorted({str(words[i]) for i in train if words[i] is not None}))
    index = {name: k for k, name in enumerate(names)}
    # another file may spell a class in another way
    by_key = {class_key(name): k for k, name in enumerate(names)}
    indices = np.zeros(len(words), dtype=np.int64)
    errors: dict[int, str] = {}
    for row, word in enumerate(words):
        if word is None:
            continue
        place = index.get(word, by_key.get(class_key(word)))
        if place is None:
            errors[row] = f"unknown class {word!r}; known: {', '.join(names)}"
        else:
            indices[row] = place
    return indices, names, errors


def class_words(indices: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Turn class indices `(rows,)` back into words."""
    return [classes[int(k)] for k in indices]
