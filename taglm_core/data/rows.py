"""The rows of a task: read, checked, made canonical, split; bad ones named with file and row."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.data.columns import find_column, parse_classes, parse_numbers
from taglm_core.data.options import check_options
from taglm_core.data.readers import read_table
from taglm_core.data.splits import check_parts, parse_parts, parts_by_groups
from taglm_core.data.table import Table
from taglm_core.errors import ConfigError, DataError, PluginError, RowError, TaglmError
from taglm_core.plugins import Registered, Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Dataset, Regression, Split
from taglm_core.specs.reference import resolve

logger = logging.getLogger(__name__)

_SHOWN = 5


@attrs.frozen(kw_only=True)
class TaskRows:
    """Checked rows of a task, bad ones left out."""

    fields: dict[str, list[str]]
    """Field or tag column -> canonical value of each row."""
    targets: Any
    """float64 `(rows, targets)`; int64 `(rows,)` class indices or `(rows, labels)`; texts."""
    classes: tuple[str, ...]
    """Class names, empty unless classification."""
    parts: list[str]
    """train, valid or test."""
    numbers: list[int]
    """Row number of each row in its source."""
    source: str
    """File or dataset."""
    columns: dict[str, str]
    """Field -> column that it was read from."""
    rejected: list[tuple[int, str]]
    """(row number, reason) of each row that was left out."""
    rule: str
    """What decided the parts."""

    def __len__(self) -> int:
        return len(self.numbers)

    def of_part(self, part: str) -> np.ndarray:
        """Return the indices of the rows of a part."""
        return np.flatnonzero(np.array(self.parts) == part)


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
    check_options(dataset.name, load, options)
    try:
        made = load(seed=seed, size=size, **options)
    except TaglmError:
        raise  # says what to mend
    except Exception as error:  # charged to the plugin
        raise PluginError(
            f"{dataset.source}: dataset '{dataset.name}' failed: {type(error).__name__}: {error}"
        ) from error
    columns = {str(k): list(made[k]) for k in getattr(made, "column_names", made)}
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
    given = dict(options.get("options") or {})
    if file is not None and dataset is None:
        if given:
            raise ConfigError(
                f"data.options.{next(iter(given))} belongs to a dataset, but data.dataset is not "
                "given. Name the dataset that is to read the file."
            )
        return read_table(Path(file)), None
    name = dataset or task.spec.dataset
    if name is None:
        raise DataError(f"task {task.name} has no dataset of its own: give one with --data FILE.")
    found = registry.datasets.get(name, task.plugin, f"task {task.name}")
    if file is not None:
        given["file"] = file
    return load_dataset(found, options["seed"], options["size"], **given), found


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
    wording = task.wording
    for field in dict.fromkeys([*task.span_fields, *wording.text_fields, *wording.tag_columns]):
        domain = task.domain_of_field(field)
        spec = domain.spec if domain is not None else None
        if spec is not None and spec.columns and field == spec.field:
            parts = [find_column(table.columns, c, (), mapping, table.source) for c in spec.columns]
            values[field] = list(zip(*(table.columns[part] for part in parts), strict=True))
            columns |= dict(zip(spec.columns, parts, strict=True))
            continue
        aliases = spec.aliases if spec is not None and field == spec.field else ()
        columns[field] = find_column(table.columns, field, aliases, mapping, table.source)
        values[field] = table.columns[columns[field]]
    return values, columns


def canonical_fields(
    values: Mapping[str, Sequence[Any]], task: ResolvedTask
) -> tuple[dict[str, list[Any]], list[str | None]]:
    """Make the domain fields canonical and check that none is empty.

    Returns:
        Field -> canonical values ("" where a row is bad), and one error or None a row.
    """
    count = len(next(iter(values.values()))) if values else 0
    errors: list[str | None] = [None] * count
    made: dict[str, list[Any]] = {}
    for field, column in values.items():
        rows = [_as_value(value) for value in column]
        domain = task.domain_of_field(field)
        for i, row in enumerate(rows):
            if not row:
                errors[i] = errors[i] or f"{field}: empty"
        if domain is not None and domain.spec.canonical is not None:
            filled = [i for i, row in enumerate(rows) if row]
            canonical = resolve(domain.spec.canonical, f"domain {domain.name}, canonical")
            checked = canonical([rows[i] for i in filled])
            for place, i in enumerate(filled):
                if checked.errors[place] is not None:
                    errors[i] = errors[i] or f"{field}: {checked.errors[place]}"
                rows[i] = checked.values[place] or ""
        made[field] = rows
    return made, errors


def _as_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple("" if part is None else str(part).strip() for part in value)
    return "" if value is None else str(value).strip()


def raise_rows(source: str, bad: Sequence[tuple[int, str]], total: int, mend: str) -> None:
    """Raise one error that names the first bad rows and counts them all."""
    shown = "\n".join(f"  row {row}: {reason}" for row, reason in bad[:_SHOWN])
    more = f"\n  and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    raise RowError(f"{source}: {len(bad)} of {total} rows cannot be used:\n{shown}{more}\n{mend}")


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
    if isinstance(target, Regression | Classification):
        words = []
        for name, wanted in target_columns(task).items():
            column = find_column(table.columns, wanted, (), mapping, table.source)
            columns[name] = column
            parse: Any = parse_numbers if isinstance(target, Regression) else parse_classes
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
    texts = [_as_value(value) for value in table.columns[column]]
    for i, text in enumerate(texts):
        if not text:
            errors[i] = errors[i] or f"column '{column}': empty"
    return texts, {output.field: column}


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
    made = np.zeros((len(raw[0]), len(raw)), dtype=np.int64)
    errors: dict[int, str] = {}
    for label, words in enumerate(raw):
        for row, word in enumerate(words):
            if word is None:
                continue
            if word not in index:
                errors[row] = f"unknown class {word!r}; known: {', '.join(names)}"
            else:
                made[row, label] = index[word]
    return (made if target.multi_label else made[:, 0]), names, errors


def load_task_rows(
    task: ResolvedTask, registry: Registry, data: Any, seed: int, need_targets: bool = True
) -> TaskRows:
    """Read, check and split the rows of a task.

    Args:
        task: The task.
        registry: Where datasets and splits are looked up.
        data: The run's data settings.
        seed: Seed of the run.
        need_targets: False: a file without targets will do.

    Raises:
        RowError: naming bad rows, unless `data.on_error` is keep.
        DataError: for a missing file or column, or a split with an empty part.
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
    if not table.num_rows:
        raise DataError(f"{table.source}: no rows.")
    raw, columns = read_fields(table, task, data.columns)
    fields, errors = canonical_fields(raw, task)
    targets: Any = np.zeros((table.num_rows, 0))
    target_map: dict[str, str] = {}
    if need_targets:
        targets, target_map = read_targets(table, task, fields, errors, data.columns)
    _settle(table, errors, data.on_error)
    good = [i for i, error in enumerate(errors) if error is None]
    kept = {name: [rows[i] for i in good] for name, rows in fields.items()}
    split_by = dict(kept)
    if need_targets and task.wording.output is not None:
        split_by[task.wording.output.field] = [targets[i] for i in good]
    parts, rule = _parts(table, good, split_by, task, dataset, registry, data, seed)
    rejected = [(table.rows[i], error) for i, error in enumerate(errors) if error is not None]
    classes: tuple[str, ...] = ()
    target = task.spec.target
    if need_targets and isinstance(target, Classification):
        words = [[label[i] for i in good] for label in targets]
        train = [i for i, part in enumerate(parts) if part == "train"]
        made, classes, unknown = encode_classes(words, target, train)
        if unknown:
            bad = [(table.rows[good[i]], reason) for i, reason in unknown.items()]
            raise_rows(table.source, bad, table.num_rows, "Add the class to the target's classes.")
        targets = made
    elif isinstance(targets, np.ndarray):
        targets = targets[good]
    else:
        targets = [targets[i] for i in good]
    return TaskRows(
        fields=kept,
        targets=targets,
        classes=classes,
        parts=parts,
        numbers=[table.rows[i] for i in good],
        source=table.source,
        columns=columns | target_map,
        rejected=rejected,
        rule=rule,
    )


