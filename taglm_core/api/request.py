"""A run as a caller asks for it: its task, its settings and its rows from any form."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from taglm_core.api.preparation import PreparedRun, data_file
from taglm_core.api.tables import check_known, is_table, only_one, settings_of_table
from taglm_core.data.memory import as_table, is_path
from taglm_core.data.recognition import Ask, refuse_to_ask
from taglm_core.errors import ConfigError
from taglm_core.plugins import load_registry
from taglm_core.store.runfolder import RUNS, RunFolder
from taglm_core.training.loggers import find_loggers
from taglm_core.training.settings import merge, read_run_file, run_config


def prepare_run(
    task: Any,
    data: Any = None,
    *,
    target: "str | Sequence[str] | None" = None,
    out: "str | PathLike[str] | None" = None,
    settings: Sequence[Mapping[str, Any]] = (),
    source: str = "taglm.run",
    ask: Ask = refuse_to_ask,
    log_to: Sequence[str] = (),
) -> PreparedRun:
    """Read and check the settings of a run.

    Args:
        task: As for `run`.
        data: As for `run`.
        target: As for `run`.
        out: As for `run`.
        settings: Nested settings; later ones win.
        source: What is named in messages; the run file wins.
        ask: Is asked where it is not clear what a table holds.
        log_to: Names of loggers that hear of each step.

    Raises:
        ConfigError: listing every unknown key and every wrong value.
        DataError: when a table cannot be read, or it is not clear what it holds.
    """
    registry = load_registry()
    remarks: list[str] = []
    if is_table(task, registry, target is not None):
        if data is not None:
            raise ConfigError(f"{source}: give the rows once, not both as the task and as data.")
        data = only_one(task)
        base, remarks = settings_of_table(data, registry, target, merge(*settings), ask)
    else:
        base = _base(task)
        check_known(base, data, target, settings, registry)
    named = only_one(task)
    if is_path(named) and _is_file(named):
        source = f"{named} with the options given" if any(settings) else str(named)
    table = None
    layers: list[Mapping[str, Any]] = [base, {}, *settings]
    if is_path(data):
        layers[1] = _rows_of(str(data))
    elif data is not None:
        layers[1] = _rows_of(None)  # the name of its file needs the folder
        table = as_table(data, (), "taglm.run").table
    config = run_config(source, *layers, registry=registry)
    find_loggers(tuple(log_to), registry)  # a dry run names an unknown one too
    folder = RunFolder(Path(out) if out is not None else RUNS / config.name)
    if table is not None:
        layers[1] = _rows_of(data_file(folder, table))
        config = run_config(source, *layers, registry=registry)
    return PreparedRun(
        config=config,
        registry=registry,
        folder=folder,
        table=table,
        given=merge(*layers),
        remarks=tuple(remarks),
        log_to=tuple(log_to),
    )


def _rows_of(file: str | None) -> dict[str, Any]:
    """Return the settings of a run on a file."""
    return {"data": {"file": file}}


def _is_file(task: Any) -> bool:
    return str(task).endswith((".yaml", ".yml"))


def _base(task: Any) -> dict[str, Any]:
    """Return the settings that a task, several of them or a run file stand for."""
    if is_path(task):
        return read_run_file(task) if _is_file(task) else {"task": {"name": str(task)}}
    if isinstance(task, Mapping):
        is_whole = "task" in task or "tasks" in task
        return dict(task) if is_whole else {"task": dict(task)}
    names = list(task)
    files = [name for name in names if isinstance(name, str) and _is_file(name)]
    if len(names) == 1:
        return _base(names[0])
    if files:
        raise ConfigError(
            f"{files[0]}: a run file cannot be combined with tasks. List them in its key 'tasks'."
        )
    return {"tasks": names}
