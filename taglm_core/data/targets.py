"""The targets of a task: read from columns, cut at a threshold, or computed from the fields."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from taglm_core.data.classnames import class_key
from taglm_core.data.columns import as_value, find_column, parse_classes, parse_numbers
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

    Returns:
        Raw targets: float64 `(rows, targets)`, or a list of lists of class words, or texts; and
        target -> column.
    """
    target = task.spec.target
    columns: dict[str, str] = {}
    if isinstance(target, Regression) and target.compute is not None:
        compute = resolve(target.compute, f"task {task.name}, target")
        good = [i for i, error in enumerate(errors) if error is None]
        made = np.full((len(errors), len(target.names)), np.nan)
        if good:
            picked = {name: [rows[i] for i in good] for name, rows in fields.items()}
            made[good] = np.asarray(compute(picked), dtype=np.float64).reshape(len(good), -1)
        for i in good:
            if not np.isfinite(made[i]).all():
                errors[i] = f"{target.names[0]} cannot be computed"
        return made, columns
    if isinstance(target, Classification) and target.compute is not None:
        return _computed_classes(target, task, fields, errors), columns
    if isinstance(target, Regression | Classification):
        words = []
        for name, wanted in target_columns(task).items():
            aliases = task.spec.aliases.get(wanted, ())
            column = find_column(table.columns, wanted, aliases, mapping, table.source)
            columns[name] = column
            parse = _parser(target)
            values, found = parse(
                table.columns[column], table.rows, table.source, column, on_error="keep"
            )
            for i, error in enumerate(found):
                errors[i] = errors[i] or error
            words.append(values)
        stacked = np.stack(words, axis=1) if isinstance(target, Regression) else words
        return stacked, columns
    output = task.wording.output
    assert output is not None, "a text task has an output field"
    column = find_column(table.columns, output.field, (), mapping, table.source)
    texts = [as_value(value, is_text=True) for value in table.columns[column]]
    for i, text in enumerate(texts):
        if not text:
            errors[i] = errors[i] or f"column '{column}': empty"
    return texts, {output.field: column}


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


def _computed_classes(
    target: Classification,
    task: ResolvedTask,
    fields: Mapping[str, Sequence[Any]],
    errors: list[str | None],
) -> list[list[str | None]]:
    """Return one list of class words a label, None in rows that have an error."""
    compute = resolve(target.compute or "", f"task {task.name}, target")
    good = [i for i, error in enumerate(errors) if error is None]
    words: list[list[str | None]] = [[None] * len(errors) for _ in target.names]
    made = compute({name: [rows[i] for i in good] for name, rows in fields.items()}) if good else []
    for i, given in zip(good, made, strict=True):
        labels = given if target.multi_label else (given,)
        for column, name, word in zip(words, target.names, labels, strict=True):
            column[i] = None if word is None else str(word)
            if word is None:
                errors[i] = errors[i] or f"{name} cannot be computed"
    return words


def encode_classes(
    raw: Sequence[Sequence[str | None]], target: Classification, train: Sequence[int]
) -> tuple[np.ndarray, tuple[str, ...], dict[int, str]]:
    """Turn class words into indices.

    Args:
        raw: One list of words a label.
        target: The target; its classes, when given, fix the order.
        train: Rows whose words make up the classes otherwise.

    Returns:
        int64 `(rows,)` (or `(rows, labels)`), the class names, and errors by row.
    """
    names = target.classes or tuple(
        sorted({str(words[i]) for words in raw for i in train if words[i] is not None})
    )
    index = {name: k for k, name in enumerate(names)}
    # another file may spell a class in another way
    by_key = {class_key(name): k for k, name in enumerate(names)}
    made = np.zeros((len(raw[0]), len(raw)), dtype=np.int64)
    errors: dict[int, str] = {}
    for label, words in enumerate(raw):
        for row, word in enumerate(words):
            if word is None:
                continue
            found = index.get(word, by_key.get(class_key(word)))
            if found is None:
                errors[row] = f"unknown class {word!r}; known: {', '.join(names)}"
            else:
                made[row, label] = found
    return (made if target.multi_label else made[:, 0]), names, errors
