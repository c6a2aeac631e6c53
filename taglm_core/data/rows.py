"""The rows of a task: read, checked, made canonical, split; bad ones named with file and row."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.data.assignment import assign_splits, make_room
from taglm_core.data.characters import odd_characters
from taglm_core.data.columns import as_value, find_column
from taglm_core.data.config import DataConfig
from taglm_core.data.doubt import check_fields
from taglm_core.data.fixing import fix_fields
from taglm_core.data.labels import label_classes
from taglm_core.data.measured import refuse_measured
from taglm_core.data.missing import missing_reason
from taglm_core.data.readers import read_table
from taglm_core.data.rowerrors import raise_rows, skip_errors
from taglm_core.data.splitfile import LEFT_OUT
from taglm_core.data.splits import check_splits
from taglm_core.data.table import Table
from taglm_core.data.targets import encode_classes, read_targets
from taglm_core.errors import ConfigError, DataError, PluginError, TaglmError
from taglm_core.plugins import Registered, Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Dataset, Domain
from taglm_core.specs.encoding import first_errors
from taglm_core.specs.options import check_options
from taglm_core.specs.reference import resolve

logger = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class TaskRows:
    """Checked rows of a task, invalid rows skipped."""

    fields: dict[str, list[str]]
    """Field or tag column -> canonical value of each row."""
    targets: Any
    """float64 `(rows, targets)`, NaN where one is missing; int64 `(rows,)` class indices or
    `(rows, labels)`, -1 where one is missing; texts."""
    classes: tuple[str, ...]
    """Class names, empty unless classification."""
    splits: list[str]
    """train, valid or test."""
    numbers: list[int]
    """Row number of each row in its source."""
    source: str
    """File or dataset."""
    columns: dict[str, str]
    """Field -> column that it was read from."""
    rejected: list[tuple[int, str]]
    """(row number, reason) of each row that was skipped."""
    rule: str
    """What decided the splits."""
    fixed: list[tuple[int, str]] = attrs.field(factory=list)
    """(row number, what was changed) of each row that was fixed."""
    test_source: str | None = None
    """File of the test split when it is another one; its rows are numbered by themselves."""
    tables: tuple[Table, ...] = ()
    """What was read: the rows, then those of `test_source`."""

    def __len__(self) -> int:
        return len(self.numbers)

    def of_split(self, split: str) -> np.ndarray:
        """Return the indices of the rows of a split."""
        return np.flatnonzero(np.array(self.splits) == split)

    def as_read(self, chosen: Sequence[int]) -> Table | None:
        """Return rows of one split with every column of their file; None: nothing was read."""
        if not self.tables:
            return None
        is_other = self.test_source is not None and self.splits[chosen[0]] == "test"
        table = self.tables[-1 if is_other else 0]
        place_of = {number: place for place, number in enumerate(table.rows)}
        return table.select([place_of[self.numbers[i]] for i in chosen])


def _made(load: Callable[..., Any], **arguments: Any) -> Any:
    return load(**arguments)


_generated = functools.lru_cache(maxsize=4)(_made)
"""Rows are the same for the same seed; folds of a cross-validation share those of their corpus."""


def load_dataset(
    dataset: Registered[Dataset], seed: int, size: int | None, **options: Any
) -> Table:
    """Make or fetch a registered dataset.

    Args:
        dataset: The dataset.
        seed: Seed of the run.
        size: Rows that a generated dataset makes; None: its own default.
        **options: Further arguments of its `load`.

    Raises:
        ConfigError: when it does not take one of the options.
        PluginError: when it fails or lacks a promised column.
    """
    load = resolve(dataset.spec.load, f"dataset {dataset.name}")
    check_options(f"dataset {dataset.name}", load, options, ("seed", "size"))
    try:
        is_kept = dataset.spec.generated and not options
        loaded = (_generated if is_kept else _made)(load, seed=seed, size=size, **options)
    except TaglmError:  # says what a user can fix, such as where to put a local copy
        raise
    except Exception as error:  # charged to the plugin
        raise PluginError(
            f"{dataset.source}: dataset '{dataset.name}' failed: {type(error).__name__}: {error}"
        ) from error
    columns = {str(k): list(loaded[k]) for k in getattr(loaded, "column_names", loaded)}
    missing = [name for name in dataset.spec.columns if name not in columns]
    if missing:
        raise PluginError(f"dataset '{dataset.name}' lacks its column '{missing[0]}'.")
    count = len(next(iter(columns.values())))
    return Table(columns=columns, rows=list(range(1, count + 1)), source=dataset.name)


def load_table(
    file: str | None, dataset: str | None, task: ResolvedTask, registry: Registry, **options: Any
) -> tuple[Table, Registered[Dataset] | None]:
    """Read a task's table from a file, else from a named dataset, else from the task's own.

    A dataset that is named beside a file reads the file.

    Raises:
        DataError: when none of the three is given.
    """
    arguments = dict(options.get("options") or {})
    if file is not None and dataset is None:
        if arguments:
            raise ConfigError(
                f"data.options.{next(iter(arguments))} belongs to a dataset, but data.dataset is "
                "not given. Name the dataset that is to read the file."
            )
        return read_table(Path(file), registry=registry), None
    name = dataset or task.spec.dataset
    if name is None:
        raise DataError(f"task {task.name} has no dataset of its own: give one with --data FILE.")
    registered = registry.datasets.get(name, task.plugin, f"task {task.name}")
    if file is not None:
        arguments["file"] = file
    return load_dataset(registered, options["seed"], options["size"], **arguments), registered


def read_fields(
    table: Table, task: ResolvedTask, mapping: Mapping[str, str]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Find the columns of a task's fields.

    Returns:
        Field -> values, and field -> column it came from.

    Raises:
        DataError: naming file, field and columns when one is missing.
    """
    values: dict[str, list[Any]] = {}
    columns: dict[str, str] = {}
    for field in task.fields:
        domain = task.domain_of_field(field)
        spec = domain.spec if domain is not None else None
        if spec is not None and spec.columns and field == spec.field:
            names = [find_column(table.columns, c, (), mapping, table.source) for c in spec.columns]
            values[field] = list(zip(*(table.columns[name] for name in names), strict=True))
            columns |= dict(zip(spec.columns, names, strict=True))
            continue
        aliases = task.spec.aliases.get(field, ())
        aliases += spec.aliases if spec is not None and field == spec.field else ()
        columns[field] = _field_column(table, field, aliases, mapping, domain)
        values[field] = table.columns[columns[field]]
    return values, columns


