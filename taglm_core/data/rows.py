"""The rows of a task: read, checked, made canonical, split; bad ones named with file and row."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.data.assignment import assign_splits, make_room
from taglm_core.data.censoring import joined_targets
from taglm_core.data.config import DataConfig
from taglm_core.data.datasets import load_table
from taglm_core.data.doubt import check_fields
from taglm_core.data.fields import canonical_fields, read_fields
from taglm_core.data.fixing import fix_fields
from taglm_core.data.labels import label_classes
from taglm_core.data.measured import refuse_measured
from taglm_core.data.readers import read_table
from taglm_core.data.rowerrors import raise_rows, skip_errors
from taglm_core.data.splitfile import SKIPPED
from taglm_core.data.splits import check_splits
from taglm_core.data.table import Table
from taglm_core.data.targets import encode_classes, read_targets
from taglm_core.data.weights import read_weights
from taglm_core.errors import DataError
from taglm_core.plugins import Registered, Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Dataset, Domain
from taglm_core.specs.fields import check_seed

logger = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class TaskRows:
    """Checked rows of a task, invalid rows skipped."""

    fields: dict[str, list[str]]
    """Field or tag column -> canonical value of each row."""
    targets: Any
    """float64 `(rows, targets)`, NaN where one is missing, or `(rows, targets, 2)` with the side of
    each where some are censored; int64 `(rows,)` class indices or `(rows, labels)`, -1 where one is
    missing; texts."""
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
    weights: np.ndarray | None = None
    """float64 `(rows,)`: what each row counts in training; None: all count the same."""
    tables: tuple[Table, ...] = ()
    """What was read: the rows, then those of `test_source`."""

    def __len__(self) -> int:
        return len(self.numbers)

    def of_split(self, split: str) -> np.ndarray:
        """Return the indices of the rows of a split."""
        return np.flatnonzero(np.array(self.splits) == split)

    def lines_of(self, listed: Sequence[tuple[int, str]]) -> list[int | None] | None:
        """Return the lines, as an editor counts them, of rows that were skipped or fixed.

        Args:
            listed: Row number and text; that of a row of `test_source` begins with this file.

        Returns:
            None where no file has lines.
        """
        known = [dict(zip(t.rows, t.lines or (), strict=False)) for t in self.tables]
        if not any(known):
            return None
        pairs = zip(listed, self._files_of(listed), strict=True)
        return [known[file].get(number) for (number, _), file in pairs]

    def cells_of(self, listed: Sequence[tuple[int, str]]) -> dict[str, list[Any]]:
        """Return the input columns of rows that were skipped or fixed, as they were read.

        Args:
            listed: As of `lines_of`.
        """
        places = [{number: i for i, number in enumerate(table.rows)} for table in self.tables]
        found: dict[str, list[Any]] = {name: [] for t in self.tables[:1] for name in t.columns}
        for (number, _), file in zip(listed, self._files_of(listed), strict=True):
            for name, values in found.items():
                cells = self.tables[file].columns.get(name)
                values.append(None if cells is None else cells[places[file][number]])
        return found

    def _files_of(self, listed: Sequence[tuple[int, str]]) -> list[int]:
        """Return the index in `tables` of the file of each row that was skipped or fixed."""
        other = f"{self.test_source}: "
        is_other = [self.test_source is not None and text.startswith(other) for _, text in listed]
        return [len(self.tables) - 1 if apart else 0 for apart in is_other]

    def as_read(self, chosen: Sequence[int]) -> Table | None:
        """Return rows of one split with every column of their file; None: nothing was read."""
        if not self.tables:
            return None
        is_other = self.test_source is not None and self.splits[chosen[0]] == "test"
        table = self.tables[-1 if is_other else 0]
        place_of = {number: place for place, number in enumerate(table.rows)}
        return table.select([place_of[self.numbers[i]] for i in chosen])


@attrs.frozen(kw_only=True)
class _Checked:
    """The good rows of one file or of two, targets as read."""

    table: Table
    good: list[int]
    """Indices of the good rows of `table`."""
    numbers: list[int]
    """Their numbers in their files."""
    fields: dict[str, list[Any]]
    targets: Any
    columns: dict[str, str]
    rejected: list[tuple[int, str]]
    fixed: list[tuple[int, str]]
    weights: np.ndarray | None = None

    def and_those_of(self, other: "_Checked") -> "_Checked":
        """Return these rows, then those of another file, which messages about them name."""
        source = other.table.source
        both = isinstance(self.targets, np.ndarray)
        return attrs.evolve(
            self,
            numbers=[*self.numbers, *other.numbers],
            fields={name: [*rows, *other.fields[name]] for name, rows in self.fields.items()},
            targets=(
                joined_targets(self.targets, other.targets)
                if both
                else [*self.targets, *other.targets]
            ),
            weights=None if self.weights is None else _and_ones(self.weights, len(other.good)),
            rejected=[*self.rejected, *((n, f"{source}: {why}") for n, why in other.rejected)],
            fixed=[*self.fixed, *((n, f"{source}: {change}") for n, change in other.fixed)],
        )

    def inside(self, splits: Sequence[str], rule: str) -> "_Checked":
        """Return the rows that a split has; the others are rejected."""
        inside = [i for i, split in enumerate(splits) if split != SKIPPED]
        outside = [i for i, split in enumerate(splits) if split == SKIPPED]
        if not outside:
            return self
        logger.info("%s: the split '%s' skips %d rows", self.table.source, rule, len(outside))
        why = f"skipped by the split '{rule}'"
        return attrs.evolve(
            self,
            numbers=[self.numbers[i] for i in inside],
            fields={name: [rows[i] for i in inside] for name, rows in self.fields.items()},
            targets=_picked(self.targets, inside),
            weights=None if self.weights is None else self.weights[inside],
            rejected=[*self.rejected, *((self.numbers[i], why) for i in outside)],
        )


def _check_table(
    table: Table,
    task: ResolvedTask,
    data: DataConfig,
    need_targets: bool,
    domains: Mapping[str, Registered[Domain]],
) -> _Checked:
    if not table.num_rows:
        raise DataError(f"{table.source} holds no rows. Give a table with rows.")
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
    return _Checked(
        table=table,
        good=good,
        numbers=[table.rows[i] for i in good],
        fields=good_fields,
        targets=_picked(targets, good),
        columns=columns,
        rejected=rejected,
        fixed=fixed,
    )


def _and_ones(weights: np.ndarray, count: int) -> np.ndarray:
    """Return weights, then those of test rows, which weigh nothing in training."""
    return np.concatenate([weights, np.ones(count)])


def _picked(targets: Any, rows: Sequence[int]) -> Any:
    """Return the targets of some rows."""
    if isinstance(targets, np.ndarray):
        return targets[rows]
    return [targets[i] for i in rows]


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
        ConfigError: for a seed that no generator takes.
    """
    check_seed(seed)
    table, dataset = _opened_table(task, registry, data, seed, need_targets)
    domains = {item.short: item for item in registry.domains} | {
        item.name: item for item in registry.domains
    }
    checked = _check_table(table, task, data, need_targets, domains)
    if data.weights is not None:
        weights = read_weights(table, data.weights, checked.good)
        checked = attrs.evolve(checked, weights=weights)
    splits, rule = assign_splits(
        table, checked.good, checked.fields, task, dataset, registry, data, seed
    )
    splits = make_room(splits, data, table.source)
    tables = [table]
    if data.test_file is not None:
        tables.append(read_table(Path(data.test_file), registry=registry))
        held_out = _check_table(tables[1], task, data, need_targets, domains)
        checked = checked.and_those_of(held_out)
        splits = [*splits, *["test"] * len(held_out.good)]
        rule += f", test file {data.test_file}"
    checked = checked.inside(splits, rule)
    splits = [split for split in splits if split != SKIPPED]
    check_splits(splits, rule)
    targets, classes = _encoded(task.spec.target, checked, splits, rule, need_targets)
    return _task_rows(checked, targets, classes, splits, rule, tables, data.test_file)


