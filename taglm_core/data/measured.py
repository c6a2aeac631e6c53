"""Measured or computed: what a task that computes its target does with a column of that name."""

import re
from collections.abc import Sequence

import attrs

from taglm_core.data.columns import column_option, folded, target_name
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


def label_word(task: ResolvedTask) -> str:
    """Return what the truth of a task is: computed from its fields, or measured."""
    return "measured" if getattr(task.spec.target, "compute", None) is None else "computed"


def with_labels(task: ResolvedTask, labels: str) -> ResolvedTask:
    """Return a task that reads its target from columns if measured labels are asked for.

    Args:
        task: The task.
        labels: One of `CHOICES`.

    Raises:
        ConfigError: when it is none of them, or the target is not computed.
    """
    if labels not in CHOICES:
        raise ConfigError(f"labels must be one of {', '.join(CHOICES)}, not {labels!r}.")
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
    wanted = {_bare(name) for name in names} - {_bare(field) for field in task.fields}
    column = next((c for c in table.columns if _bare(c) in wanted), None)
    if column is not None:
        measured, computed = ways
        raise DataError(
            f"{table.source} has the column '{column}', but the labels of task {task.name} are "
            f"computed ({target.compute}). To use the measured column, add {measured}"
            f"{_mapped(column, names, target)}. To use computed labels, add {computed}."
        )


def _mapped(column: str, names: set[str], target: Regression | Classification) -> str:
    """Return the option that names the column, where it is not found by its name alone."""
    if folded(column) in {name.lower() for name in names} or len(target.names) > 1:
        return ""
    return f" {column_option(target.names[0], column)}"


def _bare(column: str) -> str:
    """Return a name without unit, blanks and signs: `Log P (exp.)` is `logp`."""
    return re.sub(r"[\W_]", "", folded(target_name(column)[0]))
