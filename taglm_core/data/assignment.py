"""Which split each row of a task is in: by a column, a file, a registered splitter, a test file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.data.columns import find_column
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.folds import (
    folds_of,
    random_by_share,
    read_shares,
    row_groups,
    splits_by_share,
    splits_of_fold,
)
from taglm_core.data.kept import kept_result
from taglm_core.data.splitfile import SKIPPED, splits_from_file
from taglm_core.data.splits import RANDOM, SPLITS, parse_splits, splits_by_groups
from taglm_core.data.table import Table
from taglm_core.errors import DataError, PluginError, counted
from taglm_core.plugins import Registered, Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Dataset, Splitter
from taglm_core.specs.reference import resolve

_SPLIT_COLUMN = "Name the column: --set data.split.column=NAME."


def assign_splits(
    table: Table,
    good: Sequence[int],
    fields: Mapping[str, list[Any]],
    task: ResolvedTask,
    dataset: Registered[Dataset] | None,
    registry: Registry,
    data: DataConfig,
    seed: int,
) -> tuple[list[str], str]:
    """Return the split of each good row, `SKIPPED` for none, and the rule that decided it.

    Args:
        table: Every row of the file.
        good: Indices of the rows that can be used.
        fields: Canonical fields of the good rows.
        task: The task.
        dataset: Where the table comes from; None: a file.
        registry: Where splits are looked up.
        data: The run's data settings.
        seed: Seed of the run.

    Raises:
        DataError: when the splitter does not fit the file or the task.
    """
    rule = data.split
    if rule.folds is not None and data.test_file is not None:
        raise DataError(
            f"{table.source}: data.split.folds makes the test splits, so it cannot be used "
            f"with data.test_file ({data.test_file}). Leave one of them out."
        )
    is_shared_out = rule.folds is not None or rule.fractions is not None
    is_own = rule.method is None and not is_shared_out
    column = rule.column or (dataset.spec.split_column if dataset and is_own else None)
    if column is not None and rule.folds is not None:
        return _folds_from_column(table, good, column, rule)
    if column is not None and rule.file is None:
        return _splits_from_column(table, good, column, rule)
    if rule.file is not None:
        asked = [table.rows[i] for i in good]
        splits = splits_from_file(rule.file, asked, table.rows, data.test_file)
        return splits, f"file {rule.file}"
    chosen = registry.splitters.get(rule.method, task.plugin) if rule.method else task.split
    chosen = chosen or registry.splitters.get("core/random")
    if is_shared_out:
        keys = group_keys(chosen, fields, task)
        return _shared_out(keys, rule, chosen, table.source, seed)
    extra = {}
    for name in chosen.spec.columns:
        found_column = find_column(table.columns, name, (), data.columns, table.source)
        extra[name] = [table.columns[found_column][i] for i in good]
    return apply_splitter(chosen, fields, task, seed, extra), chosen.name


def _shared_out(
    keys: Sequence[str], rule: Any, splitter: Registered[Splitter], source: str, seed: int
) -> tuple[list[str], str]:
    """Return the splits of a fold, or those of the shares that are asked for, and their rule."""
    if rule.folds is not None:
        folds = folds_of(keys, rule.folds, seed, rule.repeat, source)
        return _of_fold(folds, keys, rule, splitter.name, seed)
    shares = read_shares(rule.fractions)
    said = f"{splitter.name} ({', '.join(f'{share:g}' for share in shares)})"
    if splitter.spec.assign == RANDOM:
        return random_by_share(keys, shares, seed), said
    return splits_by_share(keys, shares), said


def _of_fold(
    folds: np.ndarray, keys: Sequence[str], rule: Any, said: str, seed: int
) -> tuple[list[str], str]:
    """Return the splits in which the asked fold, or the first, is test, and their rule."""
    fold = rule.fold or 1
    which = f"fold {fold} of {rule.folds}"
    which += f", repetition {rule.repeat}" if rule.repeats > 1 else ""
    splits = splits_of_fold(folds, keys, fold - 1, seed, rule.repeat)
    return splits, f"{said}, {which}"


def _folds_from_column(
    table: Table, good: Sequence[int], column: str, rule: Any
) -> tuple[list[str], str]:
    """Return the splits of a fold that a column of the file names."""
    name = find_column(table.columns, column, (), {}, table.source, _SPLIT_COLUMN)
    cells = [_plain(table.columns[name][i]) for i in good]
    values = sorted(set(cells))
    if len(values) != rule.folds:
        raise DataError(
            f"{table.source}: data.split.folds is {rule.folds}, but the column '{name}' holds "
            f"{len(values)} values ({', '.join(values[:12])})."
        )
    folds = np.array([values.index(cell) for cell in cells], dtype=np.int64)
    keys = [f"{cell} {i}" for i, cell in enumerate(cells)]
    return _of_fold(folds, keys, rule, f"column {name}", 0)


def group_keys(
    splitter: Registered[Splitter], fields: Mapping[str, list[Any]], task: ResolvedTask
) -> list[str]:
    """Return the group of each row by which a splitter keeps related rows together.

    Args:
        splitter: The splitter.
        fields: Canonical fields.
        task: The task.

    Raises:
        DataError: when the splitter has no groups, or the task lacks the field that it groups by.
    """
    spec = splitter.spec
    if spec.assign == RANDOM:
        return row_groups(_given(splitter, fields, task))
    groups = spec.fold_groups or spec.groups
    if groups is None:
        raise DataError(
            f"the splitter '{splitter.name}' splits all rows at once, so it supports neither folds "
            "nor fractions. Use --split random, or a column of folds (--set "
            "data.split.column=NAME)."
        )
    field = _group_field(splitter, fields, task)
    function = resolve(groups, f"split {splitter.name}")
    return list(_groups(groups, function, fields[field], splitter))


def _groups(
    reference: str, function: Callable[..., Any], rows: list[Any], splitter: Registered[Splitter]
) -> Any:
    title = f"grouping {len(rows):,} rows by {splitter.name}"
    return kept_result(reference, function, rows, len(rows), title)


def apply_splitter(
    splitter: Registered[Splitter],
    fields: Mapping[str, list[Any]],
    task: ResolvedTask,
    seed: int,
    extra: Mapping[str, list[Any]] | None = None,
) -> list[str]:
    """Apply a registered splitter to canonical rows.

    Args:
        splitter: The splitter.
        fields: Canonical fields.
        task: The task.
        seed: Seed of the run.
        extra: The further columns that the splitter asks for.

    Raises:
        PluginError: when it gives another number of rows, or an unknown split.
        DataError: when the task has not the field that the splitter groups by.
    """
    spec = splitter.spec
    if spec.assign is not None:
        assign = resolve(spec.assign, f"split {splitter.name}")
        splits = list(assign({**_given(splitter, fields, task), **(extra or {})}, seed))
    else:
        groups = resolve(spec.groups or "", f"split {splitter.name}")
        rows = fields[_group_field(splitter, fields, task)]
        splits = splits_by_groups(_groups(spec.groups or "", groups, rows, splitter))
    count = len(next(iter(fields.values())))
    if len(splits) != count:
        raise PluginError(
            f"{splitter.source}: splitter '{splitter.name}' gave "
            f"{counted(len(splits), 'split')} for {counted(count, 'row')}."
        )
    unknown = sorted({str(split) for split in splits} - {*SPLITS, SKIPPED})
    if unknown:
        raise PluginError(
            f"{splitter.source}: splitter '{splitter.name}' gave the split {unknown[0]!r}; known: "
            f"{', '.join(SPLITS)}, or an empty text for a row to skip."
        )
    return splits


def _group_field(
    splitter: Registered[Splitter], fields: Mapping[str, list[Any]], task: ResolvedTask
) -> str:
    """Return the field whose rows a splitter groups."""
    spec = splitter.spec
    field = spec.field or (task.span_fields[0] if task.span_fields else None)
    if spec.tags:
        field = _field_of_tag(splitter, task, spec.tags[0])
    if field is None or field not in fields:
        raise DataError(
            f"the splitter '{splitter.name}' groups by the field '{field}', which task "
            f"{task.name} does not have (it has {', '.join(fields)}). Use "
            "--set data.split.method=random."
        )
    return field


def _given(
    splitter: Registered[Splitter], fields: Mapping[str, list[Any]], task: ResolvedTask
) -> dict[str, list[Any]]:
    """Return what `assign` gets, the fields that change places in a fixed order."""
    spec = splitter.spec
    if spec.tags:
        return {tag: fields[_field_of_tag(splitter, task, tag)] for tag in spec.tags}
    names = task.fields if spec.whole_rows else (task.span_fields or tuple(fields))
    columns = {name: list(fields[name]) for name in names}
    pairs = [pair for pair in task.symmetric if pair[0] in columns]
    if pairs:
        firsts = zip(*(fields[first] for first, _ in pairs), strict=True)
        seconds = zip(*(fields[second] for _, second in pairs), strict=True)
        for row, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
            if second < first:
                for pair, one, other in zip(pairs, first, second, strict=True):
                    columns[pair[0]][row], columns[pair[1]][row] = other, one
    return columns


def _field_of_tag(splitter: Registered[Splitter], task: ResolvedTask, tag: str) -> str:
    field = task.field_of_tag(tag)
    if field is None:
        tags = ", ".join(f"<{part.tag}>" for part in task.prompt.spans) or "none"
        raise DataError(
            f"the splitter '{splitter.name}' groups by the field after <{tag}>, which task "
            f"{task.name} does not have (its domain tags: {tags}). Use "
            "--set data.split.method=random."
        )
    return field


def _splits_from_column(
    table: Table, good: Sequence[int], column: str, rule: SplitConfig
) -> tuple[list[str], str]:
    name = find_column(table.columns, column, (), {}, table.source, _SPLIT_COLUMN)
    cells = [table.columns[name][i] for i in good]
    if rule.valid is None and rule.test is None:
        numbers = [table.rows[i] for i in good]
        return parse_splits(cells, numbers, table.source, name), f"column {name}"
    split_of = {_plain(value): "valid" for value in rule.valid or ()}
    split_of |= {_plain(value): "test" for value in rule.test or ()}
    words = {_plain(cell) for cell in cells}
    missing = sorted(set(split_of) - words)
    if missing:
        raise DataError(
            f"{table.source}: data.split names the value {missing[0]!r}, which the column "
            f"'{name}' does not hold. It holds {', '.join(sorted(words)[:12])}."
        )
    said = ", ".join(f"{split} {value}" for value, split in split_of.items())
    return [split_of.get(_plain(cell), "train") for cell in cells], f"column {name} ({said})"


def _plain(value: Any) -> str:
    """Return a cell as text, so that 4, 4.0 and "4" are one value."""
    return str(value).strip().removesuffix(".0")


def make_room(splits: list[str], data: DataConfig, source: str) -> list[str]:
    """Return the parts of a file beside which a test file stands: no row of it is test.

    Rows that a registered splitter would test train instead; a column or file that names test rows
    contradicts the test file.

    Raises:
        DataError: for such a contradiction.
    """
    if data.test_file is None or "test" not in splits:
        return splits
    if data.split.column is not None or data.split.file is not None:
        named = f"column '{data.split.column}'" if data.split.column else data.split.file
        raise DataError(
            f"{source}: {named} names test rows, but data.test_file ({data.test_file}) is the "
            "test split. Leave one of them out."
        )
    return ["train" if split == "test" else split for split in splits]