def _field_column(
    table: Table,
    field: str,
    aliases: Sequence[str],
    mapping: Mapping[str, str],
    domain: Registered[Domain] | None,
) -> str:
    """Return the column of a field; where there is none, say if a name is a row of the domain."""
    try:
        return find_column(table.columns, field, aliases, mapping, table.source)
    except DataError as error:
        canonical = domain.spec.canonical if domain is not None else None
        if canonical is None or field in mapping or "looks like a row" in str(error):
            raise
        check = resolve(canonical, f"domain {domain.name if domain else ''}, canonical")
        names = list(table.columns)
        rows = [n for n, bad in zip(names, check(names).errors, strict=True) if bad is None]
        if not rows:
            raise
        raise DataError(
            f"{error} If the first line is a row and no header ({rows[0]!r} could be one), put a "
            "line with the names of the columns before it."
        ) from error


def canonical_fields(
    values: Mapping[str, Sequence[Any]], task: ResolvedTask
) -> tuple[dict[str, list[Any]], list[str | None]]:
    """Make the domain fields canonical and check that none is empty.

    Returns:
        Field -> canonical values (blank where a row is bad), and one error or None a row.
    """
    canonical: dict[str, list[Any]] = {}
    count = len(next(iter(values.values()))) if values else 0
    errors: list[list[str | None]] = [[None] * count]
    for field, column in values.items():
        domain = task.domain_of_field(field)
        rows = [as_value(value, reads_text(domain)) for value in column]
        errors.append(
            [
                f"{field}: {empty_reason(cell)}" if is_empty(row) else None
                for row, cell in zip(rows, column, strict=True)
            ]
        )
        if domain is not None and domain.spec.canonical is not None:
            rows, invalid = _canonical(rows, domain)
            errors.append([e and f"{field}: {e}" for e in invalid])
        canonical[field] = rows
    return canonical, first_errors(*errors)