def _opened_table(
    task: ResolvedTask, registry: Registry, data: DataConfig, seed: int, need_targets: bool
) -> tuple[Table, Registered[Dataset] | None]:
    """Read the table of the settings; measured targets of a computed label need a decision.

    Returns:
        The table, and the dataset that it is from; None: a file.
    """
    table, dataset = load_table(
        data.file,
        data.dataset,
        task,
        registry,
        seed=seed,
        size=data.size,
        options=data.options,
        sheet=data.sheet,
    )
    if dataset is None and need_targets:
        ways = [f"--set data.labels={way}" for way in ("measured", "computed")]
        refuse_measured(table, task, data.labels, ways)
    return table, dataset


def _task_rows(
    checked: _Checked,
    targets: Any,
    classes: tuple[str, ...],
    splits: list[str],
    rule: str,
    tables: Sequence[Table],
    test_file: str | None,
) -> TaskRows:
    """Return checked rows with their targets and splits.

    Args:
        checked: The rows that are used.
        targets: Theirs, encoded.
        classes: Names of the classes; () of other targets.
        splits: Split of each row.
        rule: How these were made.
        tables: The table, then that of the test file.
        test_file: None: the test split is of the table too.
    """
    return TaskRows(
        fields=checked.fields,
        targets=targets,
        classes=classes,
        splits=splits,
        numbers=checked.numbers,
        source=tables[0].source,
        columns=checked.columns,
        rejected=checked.rejected,
        rule=rule,
        fixed=checked.fixed,
        test_source=test_file,
        weights=checked.weights,
        tables=tuple(tables),
    )


def _encoded(
    target: Any, checked: _Checked, splits: list[str], rule: str, need_targets: bool
) -> tuple[Any, tuple[str, ...]]:
    """Return class indices, labels or other targets, and the names of the classes.

    Raises:
        RowError: naming rows of a class that the train split lacks.
    """
    if not isinstance(target, Classification):
        return checked.targets, ()
    if target.multi_label:
        return checked.targets, label_classes(target.classes)
    if not need_targets:
        return checked.targets, ()
    train = [i for i, split in enumerate(splits) if split == "train"]
    targets, classes, unknown = encode_classes(checked.targets, target, train)
    if unknown:
        bad = [(checked.numbers[i], reason) for i, reason in unknown.items()]
        advice = "List the class in the target's classes, or skip these rows."
        if target.classes is None:
            names = " and ".join(map(repr, classes))
            advice = (
                f"The train split has no row of it ({len(train):,} rows of {names}; split: "
                f"{rule}): nothing can be learned of such a class. Choose another split."
            )
        raise_rows(checked.table.source, bad, len(splits), advice)
    return targets, classes
