"""Predictions beside the truth: what is written of a labeled row, and how many digits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.data.censoring import (
    EXACT,
    SIDE_WORDS,
    has_sides,
    parse_censored,
    sides_of,
    values_of,
)
from taglm_core.data.columns import find_column
from taglm_core.data.masks import without_missing
from taglm_core.data.measured import label_word
from taglm_core.data.rowkeys import row_keys
from taglm_core.data.table import Table
from taglm_core.data.targets import class_words, target_columns
from taglm_core.errors import DataError
from taglm_core.inference.columns import prediction_names
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Regression

DIGITS = 6
"""Significant digits of predictions in files; in memory they have all."""

CENSORED = ".censored"
"""Behind the name of a target whose column says which values are limits."""

_INPUT = " (input)"
"""Behind the name of an input column that a column of taglm would replace."""


def significant(values: Sequence[Any]) -> list[Any]:
    """Round the floats of a column to `DIGITS` significant digits."""
    return [float(f"{v:.{DIGITS}g}") if isinstance(v, float) else v for v in values]


def truth_columns(task: ResolvedTask, classes: Sequence[str], truth: Any) -> dict[str, list[Any]]:
    """Return the columns of the truth: `measured`, or `TARGET.measured` of numbers and labels.

    Where the task computes its target the word is `computed`. Where some are censored,
    `TARGET.censored` holds < or > of a limit, and nothing of an exact value.

    Args:
        task: The task.
        classes: Class names, for classification.
        truth: `(rows, targets)` values or labels, with sides where some are censored, `(rows,)`
            class indices, or texts.
    """
    target, word = task.spec.target, label_word(task)
    if isinstance(target, Regression) or (
        isinstance(target, Classification) and target.multi_label
    ):
        columns = {}
        for k, name in enumerate(target.names):
            columns[f"{name}.{word}"] = without_missing(values_of(truth)[:, k])
            if has_sides(truth):
                sides = sides_of(truth)[:, k].tolist()
                columns[f"{name}{CENSORED}"] = [SIDE_WORDS[int(side)] for side in sides]
        return columns
    if isinstance(target, Classification):
        return {word: class_words(truth, classes)}
    return {word: truth}


def residual_columns(
    task: ResolvedTask, truth: Mapping[str, Sequence[Any]], predicted: Mapping[str, Sequence[Any]]
) -> dict[str, list[Any]]:
    """Return truth minus prediction of each target of a regression, None where one lacks.

    Args:
        task: The task.
        truth: Target -> values.
        predicted: Prediction column -> values.
    """
    target = task.spec.target
    if not isinstance(target, Regression):
        return {}
    residuals = {}
    for target_name, name in zip(target.names, prediction_names(task, ()), strict=True):
        if target_name in truth:
            pairs = zip(truth[target_name], predicted[name], strict=True)
            residuals[f"{name}.residual"] = [
                None if t is None or p is None or t != t else t - p for t, p in pairs
            ]
    return residuals


def joined(
    before: Mapping[str, list[Any]],
    inputs: Mapping[str, Sequence[Any]],
    after: Mapping[str, list[Any]],
) -> dict[str, list[Any]]:
    """Join columns; an input column that has the name of another is marked as input.

    Args:
        before: Columns before those of the input.
        inputs: Columns of the input.
        after: Columns behind those of the input.
    """
    taken = {*before, *after}
    columns = dict(before)
    for name, values in inputs.items():
        while name in taken:
            name += _INPUT
        taken.add(name)
        columns[name] = list(values)
    return {**columns, **after}


def found_truth(
    table: Table, task: ResolvedTask, mapping: Mapping[str, str], given: Mapping[str, str]
) -> dict[str, str]:
    """Return target -> the column of a table that holds it, as far as there is one.

    Args:
        table: Rows to predict.
        task: The task.
        mapping: Target -> column, as the user gave it or as the run read it.
        given: Those that the user gave, which must be there.

    Raises:
        DataError: when a column that the user names is missing.
    """
    wanted = target_columns(task)
    if task.prompt.output is not None:
        wanted = {task.prompt.output.field: task.prompt.output.field}
    columns = {}
    for target, column in wanted.items():
        aliases = task.spec.aliases.get(column, ())
        names = {n: mapping[n] for n in (target, column) if n in mapping}
        named = dict.fromkeys([column] if names else [], next(iter(names.values()), ""))
        try:
            columns[target] = find_column(table.columns, column, aliases, named, table.source)
        except DataError:
            if set(names) & set(given):
                raise
    return columns


def truth_aside(table: Table, truth: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return columns of the truth that have the name of a prediction -> `TARGET.measured`.

    Args:
        table: The rows.
        truth: Target -> column, as `found_truth` gives them.
        names: The columns that predictions fill.
    """
    new = {c: f"{target}.measured" for target, c in truth.items() if c in names}
    renamed = {new.get(name, name) for name in table.columns}
    return {} if len(renamed) < len(table.columns) else new


def beside_truth(
    table: Table, task: ResolvedTask, columns: Mapping[str, str], predicted: Mapping[str, list[Any]]
) -> dict[str, list[Any]]:
    """Return the residuals of rows whose truth stands in a table.

    Args:
        table: The rows.
        task: The task.
        columns: As `found_truth` gives them.
        predicted: Prediction column -> values, None where a row is invalid.
    """
    target_spec = task.spec.target
    if not isinstance(target_spec, Regression):
        return {}
    truth = {}
    for target, column in columns.items():
        place = (table.rows, table.source, column)
        numbers, sides, _ = parse_censored(table.columns[column], *place, on_error="skip")
        truth[target] = np.where(sides == EXACT, numbers, np.nan).tolist()  # a limit has none
    return residual_columns(task, truth, predicted)


def splits_of(
    task: ResolvedTask, fields: Mapping[str, Sequence[Any]], known: Mapping[str, str]
) -> list[str | None]:
    """Return the split of the run that held each row's input, None where none did.

    Args:
        task: The task.
        fields: Canonical fields.
        known: Key of a row -> its split in the run.
    """
    return [known.get(key) for key in row_keys(task, fields)]


def read_splits(columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return key -> split from a run's split.csv; an input of several splits has the first.

    Train comes before valid and valid before test: what was seen in training counts.
    """
    order = ("test", "valid", "train")
    pairs = zip(columns.get("key", ()), columns.get("split", ()), strict=False)
    return dict(sorted(pairs, key=lambda pair: order.index(pair[1])))
