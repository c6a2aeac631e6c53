"""Tables of tasks: from a file, a registered dataset, or the task's own dataset."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taglm_core.data.kept import kept_result
from taglm_core.data.readers import read_table
from taglm_core.data.table import Table
from taglm_core.errors import ConfigError, DataError, PluginError, TaglmError
from taglm_core.plugins import Registered, Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.progress import progress_bar
from taglm_core.specs import Dataset
from taglm_core.specs.options import check_options
from taglm_core.specs.reference import resolve


@functools.lru_cache(maxsize=4)
def _generated(load: Callable[..., Any], reference: str, seed: int, size: int | None) -> Any:
    """Make rows, which are the same for the same seed; folds share those of their corpus."""
    counted = "" if size is None else f"{size:,} "
    title = f"generating {counted}rows of {reference.partition(':')[2]}"
    count = size if size is not None else _MANY
    return kept_result(reference, load, None, count, title, seed=seed, size=size)


_MANY = 1_000_000
"""Rows of a dataset whose size is its own."""


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
        if dataset.spec.generated and not options:
            loaded = _generated(load, dataset.spec.load, seed, size)
        else:
            with progress_bar(f"reading {dataset.name}"):
                loaded = load(seed=seed, size=size, **options)
    except TaglmError:  # says what a user can fix, such as where to put a local copy
        raise
    except Exception as error:  # charged to the plugin
        raise PluginError(
            f"{dataset.source}: dataset '{dataset.name}' failed: {type(error).__name__}: {error}"
        ) from error
    columns = {str(k): list(loaded[k]) for k in getattr(loaded, "column_names", loaded)}
    missing = [name for name in dataset.spec.columns if name not in columns]
    if missing:
        raise PluginError(
            f"{dataset.source}: dataset '{dataset.name}' lacks the column '{missing[0]}' that it "
            "declares."
        )
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
        return read_table(Path(file), registry=registry, sheet=options.get("sheet")), None
    if options.get("sheet") is not None:
        raise ConfigError(
            "data.sheet chooses a sheet of the table that data.file names; a dataset has none. "
            "Leave it out."
        )
    name = dataset or task.spec.dataset
    if name is None:
        raise DataError(f"task {task.name} has no dataset of its own: give one with --data FILE.")
    registered = registry.datasets.get(name, task.plugin, f"task {task.name}")
    if file is not None:
        arguments["file"] = file
    return load_dataset(registered, options["seed"], options["size"], **arguments), registered
