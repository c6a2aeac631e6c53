"""The targets of a task: read from columns, cut at a threshold, or computed from the fields."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from taglm_core.data.classnames import class_key
from taglm_core.data.columns import as_value, find_column, parse_classes, parse_numbers
from taglm_core.data.labels import parse_labels
from taglm_core.data.masks import is_known
from taglm_core.data.missing import is_missing
from taglm_core.data.table import Table
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Regression
from taglm_core.specs.reference import resolve


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
    errors: list[str | None],
    mapping: Mapping[str, str],
) -> tuple[Any, dict[str, str]]:
    """Read or compute the targets; errors are written into `errors`.

    A row of several targets may lack some of them; one that lacks all has an error.

    Returns:
        Raw targets: float64 `(rows, targets)` with NaN where one is missing; int64
        `(rows, labels)` with -1 where one is; a list of class words; or texts. And target ->
        column.
    """
    target = task.spec.target
    if isinstance(target, Regression) and target.compute is not None:
        return _computed_numbers(target, task, fields, errors), {}
    if isinstance(target, Classification) and target.compute is not None:
        words = _computed_classes(target, task, fields, errors)
        if target.multi_label:
            return _labels(target, words, target.names, table.source, errors), {}
        return words[0], {}
    if isinstance(target, Regression | Classification):
        return _measured(target, table, task, errors, mapping)
    output = task.prompt.output
    assert output is not None, "a text task has an output field"
    column = find_column(table.columns, output.field, (), mapping, table.source)
    texts = [as_value(value, is_text=True) for value in table.columns[column]]
    for i, text in enumerate(texts):
        if not text:
            errors[i] = errors[i] or f"column '{column}': empty"
    return texts, {output.field: column}


def _measured(
    target: Regression | Classification,
    table: Table,
    task: ResolvedTask,
    errors: list[str | None],
    mapping: Mapping[str, str],
) -> tuple[Any, dict[str, str]]:
    """Return the targets that columns hold, and target -> column."""
    columns: dict[str, str] = {}
    for name, wanted in target_columns(task).items():
        aliases = task.spec.aliases.get(wanted, ())
        columns[name] = find_column(table.columns, wanted, aliases, mapping, table.source)
    cells = [table.columns[column] for column in columns.values()]
    if isinstance(target, Classification) and target.multi_label:
        return _labels(target, cells, tuple(columns.values()), table.source, errors), columns
    read: list[Any] = []
    for column, values in zip(columns.values(), cells, strict=True):
        parsed, found = _parser(target)(values, table.rows, table.source, column, on_error="skip")
        for i, error in enumerate(found):
            if len(cells) == 1 or not is_missing(values[i]):
                errors[i] = errors[i] or error
        read.append(parsed)
    if isinstance(target, Classification):
        return read[0], columns
    numbers = np.stack(read, axis=1)
    _refuse_empty_rows(is_known(numbers), tuple(columns.values()), errors)
    return numbers, columns


def _refuse_empty_rows(known: np.ndarray, columns: Sequence[str], errors: list[str | None]) -> None:
    """Give rows that lack every target an error."""
    if len(columns) == 1:
        return
    for i in np.flatnonzero(~known.any(axis=1)).tolist():
        errors[i] = errors[i] or f"all of the columns {', '.join(columns)} are empty"


def _labels(
    target: Classification,
    cells: Sequence[Sequence[Any]],
    columns: Sequence[str],
    source: str,
    errors: list[str | None],
) -> np.ndarray:
    """Return int64 `(rows, labels)`; errors are written into `errors`."""
    made = []
    for column, values in zip(columns, cells, strict=True):
        labels, found = parse_labels(values, source, column, target.classes)
        for i, error in enumerate(found):
            errors[i] = errors[i] or error
        made.append(labels)
    stacked = np.stack(made, axis=1)
    if len(columns) == 1:
        for i in np.flatnonzero(~is_known(stacked[:, 0])).tolist():
            errors[i] = errors[i] or f"column '{columns[0]}': the cell is empty"
    _refuse_empty_rows(is_known(stacked), columns, errors)
    return stacked


def _parser(target: Regression | Classification) -> Any:
    """Return the function that reads the cells of a target."""
    if isinstance(target, Regression):
        return parse_numbers
    if target.threshold is None:
        return partial(parse_classes, classes=target.classes)
    return partial(_parse_sides, target)


def _parse_sides(
    target: Classification, *arguments: Any, **options: Any
) -> tuple[list[str | None], list[str | None]]:
    """Read numbers as the class below or above the threshold; arguments as `parse_numbers`."""
    assert target.classes is not None, "a threshold names its classes"
    assert target.threshold is not None, "asked for by the caller"
    below, above = target.classes
    values, errors = parse_numbers(*arguments, **options)
    sides = [
        None if error else (above if value > target.threshold else below)
        for value, error in zip(values, errors, strict=True)
    ]
    return sides, errors


def _computed_numbers(
    target: Regression,
    task: ResolvedTask,
    fields: Mapping[str, Sequence[Any]],
    errors: list[str | None],
) -> np.ndarray:
    """Return float64 `(rows, targets)`, NaN where one cannot be computed."""
    compute = resolve(target.compute or "", f"task {task.name}, target")
    good = [i for i, error in enumerate(errors) if error is None]
    made = np.full((len(errors), len(target.names)), np.nan)
    if good:
        picked = {name: [rows[i] for i in good] for name, rows in fields.items()}
        made[good] = np.asarray(compute(picked), dtype=np.float64).reshape(len(good), -1)
    made[~np.isfinite(made)] = np.nan
    for i in good:
        if np.isnan(made[i]).all():
            errors[i] = f"{', '.join(target.names)} cannot be computed"
    return made


def _computed_classes(
    target: Classification,
    task: ResolvedTask,
    fields: Mapping[str, Sequence[Any]],
    errors: list[str | None],
) -> list[list[str | None]]:
    """Return one list of class words a label, None where one cannot be computed."""
    compute = resolve(target.compute or "", f"task {task.name}, target")
    good = [i for i, error in enumerate(errors) if error is None]
    words: list[list[str | None]] = [[None] * len(errors) for _ in target.names]
    made = compute({name: [rows[i] for i in good] for name, rows in fields.items()}) if good else []
    for i, given in zip(good, made, strict=True):
        labels = given if target.multi_label else (given,)
        for column, word in zip(words, labels, strict=True):
            column[i] = None if word is None else str(word)
        if all(word is None for word in labels):
            errors[i] = errors[i] or f"{', '.join(target.names)} cannot be computed"
    return words


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
    made = np.zeros(len(words), dtype=np.int64)
    errors: dict[int, str] = {}
    for row, word in enumerate(words):
        if word is None:
            continue
        found = index.get(word, by_key.get(class_key(word)))
        if found is None:
            errors[row] = f"unknown class {word!r}; known: {', '.join(names)}"
        else:
            made[row] = found
    return made, names, errors


def class_words(indices: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Turn class indices `(rows,)` back into words."""
    return [classes[int(k)] for k in indices]
