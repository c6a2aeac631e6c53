"""The look at the rows before training: what plugins find is said and kept, never acted on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from taglm_core.data.censoring import values_of
from taglm_core.data.kept import kept_rows
from taglm_core.plugins import Registry
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Classification, RowsLoaded
from taglm_core.specs.reference import resolve


def rows_event(task: ResolvedTask, rows: Any, seed: int) -> RowsLoaded:
    """Return what plugins are told about the rows of a task."""
    target = task.spec.target
    if isinstance(target, Classification):
        target = attrs.evolve(target, classes=rows.classes or target.classes)
    return RowsLoaded(
        task=task.name,
        target=target,
        source=rows.source,
        numbers=rows.numbers,
        splits=rows.splits,
        fields={name: rows.fields[name] for name in task.span_fields},
        texts={name: rows.fields[name] for name in task.fields if name not in task.span_fields},
        truth=values_of(rows.targets),
        features=feature_functions(task),
        seed=seed,
        symmetric=task.symmetric,
    )


def feature_functions(task: ResolvedTask, kind: str = "features") -> dict[str, Callable[..., Any]]:
    """Return field -> feature function, for the domains that have one.

    Args:
        task: Whose fields.
        kind: Which function of the domain: features, descriptors or fingerprint.
    """
    found: dict[str, Callable[..., Any]] = {}
    for field in task.span_fields:
        domain = task.domain_of_field(field)
        reference = None if domain is None else getattr(domain.spec, kind)
        if domain is not None and reference is not None:
            function = resolve(reference, f"domain {domain.name}, {kind}")
            found[field] = partial(kept_rows, reference, function, f"{kind} of {field}")
    return found


def group_functions(task: ResolvedTask, registry: Registry) -> dict[str, Callable[..., Any]]:
    """Return field -> the groups of its domain's split, for the domains that have such a rule."""
    found = {}
    for field in task.span_fields:
        domain = task.domain_of_field(field)
        if domain is None or domain.spec.split is None:
            continue
        where = f"domain {domain.name}, split"
        splitter = registry.splitters.get(domain.spec.split, domain.source.name, where)
        if splitter.spec.groups is not None:
            found[field] = resolve(splitter.spec.groups, f"splitter {splitter.name}")
    return found


def look_over(
    task: ResolvedTask, rows: Any, registry: Registry, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Ask plugins what is odd about the rows, and say their summaries.

    Returns:
        Plugin -> its report.
    """
    reports: dict[str, Any] = {}
    for source, found in registry.send("on_rows_loaded", rows_event(task, rows, seed)):
        for line in found.get("summary") or ():
            say(f"data check: {line}")
        reports[source.name] = found.get("report") or {}
    return reports
