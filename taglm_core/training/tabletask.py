"""The run that a table alone stands for: inputs, target and split found in its columns."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from taglm_core.data.columns import OWN_COLUMNS, folded, target_name
from taglm_core.data.recognition import Ask, Input, choose_inputs, refuse_to_ask
from taglm_core.data.splits import SPLITS, split_word
from taglm_core.data.table import Table
from taglm_core.data.targetkind import TargetKind, target_kind
from taglm_core.errors import ConfigError, DataError, nearest
from taglm_core.plugins import Registry

_NO_NAME = re.compile(r"[^\w-]+")
_MOST_IN_NAME = 3
_LONGEST_NAME = 60  # characters


@attrs.frozen(kw_only=True)
class TableTask:
    """What a table was taken for."""

    settings: dict[str, Any]
    """The run, as the content of a run file without the file itself."""
    remarks: list[str]
    """What was decided, one sentence each, for the person to check."""


def table_task(
    table: Table,
    registry: Registry,
    targets: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
    ask: Ask = refuse_to_ask,
) -> TableTask:
    """Decide what is to be learned from a table.

    Args:
        table: The table.
        registry: Gives the domains.
        targets: Names of the target columns; none: a person is asked.
        given: Settings of the user, which win.
        ask: Is asked where something is not clear.

    Raises:
        DataError: when a column is missing or holds nothing that fits, or nobody can be asked.
        ConfigError: when the targets do not go together.
    """
    given = given or {}
    if not table.num_rows:
        raise DataError(f"{table.source} holds no rows to learn from. Give a table with rows.")
    task, data = _section(given, "task"), _section(given, "data")
    mapping = dict(data.get("columns") or {})
    split = _split_column(table, targets) if not _section(data, "split") else None
    given_weights = folded(str(data.get("weights") or ""))
    weights = [
        column for column in table.columns if given_weights and folded(column) == given_weights
    ]
    skipped = [*targets, *([split] if split else []), *weights]
    columns = [_target_column(table, target) for target in targets]
    inputs = choose_inputs(table, registry, mapping, [*skipped, *columns], ask)
    used = [item.column for item in inputs]
    if not columns:
        columns = [_asked_target(table, [*used, *skipped], ask)]
    wanted = _section(task, "target").get("kind")
    kinds = [target_kind(table, column, wanted) for column in dict.fromkeys(columns)]
    name = str(task.get("name") or _task_name(kinds, table, inputs, registry))
    settings = {
        "task": {"name": name, **_task(name, inputs, kinds)},
        "data": {
            "columns": {item.field: item.column for item in inputs},
            **({"split": {"column": split}} if split else {}),
            "on_error": "skip",
        },
    }
    splitter = None if split else _splitter(inputs, registry)
    if splitter is not None and len({item.domain.name for item in inputs}) > 1:
        settings["task"]["split"] = splitter
    rest = [c for c in table.columns if c not in (*used, *columns, *weights, split)]
    own = _section(data, "split")
    if any(own.get(key) is not None for key in ("method", "column", "file")):
        splitter = None  # the user's own is said when the rows are read
    remarks = _remarks(table, inputs, kinds, split, splitter, settings, rest, registry)
    return TableTask(settings=settings, remarks=remarks)


def _section(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    held = settings.get(key)
    return held if isinstance(held, Mapping) else {}


def _split_column(table: Table, targets: Sequence[str]) -> str | None:
    """Return the first column that says train, valid or test of every row, None without one.

    Raises:
        DataError: for a column that nearly does: to split by another rule would train on rows that
            were kept for the test.
    """
    for column, cells in table.columns.items():
        words = [split_word(cell) for cell in cells]
        said = set(words) - {None}
        if column in targets or len(said) < 2 or sum(map(bool, words)) < 0.8 * len(words):
            continue
        lacking = [split for split in SPLITS if split not in said]
        wrong = f"no row holds {lacking[0]}" if lacking else ""
        if None in words:
            at = words.index(None)
            wrong = f"row {table.rows[at]} holds {str(cells[at] or '')[:40]!r}"
        if not wrong:
            return column
        raise DataError(
            f"{table.source}: the column '{column}' says train, valid or test, but {wrong}. "
            "Correct it, or leave it unused with a splitter of your choice, such as --split random."
        )
    return None


def _target_column(table: Table, target: str) -> str:
    """Return the column of a target, whose unit may be left out.

    Raises:
        DataError: when there is none, or several differ in the unit alone.
    """
    columns = list(table.columns)
    for key in (str, folded, lambda column: folded(target_name(column)[0])):
        found = [column for column in columns if key(column) == key(target)]
        if len(found) == 1:
            return found[0]
        if found:
            break
    if found:
        shown = ", ".join(found)
        raise DataError(f"{table.source}: '{target}' may be one of {shown}. Write it in full.")
    spaced = any(target in column.split() for column in columns)
    advice = " Cells seem to be separated by spaces; use commas or tabs." if spaced else ""
    raise DataError(
        f"{table.source}: no column '{target}' for --target.{nearest(target, columns)} Columns: "
        f"{', '.join(columns)}.{advice}"
    )


def _asked_target(table: Table, others: Sequence[str], ask: Ask) -> str:
    """Ask which column is the target."""
    found: list[TargetKind] = []
    for column in table.columns:
        if column not in others and column.strip():  # without a name: the numbers of the rows
            try:
                found.append(target_kind(table, column))
            except DataError:
                continue
    if not found:
        raise DataError(
            f"{table.source}: no column holds a target, which is a column of numbers or of "
            f"classes. Columns: {', '.join(table.columns)}."
        )
    answers = [f"{kind.column}: {kind.said}" for kind in found]
    options = "".join(f"\n  --target {_quoted(kind.column)}  ({kind.said})" for kind in found)
    question = f"{table.source}: which column is to be predicted?"
    return found[ask(question, answers, f"Name it:{options}")].column


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w.+-]+", text) else f'"{text}"'


def _task_name(
    kinds: Sequence[TargetKind], table: Table, inputs: Sequence[Input], registry: Registry
) -> str:
    """Return the name of the task and of its function tag: the target's name without its unit."""
    names = [target_name(kind.column)[0] for kind in kinds]
    if len(names) > _MOST_IN_NAME:
        stem = re.split(r"[\\/]", table.source)[-1].partition(".")[0]
        names = [stem]
    name = "-".join(_NO_NAME.sub("_", part).strip("_-") for part in names).strip("_-")
    if not re.match(r"[A-Za-z]", name):
        name = f"Target_{name}".rstrip("_")
    taken = {domain.spec.tag.lower() for domain in registry.domains}
    taken |= {*(item.field.lower() for item in inputs), *OWN_COLUMNS}
    name = name[:_LONGEST_NAME]  # it names the run folder
    return f"{name}_value" if name.lower() in taken else name


