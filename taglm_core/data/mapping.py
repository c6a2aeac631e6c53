"""Which names `--column` may give a column to: those that a task reads."""

from collections.abc import Iterable, Mapping
from typing import Any

from taglm_core.data.columns import column_option
from taglm_core.data.targets import target_columns
from taglm_core.errors import ConfigError, nearest
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import ResolvedTask


def column_names(task: ResolvedTask) -> list[str]:
    """Return every name of a task that a column can be given to."""
    names = dict.fromkeys(task.fields)
    for field in task.fields:
        domain = task.domain_of_field(field)
        if domain is not None and field == domain.spec.field:
            names |= dict.fromkeys(domain.spec.columns)
    names |= dict.fromkeys(target_columns(task)) | dict.fromkeys(target_columns(task).values())
    if task.prompt.output is not None:
        names[task.prompt.output.field] = None
    return list(names)


def check_columns(jobs: Iterable[Any], tasks: Iterable[ResolvedTask], registry: Registry) -> None:
    """Check the columns that the jobs of a run give names to; splits read some of their own.

    Raises:
        ConfigError: as `check_mapping`.
    """
    others = [name for split in registry.splitters for name in split.spec.columns]
    tasks = list(tasks)
    for job in jobs:
        check_mapping(job.data.columns, tasks, others)


def check_mapping(
    mapping: Mapping[str, str], tasks: Iterable[ResolvedTask], others: Iterable[str] = ()
) -> None:
    """Demand that every name with a column is one that a task reads.

    Args:
        mapping: Name -> column, as the user gave with `--column`.
        tasks: The tasks that read files.
        others: Further names, such as the columns that splits read.

    Raises:
        ConfigError: naming the first that nothing reads, which would be ignored.
    """
    known = list(dict.fromkeys(name for task in tasks for name in column_names(task)))
    for name, column in mapping.items():
        if name not in known and name not in others:
            raise ConfigError(
                f"{column_option(name, column)}: there is no field or target '{name}'."
                f"{nearest(name, known)} A column can be given to: {', '.join(known)}."
            )
