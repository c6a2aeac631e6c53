"""Which split each row of a task is in: by a column, a file, a registered splitter, a test file."""

from collections.abc import Mapping, Sequence
from typing import Any

from taglm_core.data.columns import find_column
from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.splitfile import LEFT_OUT, splits_from_file
from taglm_core.data.splits import SPLITS, parse_splits, splits_by_groups
from taglm_core.data.table import Table
from taglm_core.errors import DataError, PluginError
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
    """Return the part of each good row, `LEFT_OUT` for none, and the rule that decided it.

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
    column = rule.column or (dataset.spec.split_column if dataset and not rule.method else None)
    if column is not None and rule.file is None:
        return _splits_from_column(table, good, column, rule)
    if rule.file is not None:
        asked = [table.rows[i] for i in good]
        splits = splits_from_file(rule.file, asked, table.rows, data.test_file)
        return splits, f"file {rule.file}"
    chosen = registry.splitters.get(rule.method, task.plugin) if rule.method else task.split
    chosen = chosen or registry.splitters.get("core/random")
    extra = {}
    for name in chosen.spec.columns:
        held = find_column(table.columns, name, (), data.columns, table.source)
        extra[name] = [table.columns[held][i] for i in good]
    return apply_splitter(chosen, fields, task, seed, extra), chosen.name


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
        field = spec.field or (task.span_fields[0] if task.span_fields else None)
        if spec.tags:
            field = _field_of_tag(splitter, task, spec.tags[0])
        if field is None or field not in fields:
            raise DataError(
                f"the splitter '{splitter.name}' groups by the field '{field}', which task "
                f"{task.name} does not have (it has {', '.join(fields)}). Use "
                "--set data.split.method=random."
            )
        splits = splits_by_groups(groups(fields[field]))
    count = len(next(iter(fields.values())))
    if len(splits) != count:
        raise PluginError(
            f"{splitter.source}: splitter '{splitter.name}' gave {len(splits)} splits for {count} "
            "rows."
        )
    unknown = sorted({str(split) for split in splits} - {*SPLITS, LEFT_OUT})
    if unknown:
        raise PluginError(
            f"{splitter.source}: splitter '{splitter.name}' gave the split {unknown[0]!r}; known: "
            f"{', '.join(SPLITS)}, or an empty text for a row that is left out."
        )
    return splits


def _given(
    splitter: Registered[Splitter], fields: Mapping[str, list[Any]], task: ResolvedTask
) -> dict[str, list[Any]]:
    """Return what `assign` gets, the fields that change places in a fixed order."""
    spec = splitter.spec
    if spec.tags:
        return {tag: fields[_field_of_tag(splitter, task, tag)] for tag in spec.tags}
    names = task.fields if spec.whole_rows else (task.span_fields or tuple(fields))
    given = {name: list(fields[name]) for name in names}
    pairs = [pair for pair in task.symmetric if pair[0] in given]
    if pairs:
        firsts = zip(*(fields[first] for first, _ in pairs), strict=True)
        seconds = zip(*(fields[second] for _, second in pairs), strict=True)
        for row, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
            if second < first:
                for pair, one, other in zip(pairs, first, second, strict=True):
                    given[pair[0]][row], given[pair[1]][row] = other, one
    return given


def _field_of_tag(splitter: Registered[Splitter], task: ResolvedTask, tag: str) -> str:
    field = task.field_of_tag(tag)
    if field is None:
        held = ", ".join(f"<{part.tag}>" for part in task.prompt.spans) or "none"
        raise DataError(
            f"the splitter '{splitter.name}' groups by the field after <{tag}>, which task "
            f"{task.name} does not have (its domain tags: {held}). Use "
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
    held = {_plain(cell) for cell in cells}
    missing = sorted(set(split_of) - held)
    if missing:
        raise DataError(
            f"{table.source}: data.split names the value {missing[0]!r}, which the column "
            f"'{name}' does not hold. It holds {', '.join(sorted(held)[:12])}."
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
            "test splitter. Leave one of them out."
        )
    return ["train" if split == "test" else split for split in splits]
