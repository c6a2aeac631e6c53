"""A task by name or from a run file, and the rows of a data file as a run would read them."""

from collections.abc import Mapping
from pathlib import Path

from taglm_core.data.config import DataConfig, SplitConfig
from taglm_core.data.measured import with_labels
from taglm_core.data.rows import TaskRows, load_task_rows
from taglm_core.errors import ConfigError
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import ResolvedTask, resolve_task
from taglm_core.training.declared import configured_task
from taglm_core.training.settings import read_run_file, run_config


def find_task(name: str, registry: Registry) -> tuple[ResolvedTask, dict[str, str]]:
    """Look up a task with everything that it names.

    Args:
        name: A registered task, or a run file (`.yaml`) that names or declares one.
        registry: Where it is looked up.

    Returns:
        The task, and field -> column as the run file maps them; nothing for a registered task.

    Raises:
        UnknownNameError: when there is no such task.
        ConfigError: when the run file cannot be read or declares several tasks.
    """
    if not name.endswith((".yaml", ".yml")):
        registered = registry.tasks.get(name)
        return resolve_task(registered.spec, registered.source.name, registry), {}
    config = run_config(name, read_run_file(name))
    if config.task is None:
        raise ConfigError(
            f"{name} has several tasks. Give a run file with one task, or a task's name."
        )
    return with_labels(
        configured_task(config.task, registry), config.data.labels
    ), config.data.columns


def read_task_rows(
    file: str | Path,
    task: ResolvedTask,
    registry: Registry,
    *,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
    need_targets: bool = False,
    on_error: str = "skip",
) -> TaskRows:
    """Read, check and split the rows of a file as a run of the task would.

    Args:
        file: Table with the fields of the task.
        task: The task.
        registry: Where splits are looked up.
        split: Registered split; None: the task's own.
        columns: Field -> column.
        seed: Seed of the split.
        need_targets: False: a file without targets will do.
        on_error: What an invalid row does: "raise" or "skip", which lists it in `rejected`.

    Raises:
        RowError: naming invalid rows, unless `on_error` is skip.
        DataError: for a missing file or column, or a splitter that leaves a split empty.
    """
    data = DataConfig(
        file=str(file),
        columns=dict(columns or {}),
        split=SplitConfig(method=split),
        on_error=on_error,
    )
    return load_task_rows(task, registry, data, seed, need_targets=need_targets)