def _task(name: str, inputs: Sequence[Input], kinds: Sequence[TargetKind]) -> dict[str, Any]:
    """Return the template and the target."""
    spans = " ".join(
        f"The {i.domain.spec.tag} is <{i.domain.spec.tag}>{{{i.field}}}." for i in inputs
    )
    words = _escaped(", ".join(target_name(kind.column)[0] for kind in kinds))
    made: dict[str, Any] = {"template": f"{spans} The {words} is <{name}>"}
    first = kinds[0]
    columns = [kind.column for kind in kinds]
    if {kind.kind for kind in kinds} == {"regression"}:
        units = {target_name(column)[1] for column in columns}
        unit = units.pop() if len(units) == 1 else ""  # columns of several units keep their own
        target: dict[str, Any] = {"kind": "regression", "columns": columns}
        target |= {"unit": unit} if unit else {}
        if len(kinds) > 1:
            target["names"] = [_NO_NAME.sub("_", target_name(c)[0]).strip("_") for c in columns]
        return {**made, "target": target}
    if len(kinds) == 1:
        classes = {"classes": list(first.classes)} if first.classes else {}
        return {**made, "target": {"kind": "classification", "columns": columns, **classes}}
    if all(kind.is_label for kind in kinds):
        target = {"kind": "classification", "columns": columns, "multi_label": True}
        return {**made, "target": target}
    listed = ", ".join(f"{kind.column} ({kind.kind})" for kind in kinds)
    raise ConfigError(
        f"several targets must all be numbers, or all be labels of two values: {listed}. Run them "
        "one at a time."
    )


def _escaped(text: str) -> str:
    """Return words as a template holds them: its own characters twice."""
    return re.sub(r"([<{])", r"\1\1", text)


def _splitter(inputs: Sequence[Input], registry: Registry) -> str | None:
    """Return the full name of the splitter of the first domain that has one."""
    for item in inputs:
        if item.domain.spec.split is not None:
            source = item.domain.source.name
            return registry.splitters.get(item.domain.spec.split, source).name
    return None


def _remarks(
    table: Table,
    inputs: Sequence[Input],
    kinds: Sequence[TargetKind],
    split: str | None,
    splitter: str | None,
    settings: Mapping[str, Any],
    rest: Sequence[str],
    registry: Registry,
) -> list[str]:
    """Say what was decided."""
    said = []
    for item in inputs:
        share = "all values" if item.share == 1 else f"{100 * item.share:.0f} % of the values"
        said.append(
            f"input: column '{item.column}' holds <{item.domain.spec.tag}> ({share} can be read)"
        )
    for kind in kinds:
        unit = target_name(kind.column)[1]
        what = f"{kind.kind}, unit {unit}" if unit else kind.kind
        said.append(f"target: column '{kind.column}' holds {kind.said} ({what})")
    if split is not None:
        said.append(f"split: column '{split}' says train, valid or test")
    elif splitter is not None:
        said.append(f"split: {splitter} ({registry.splitters.get(splitter).spec.description})")
    name = settings["task"]["name"]
    said.append(f"task and function tag: {name}")
    if rest:
        names = [c if c.strip() else f"column {1 + list(table.columns).index(c)}" for c in rest]
        said.append(f"not used: {', '.join(names)}")
    return said


def unknown_task(name: str, file: str | None, table: Table, registry: Registry) -> str:
    """Say that a task with data is not registered, and what learns a column of the data.

    Args:
        name: What was given as a task.
        file: Path of the data; None: they are in memory.
        table: The data.
        registry: Gives the tasks.
    """
    folded = {column.lower(): column for column in table.columns}
    folded |= {target_name(column)[0].lower(): column for column in table.columns}
    target = folded.get(name.lower())
    shown = target if target is not None else "COLUMN"
    command = (
        f"taglm run {_quoted(file)} --target {_quoted(shown)}"
        if file
        else (f"taglm.run(data, target={shown!r})")
    )
    known = ", ".join(sorted(task.short for task in registry.tasks))
    return (
        f"no task is called '{name}' (tasks: {known}). To learn a column of {table.source}, write:"
        f"\n  {command}\nIts columns: {', '.join(table.columns)}."
    )