def _canonical(
    rows: Sequence[Any], domain: Registered[Domain]
) -> tuple[list[Any], list[str | None]]:
    """Return the canonical form of each row, blank where it has none, and its error or None."""
    canonical = resolve(domain.spec.canonical or "", f"domain {domain.name}, canonical")
    # once for each distinct row: in pairs the same few recur thousands of times
    distinct = list(dict.fromkeys(row for row in rows if not is_empty(row)))
    checked = canonical(distinct)
    results = dict(zip(distinct, zip(checked.values, checked.errors, strict=True), strict=True))
    checked_rows = [(row, *results.get(row, (None, None))) for row in rows]
    values = [value if value is not None else _blank(row) for row, value, _ in checked_rows]
    return values, [error and with_place(error, row) for row, _, error in checked_rows]


def reads_text(domain: Registered[Domain] | None) -> bool:
    """Say whether the rows of a domain are sentences, which may consist of a word such as None."""
    return domain is not None and domain.spec.encoder == "text"


def with_place(error: str, row: Any) -> str:
    """Return what is wrong with a row, and where a character beyond ASCII stands in it."""
    odd = odd_characters(row) if isinstance(row, str) else ""
    return f"{error} ({odd})" if odd else error


def empty_reason(value: Any) -> str:
    """Say of a cell, or of a record, why it counts as empty."""
    reason = missing_reason(value)
    return "empty" if isinstance(value, tuple) or reason == "the cell is empty" else reason


def is_empty(row: Any) -> bool:
    """Say whether a row has no content: "", or a record whose cells are all empty."""
    return not any(row) if isinstance(row, tuple) else not row


def _blank(row: Any) -> Any:
    """Return an empty row of the same form, for encoders to refuse."""
    return ("",) * len(row) if isinstance(row, tuple) else ""


@attrs.frozen
class _Checked:
    """The good rows of one file, targets as read."""

    table: Table
    good: list[int]
    fields: dict[str, list[Any]]
    targets: Any
    columns: dict[str, str]
    rejected: list[tuple[int, str]]
    fixed: list[tuple[int, str]]

    @property
    def numbers(self) -> list[int]:
        """Numbers of the good rows in their file."""
        return [self.table.rows[i] for i in self.good]


def _check_table(
    table: Table,
    task: ResolvedTask,
    data: DataConfig,
    need_targets: bool,
    domains: Mapping[str, Registered[Domain]],
) -> _Checked:
    if not table.num_rows:
        raise DataError(f"{table.source}: no rows.")
    raw, columns = read_fields(table, task, data.columns)
    fixed: list[tuple[int, str]] = []
    if data.fix:
        raw, fixed = fix_fields(raw, task, table)
    fields, errors = canonical_fields(raw, task)
    check_fields(fields, errors, task, domains, table.source, data.on_doubt)
    targets: Any = np.zeros((table.num_rows, 0))
    if need_targets:
        targets, target_map, errors = read_targets(table, task, fields, errors, data.columns)
        columns = columns | target_map
    skip_errors(table, errors, data.on_error)
    good = [i for i, error in enumerate(errors) if error is None]
    good_fields = {name: [rows[i] for i in good] for name, rows in fields.items()}
    rejected = [(table.rows[i], error) for i, error in enumerate(errors) if error is not None]
    return _Checked(table, good, good_fields, _picked(targets, good), columns, rejected, fixed)