def _settle(table: Table, errors: Sequence[str | None], on_error: str) -> None:
    bad = [(row, e) for row, e in zip(table.rows, errors, strict=True) if e is not None]
    if not bad:
        return
    if on_error == "raise" or len(bad) == table.num_rows:
        mend = "Mend the rows, or leave them out with --on-error keep."
        raise_rows(table.source, bad, table.num_rows, mend)
    logger.warning(
        "%s: %d of %d rows left out, the first is row %d: %s",
        table.source,
        len(bad),
        table.num_rows,
        *bad[0],
    )


def _parts(
    table: Table,
    good: Sequence[int],
    fields: Mapping[str, list[Any]],
    task: ResolvedTask,
    dataset: Registered[Dataset] | None,
    registry: Registry,
    data: Any,
    seed: int,
) -> tuple[list[str], str]:
    """Return the part of each good row and the rule that decided it."""
    split = data.split
    column = split.column or (dataset.spec.split_column if dataset and not split.name else None)
    if column is not None:
        name = find_column(table.columns, column, (), {}, table.source)
        numbers = [table.rows[i] for i in good]
        parts = parse_parts([table.columns[name][i] for i in good], numbers, table.source, name)
        rule = f"column {name}"
    elif split.file is not None:
        parts, rule = _parts_from_file(split.file, [table.rows[i] for i in good])
    else:
        chosen = registry.splits.get(split.name, task.plugin) if split.name else task.split
        chosen = chosen or registry.splits.get("core/random")
        parts = apply_split(chosen, fields, task, seed)
        rule = chosen.name
    check_parts(parts, rule)
    return parts, rule


