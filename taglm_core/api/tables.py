"""A table in the place of a task: what it holds decides the task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taglm_core.data.formats import find_reader
from taglm_core.data.memory import as_table, is_path
from taglm_core.data.readers import read_table
from taglm_core.data.recognition import Ask
from taglm_core.data.table import Table
from taglm_core.errors import ConfigError, DataError, TaglmError, UnknownNameError
from taglm_core.plugins import Registry
from taglm_core.training.settings import merge
from taglm_core.training.tabletask import table_task, unknown_task


def only_one(task: Any) -> Any:
    """Return the only item of a list, anything else as it is."""
    return task[0] if isinstance(task, list | tuple) and len(task) == 1 else task


def is_table(task: Any, registry: Registry, has_target: bool = False) -> bool:
    """Say whether what was given as a task is a table: a file that a reader reads, or a DataFrame.

    Args:
        task: What was given as a task.
        registry: Gives the readers.
        has_target: True: a target was named, so that a mapping holds columns and not settings.

    Raises:
        DataError: when it is a file of a format that no reader reads.
        ConfigError: when it is one of several files.
    """
    task = only_one(task)
    if isinstance(task, list | tuple):
        tables = [name for name in task if isinstance(name, str) and is_table(name, registry)]
        if tables:
            raise ConfigError(f"{tables[0]}: a run reads one table. Put all rows into one file.")
        return False
    if not is_path(task):
        return has_target or not isinstance(task, Mapping)
    path = Path(task)
    is_named = any(str(task) in (known.name, known.short) for known in registry.tasks)
    if has_target and path.is_dir():
        raise DataError(f"{path} is a folder. Name the table in it, such as {path / 'lab.csv'}.")
    if path.suffix in (".yaml", ".yml") or is_named or (not path.suffix and not path.is_file()):
        return False
    try:
        find_reader(path, registry=registry)
    except DataError:
        if path.is_file():
            raise
        return False
    return True


def settings_of_table(
    data: Any,
    registry: Registry,
    target: "str | Sequence[str] | None",
    given: Mapping[str, Any],
    ask: Ask,
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that a table stands for, and what was decided.

    Args:
        data: Path of a table, or rows in memory.
        registry: Gives the domains.
        target: Column to predict, or several; None: a person is asked.
        given: Settings of the user, which win.
        ask: Is asked where something is not clear.

    Raises:
        DataError: when the table cannot be read, or nobody can be asked.
    """
    section = given.get("data")
    sheet = section.get("sheet") if isinstance(section, Mapping) else None
    table = _read(data, registry, sheet)
    targets = [target] if isinstance(target, str) else list(target or ())
    made = table_task(table, registry, targets, given, ask)
    return made.settings, made.remarks


def _read(data: Any, registry: Registry, sheet: str | int | None = None) -> Table:
    if is_path(data):
        chosen = None if sheet is None else str(sheet)
        return read_table(Path(data), registry=registry, sheet=chosen)
    return as_table(data, (), "taglm.run").table


def check_known(
    base: Mapping[str, Any],
    data: Any,
    target: Any,
    settings: Sequence[Mapping[str, Any]],
    registry: Registry,
) -> None:
    """Refuse a task that is not registered where data are given, and say what to write.

    Raises:
        UnknownNameError: naming the command that learns a column of the data.
        ConfigError: when a target is named beside a task.
    """
    if target is not None:
        shown = data if is_path(data) else "lab.csv"
        raise ConfigError(
            f"--target names a column of a table. Give the table instead of a task: "
            f"taglm run {shown} --target NAME."
        )
    task = merge(base, *settings).get("task")
    name = task.get("name") if isinstance(task, Mapping) else task
    if data is None or not isinstance(name, str):
        return
    if isinstance(task, Mapping) and {"template", "target"} & task.keys():
        return  # a task that is declared
    try:
        registry.tasks.get(name)
    except UnknownNameError as error:
        try:
            table = _read(data, registry)
        except TaglmError:
            raise error from None  # what is wrong with the data is said where they are read
        file = str(data) if is_path(data) else None
        raise UnknownNameError(unknown_task(name, file, table, registry)) from error