def _picked(targets: Any, rows: Sequence[int]) -> Any:
    """Return the targets of some rows."""
    if isinstance(targets, np.ndarray):
        return targets[rows]
    return [targets[i] for i in rows]


def _both(first: Any, second: Any) -> Any:
    """Return the targets of two files one after the other."""
    if isinstance(first, np.ndarray):
        return np.concatenate([first, second])
    return [*first, *second]


def load_task_rows(
    task: ResolvedTask, registry: Registry, data: DataConfig, seed: int, need_targets: bool = True
) -> TaskRows:
    """Read, check and split the rows of a task.

    Args:
        task: The task.
        registry: Where datasets and splits are looked up.
        data: The run's data settings.
        seed: Seed of the run.
        need_targets: False: a file without targets will do.

    Raises:
        RowError: naming bad rows, unless `data.on_error` is skip.
        DataError: for a missing file or column, or a splitter that leaves a split empty.
    """
    table, dataset = load_table(
        data.file,
        data.dataset,
        task,
        registry,
        seed=seed,
        size=data.size,
        options=data.options,
    )
    if dataset is None and need_targets:
        ways = [f"--set data.labels={way}" for way in ("measured", "computed")]
        refuse_measured(table, task, data.labels, ways)
    domains = {item.short: item for item in registry.domains} | {
        item.name: item for item in registry.domains
    }
    main = _check_table(table, task, data, need_targets, domains)
    splits, rule = assign_splits(table, main.good, main.fields, task, dataset, registry, data, seed)
    splits = make_room(splits, data, table.source)
    numbers, rejected, fixed = main.numbers, list(main.rejected), list(main.fixed)
    fields, targets = main.fields, main.targets
    if data.test_file is not None:
        held_out = read_table(Path(data.test_file), registry=registry)
        more = _check_table(held_out, task, data, need_targets, domains)
        splits = [*splits, *["test"] * len(more.good)]
        rule += f", test file {data.test_file}"
        fields = {name: [*rows, *more.fields[name]] for name, rows in fields.items()}
        targets = _both(targets, more.targets)
        numbers = [*numbers, *more.numbers]
        rejected += [(row, f"{more.table.source}: {reason}") for row, reason in more.rejected]
        fixed += [(row, f"{more.table.source}: {change}") for row, change in more.fixed]
    outside = [i for i, split in enumerate(splits) if split == LEFT_OUT]
    if outside:
        logger.info("%s: the split '%s' leaves %d rows out", table.source, rule, len(outside))
        rejected += [(numbers[i], f"left out by the split '{rule}'") for i in outside]
        inside = [i for i, split in enumerate(splits) if split != LEFT_OUT]
        fields = {name: [rows[i] for i in inside] for name, rows in fields.items()}
        targets, numbers = _picked(targets, inside), [numbers[i] for i in inside]
        splits = [splits[i] for i in inside]
    check_splits(splits, rule)
    classes: tuple[str, ...] = ()
    target = task.spec.target
    if isinstance(target, Classification) and target.multi_label:
        classes = label_classes(target.classes)
    elif need_targets and isinstance(target, Classification):
        train = [i for i, split in enumerate(splits) if split == "train"]
        targets, classes, unknown = encode_classes(targets, target, train)
        if unknown:
            bad = [(numbers[i], reason) for i, reason in unknown.items()]
            advice = "List the class in the target's classes, or skip these rows."
            if target.classes is None:
                names = " and ".join(map(repr, classes))
                advice = (
                    f"The train split has no row of it ({len(train):,} rows of {names}; split: "
                    f"{rule}): nothing can be learned of such a class. Choose another split."
                )
            raise_rows(table.source, bad, len(splits), advice)
    return TaskRows(
        fields=fields,
        targets=targets,
        classes=classes,
        splits=splits,
        numbers=numbers,
        source=table.source,
        columns=main.columns,
        rejected=rejected,
        rule=rule,
        fixed=fixed,
        test_source=data.test_file,
        tables=(table,) if data.test_file is None else (table, more.table),
    )
