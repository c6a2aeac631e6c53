"""The suite: which checks a plugin's objects get, and running them."""

from collections.abc import Callable, Iterator
from typing import Any

from taglm_core.errors import UnknownNameError, listed, nearest
from taglm_core.plugins import Registered, Registry, load_registry
from taglm_core.testing.contract import (
    baselines,
    datasets,
    domains,
    encoders,
    engines,
    events,
    heads,
    imports,
    loggers,
    metrics,
    readers,
    resources,
    specs,
    splits,
    tasks,
    templates,
)
from taglm_core.testing.contract.context import Context, Subject
from taglm_core.testing.contract.outcomes import Check
from taglm_core.testing.contract.report import Planned, Rule

RULES: dict[str, tuple[Rule, ...]] = {
    "plugin": imports.CHECKS,
    "domain": (*specs.CHECKS, *domains.CHECKS),
    "encoder": encoders.CHECKS,
    "task": (*specs.CHECKS, *tasks.CHECKS),
    "template": (*specs.CHECKS, *templates.CHECKS),
    "dataset": (*specs.CHECKS, *datasets.CHECKS),
    "metric": (*specs.CHECKS, *metrics.CHECKS),
    "head": (*specs.CHECKS, *heads.CHECKS),
    "splitter": (*specs.CHECKS, *splits.CHECKS),
    "backbone": (*specs.CHECKS, *resources.BACKBONES),
    "command": (*specs.CHECKS, *resources.COMMANDS),
    "baseline": (*specs.CHECKS, *baselines.CHECKS),
    "reader": (*specs.CHECKS, *readers.CHECKS),
    "logger": (*specs.CHECKS, *loggers.CHECKS),
    "engine": (*specs.CHECKS, *engines.CHECKS),
    "tag_folder": (*specs.CHECKS, *resources.TAG_FOLDERS),
    "event": events.CHECKS,
}
"""Kind of object -> its checks, in order."""


def check_plugin(
    name: str,
    registry: Registry | None = None,
    on_check: Callable[[Check], None] | None = None,
) -> list[Check]:
    """Check every object that a plugin registers.

    Args:
        name: Name of its entry point, such as "chem"; "core" for the core's own registrations.
        registry: Where it is registered; None: everything installed.
        on_check: Called with each outcome as it comes.

    Returns:
        One outcome for each check; what the plugin failed to register is a failed check too.

    Raises:
        UnknownNameError: when there is no such plugin.
    """
    checks = []
    for planned in plan_checks(name, registry):
        checks.append(planned.run())
        if on_check is not None:
            on_check(checks[-1])
    return checks


def plan_checks(name: str, registry: Registry | None = None) -> list[Planned]:
    """Return the checks of a plugin's objects without running them.

    Raises:
        UnknownNameError: when there is no such plugin.
    """
    registry = registry if registry is not None else load_registry()
    context = _context(name, registry)
    return [
        Planned(kind, shown, rule, subject)
        for kind, shown, subject in _subjects(context)
        for rule in RULES[kind]
        if rule.applies(subject)
    ]


def _context(name: str, registry: Registry) -> Context:
    loaded = next((item for item in registry.plugins if item.source.name == name), None)
    failures = [failure for failure in registry.failures if failure.source.name == name]
    if loaded is None and not failures:
        known = {item.source.name for item in registry.plugins}
        known |= {failure.source.name for failure in registry.failures}
        raise UnknownNameError(
            f"unknown plugin '{name}'.{nearest(name, known)} Installed: {listed(known)}. A plugin "
            "is known by the name of its entry point; `taglm plugins` lists them."
        )
    source = loaded.source if loaded is not None else failures[0].source
    return Context(registry=registry, source=source, loaded=loaded, failures=failures)


def _subjects(context: Context) -> Iterator[tuple[str, str, Subject]]:
    """Yield (kind, name shown, object) for everything that the plugin registers."""
    source = context.source
    yield "plugin", source.name, Subject(context, Registered(f"{source.name}/", None, source))
    for kind in RULES:
        if kind in ("plugin", "encoder", "event"):
            continue
        for item in _own(context, kind):
            subject = Subject(context, item)
            yield kind, item.short, subject
            if kind == "domain" and item.spec.encoder != "text":
                yield "encoder", item.short, subject
            if kind == "task":
                yield "template", item.short, subject
    if context.loaded is not None and "on_evaluated" in context.loaded.hooks:
        item = Registered(f"{source.name}/on_evaluated", None, source)
        yield "event", "on_evaluated", Subject(context, item)


def _own(context: Context, kind: str) -> list[Registered[Any]]:
    names = context.registry.of_kind(kind)
    return [item for item in names if item.source == context.source]