def apply_split(
    split: Registered[Split], fields: Mapping[str, list[Any]], task: ResolvedTask, seed: int
) -> list[str]:
    """Apply a registered split to canonical rows.

    Raises:
        PluginError: when it gives another number of rows.
        DataError: when the task has not the field that the split groups by.
    """
    spec = split.spec
    spans = {field: fields[field] for field in spec.columns or task.span_fields if field in fields}
    if spec.assign is not None:
        missing = [field for field in spec.columns if field not in fields]
        if missing:
            raise DataError(
                f"the split '{split.name}' needs the field '{missing[0]}', which task {task.name} "
                f"has not (it has {', '.join(fields)}). Use --set data.split.name=random."
            )
        assign = resolve(spec.assign, f"split {split.name}")
        parts = list(assign(spans or fields, seed))
    else:
        groups = resolve(spec.groups or "", f"split {split.name}")
        field = spec.field or (task.span_fields[0] if task.span_fields else None)
        if field is None or field not in fields:
            raise DataError(
                f"the split '{split.name}' groups by the field '{field}', which task {task.name} "
                f"has not (it has {', '.join(fields)}). Use --set data.split.name=random."
            )
        parts = parts_by_groups(groups(fields[field]))
    count = len(next(iter(fields.values())))
    if len(parts) != count:
        raise PluginError(
            f"{split.source}: split '{split.name}' gave {len(parts)} parts for {count} rows."
        )
    return parts


def _parts_from_file(path: str, numbers: Sequence[int]) -> tuple[list[str], str]:
    table = read_table(Path(path))
    row_column = find_column(table.columns, "row", (), {}, table.source)
    part_column = find_column(table.columns, "part", ("split",), {}, table.source)
    by_row = {int(str(row)): i for i, row in enumerate(table.columns[row_column])}
    missing = [n for n in numbers if n not in by_row]
    if missing:
        raise DataError(
            f"{path}: names no part for row {missing[0]} ({len(missing)} rows are missing)."
        )
    held = [table.columns[part_column][by_row[n]] for n in numbers]
    rows = [table.rows[by_row[n]] for n in numbers]
    return parse_parts(held, rows, table.source, part_column), f"file {path}"


def corpus_rows(
    domain: Any, registry: Registry, file: str | None, seed: int, size: int | None, on_error: str
) -> tuple[list[Any], str, int]:
    """Read a domain's corpus for stage 1, less everything in the test bucket.

    Returns:
        Canonical rows, what they came from, and how many the test bucket took.

    Raises:
        DataError: when the domain has no corpus and no file was given.
        RowError: naming bad rows, unless `on_error` is keep.
    """
    spec, owner = domain.spec, domain.source.name
    if file is not None:
        table = read_table(Path(file))
        mapping: dict[str, str] = {}
    elif spec.corpus is not None:
        found = registry.datasets.get(spec.corpus, owner, f"corpus of {domain.name}")
        table = load_dataset(found, seed, size)
        mapping = {}
    else:
        raise DataError(
            f"domain {domain.name} has no corpus of its own: give one with "
            f"--domain-data {spec.tag}=FILE."
        )
    names = spec.columns or (spec.field,)
    columns = [
        find_column(table.columns, n, () if spec.columns else spec.aliases, mapping, table.source)
        for n in names
    ]
    taken = [table.columns[column] for column in columns]
    rows = [_as_value(v if spec.columns else v[0]) for v in zip(*taken, strict=True)]
    errors: list[str | None] = [None if row else f"{spec.field}: empty" for row in rows]
    if spec.canonical is not None:
        checked = resolve(spec.canonical, f"domain {domain.name}, canonical")(rows)
        errors = [a or b for a, b in zip(errors, checked.errors, strict=True)]
        rows = [value or "" for value in checked.values]
    _settle(table, errors, on_error)
    good = [row for row, error in zip(rows, errors, strict=True) if error is None]
    if spec.split is None:
        return good, table.source, 0
    split = registry.splits.get(spec.split, owner, f"domain {domain.name}").spec
    if split.groups is None:
        return good, table.source, 0
    key_column = next((name for name in split.keys if name in table.columns), None)
    if key_column is not None:
        held = [_as_value(value) for value in table.columns[key_column]]
        # a record without the deciding column is its own key
        deciding = [key or row for key, row in zip(held, rows, strict=True)]
        keyed = [key for key, error in zip(deciding, errors, strict=True) if error is None]
    else:
        keyed = good
    keys = resolve(split.groups, f"split {spec.split}")(keyed)
    outside = [row for row, part in zip(good, parts_by_groups(keys), strict=True) if part != "test"]
    return outside, table.source, len(good) - len(outside)
