"""Measured or computed: what a task that computes its target does with a column of that name."""

from collections.abc import Sequence

import attrs

from taglm_core.data.table import Table
from taglm_core.errors import ConfigError, DataError
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, Regression

CHOICES = ("auto", "computed", "measured")
"""Values of `data.labels` and of `--labels`."""


def computing_code(registry: Registry) -> frozenset[str]:
    """Return the references with which the tasks of installed plugins compute their targets."""
    computed = (getattr(item.spec.target, "compute", None) for item in registry.tasks)
    return frozenset(reference for reference in computed if reference is not None)


def with_labels(task: ResolvedTask, labels: str) -> ResolvedTask:
    """Return a task that reads its target from columns if measured labels are asked for.

    Args:
        task: The task.
        labels: One of `CHOICES`.

    Raises:
        ConfigError: when it is none of them, or the target is not computed.
    """
    if labels not in CHOICES:
        raise ConfigError(f"labels: write one of {', '.join(CHOICES)}, not {labels!r}.")
    if labels == "auto":
        return task
    target = task.spec.target
    if not isinstance(target, Regression | Classification) or target.compute is None:
        if labels == "measured":
            return task
        raise ConfigError(
            f"labels: task {task.name} computes no target. Leave labels={labels} out."
        )
    if labels == "computed":
        return task
    spec = attrs.evolve(task.spec, target=attrs.evolve(target, compute=None))
    return attrs.evolve(task, spec=spec)


def refuse_measured(table: Table, task: ResolvedTask, labels: str, ways: Sequence[str]) -> None:
    """Stop when a table holds a column for a target that would be computed instead.

    Args:
        table: Rows of the user.
        task: As `with_labels` gave it.
        labels: One of `CHOICES`; "auto" alone stops.
        ways: How the user asks for measured and for computed values, for the message.

    Raises:
        DataError: naming the column and both ways.
    """
    target = task.spec.target
    if labels != "auto" or not isinstance(target, Regression | Classification):
        return
    if target.compute is None:
        return
    names = {task.name, *target.names, *(target.columns or ())}
    names |= {alias for name in names for alias in task.spec.aliases.get(name, ())}
    wanted = {name.lower() for name in names} - {field.lower() for field in task.fields}
    column = next((c for c in table.columns if c.strip().lower() in wanted), None)
    if column is not None:
        measured, computed = ways
        raise DataError(
            f"{table.source}: has the column '{column}', but task {task.name} computes its target "
            f"({target.compute}) and does not read it. Say which is meant: {measured} takes the "
            f"column, {computed} computes and passes it over."
        )
