"""The registry: everything that plugins gave, under qualified and short names."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import attrs

from taglm_core.errors import DuplicateNameError, PluginError, UnknownNameError, listed, nearest
from taglm_core.plugins.compatibility import explain
from taglm_core.plugins.discovery import LoadedPlugin, PluginFailure, PluginSource, discover
from taglm_core.plugins.events import checked_result
from taglm_core.plugins.implementations import add_hooks
from taglm_core.plugins.providers import distribution_for
from taglm_core.specs import (
    Backbone,
    Baseline,
    Command,
    Dataset,
    Domain,
    Engine,
    Head,
    Logger,
    Metric,
    Reader,
    Splitter,
    TagFolder,
    Task,
    Template,
)
from taglm_core.specs.isolation import call_plugin, shown

T = TypeVar("T")

# hook -> (kind in messages and listings, class of the objects)
KINDS: dict[str, tuple[str, type]] = {
    "register_domains": ("domain", Domain),
    "register_tasks": ("task", Task),
    "register_templates": ("template", Template),
    "register_datasets": ("dataset", Dataset),
    "register_metrics": ("metric", Metric),
    "register_heads": ("head", Head),
    "register_splitters": ("splitter", Splitter),
    "register_backbones": ("backbone", Backbone),
    "register_commands": ("command", Command),
    "register_baselines": ("baseline", Baseline),
    "register_readers": ("reader", Reader),
    "register_loggers": ("logger", Logger),
    "register_engines": ("engine", Engine),
    "register_tag_folders": ("tag_folder", TagFolder),
}


@attrs.frozen
class Registered(Generic[T]):
    """One registered object with its full name."""

    name: str
    """`plugin/short`."""
    spec: T
    """What the plugin declared, such as a `Domain`."""
    source: PluginSource
    """The plugin."""

    @property
    def short(self) -> str:
        """The name without its plugin."""
        return self.name.partition("/")[2]


class Names(Generic[T]):
    """All objects of one kind, found by full name or by a short name while it is unique.

    Iterating gives them in the order of registration.
    """

    def __init__(self, kind: str) -> None:
        """Hold nothing yet.

        Args:
            kind: Kind of the objects, for messages, such as "domain".
        """
        self.kind = kind
        self._by_name: dict[str, Registered[T]] = {}

    def __iter__(self) -> Iterator[Registered[T]]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, item: Registered[T]) -> None:
        """Add one object.

        Raises:
            PluginError: when the same plugin gave this name before.
        """
        if item.name in self._by_name:
            raise PluginError(f"{self.kind} '{item.short}' is registered twice by this plugin")
        self._by_name[item.name] = item

    def get(self, name: str, plugin: str | None = None, where: str = "") -> Registered[T]:
        """Find an object.

        Args:
            name: Full or short name.
            plugin: Plugin in which a short name is looked for first.
            where: What asks, for the message: "template of task QED".

        Raises:
            UnknownNameError: when nothing has this name; offers the nearest.
            DuplicateNameError: when several plugins give this short name.
        """
        if name in self._by_name:
            return self._by_name[name]
        if plugin is not None and f"{plugin}/{name}" in self._by_name:
            return self._by_name[f"{plugin}/{name}"]
        matches = [item for item in self if item.short == name]
        place = f"{where}: " if where else ""
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise DuplicateNameError(
                f"{place}the {self.kind} '{name}' is given by several plugins: "
                f"{listed(item.name for item in matches)}. Write the full name."
            )
        raise UnknownNameError(f"{place}unknown {self.kind} '{name}'.{self._advice(name)}")

    def _advice(self, name: str) -> str:
        shorts = {item.short: item.name for item in self}
        text = nearest(name, [*shorts, *self._by_name])
        distribution = distribution_for(self.kind, name)
        if distribution is not None and name.lower() not in map(str.lower, shorts):
            text += f" `pip install {distribution}` provides '{name}'."
        text += f" Available: {listed(shorts) or 'none'}."
        return text + " `taglm plugins` lists what each plugin gives."


@attrs.frozen(kw_only=True)
class Registry:
    """What all plugins gave, and what went wrong; built by `load_registry`, never global.

    Each kind of object has a table of its own, such as `domains` and `tasks`, in which names are
    looked up: `registry.domains.get("SMILES")`.
    """

    plugins: list[LoadedPlugin] = attrs.field(factory=list)
    """The plugins that were loaded, the core's own registrations first."""
    failures: list[PluginFailure] = attrs.field(factory=list)
    """What plugins did wrong, in the order in which it happened."""
    notes: list[str] = attrs.field(factory=list)
    """Names in `TAGLM_PLUGINS` that no installed plugin has, a sentence for each."""
    domains: Names[Domain] = attrs.field(factory=lambda: Names("domain"))
    tasks: Names[Task] = attrs.field(factory=lambda: Names("task"))
    templates: Names[Template] = attrs.field(factory=lambda: Names("template"))
    datasets: Names[Dataset] = attrs.field(factory=lambda: Names("dataset"))
    metrics: Names[Metric] = attrs.field(factory=lambda: Names("metric"))
    heads: Names[Head] = attrs.field(factory=lambda: Names("head"))
    splitters: Names[Splitter] = attrs.field(factory=lambda: Names("splitter"))
    backbones: Names[Backbone] = attrs.field(factory=lambda: Names("backbone"))
    commands: Names[Command] = attrs.field(factory=lambda: Names("command"))
    baselines: Names[Baseline] = attrs.field(factory=lambda: Names("baseline"))
    readers: Names[Reader] = attrs.field(factory=lambda: Names("reader"))
    loggers: Names[Logger] = attrs.field(factory=lambda: Names("logger"))
    engines: Names[Engine] = attrs.field(factory=lambda: Names("engine"))
    tag_folders: Names[TagFolder] = attrs.field(factory=lambda: Names("tag_folder"))

    def of_kind(self, kind: str) -> Names[Any]:
        """Return the names of a kind, such as "domain"."""
        names: Names[Any] = getattr(self, f"{kind}s")
        return names

    def send(self, event_hook: str, event: Any) -> list[tuple[PluginSource, Any]]:
        """Call an event hook of each plugin by itself; a failure is recorded, not raised.

        Returns:
            (plugin, result) for each implementation that returned something usable.
        """
        results = []
        for loaded in self.plugins:
            if event_hook not in loaded.hooks:
                continue
            try:
                returned = call_plugin(
                    lambda hook: list(hook(event=event)), loaded.hooks[event_hook]
                )
            except PluginError as error:
                self.fail(loaded.source, event_hook, str(error))
                continue
            for value in returned:
                usable, faults = checked_result(event_hook, value)
                for fault in faults:
                    self.fail(loaded.source, event_hook, fault)
                results += [(loaded.source, usable)] if usable else []
        return results

    def fail(self, source: PluginSource, hook: str, reason: str) -> None:
        """Record what a plugin did wrong.

        Raises:
            PluginError: instead, when `TAGLM_STRICT` is 1.
        """
        failure = PluginFailure(source=source, hook=hook, reason=reason)
        if os.environ.get("TAGLM_STRICT") == "1":
            raise PluginError(f"{failure}. (TAGLM_STRICT=1 makes this an error.)")
        self.failures.append(failure)


def load_registry(
    only: Iterable[str] | None = None, extra: Sequence[tuple[str, Any]] = ()
) -> Registry:
    """Collect what the core and all installed plugins register.

    Args:
        only: Plugin names to restrict to; None: all, or those in `TAGLM_PLUGINS`.
        extra: (name, plugin object) pairs to add, for tests and scripts.

    Returns:
        A registry; what failed stands in `failures` (`TAGLM_STRICT=1` raises instead).
    """
    from taglm_core.plugins import builtin

    discovered = discover(only)
    registry = Registry()
    for failure in discovered.failures:
        registry.fail(failure.source, failure.hook, failure.reason)
    if discovered.notes and os.environ.get("TAGLM_STRICT") == "1":
        raise UnknownNameError(discovered.notes[0])
    registry.notes.extend(discovered.notes)
    added = [
        LoadedPlugin(PluginSource(name=name, distribution="extra", version="0"), plugin)
        for name, plugin in extra
    ]
    for item in [LoadedPlugin(builtin.CORE, builtin), *discovered.loaded, *added]:
        for hook, reason in add_hooks(item):
            registry.fail(item.source, hook, reason)
        if item.hooks:
            registry.plugins.append(item)
            _collect(registry, item)
    return registry


def _collect(registry: Registry, loaded: LoadedPlugin) -> None:
    """Register what each hook of a plugin gives; what is good stays, whatever is wrong beside."""
    for hook, (kind, cls) in KINDS.items():
        if hook not in loaded.hooks:
            continue
        try:
            returned = call_plugin(lambda call: list(call()), loaded.hooks[hook])
        except PluginError as error:
            registry.fail(loaded.source, hook, explain(str(error), loaded.source))
            continue
        for value in returned:
            if not isinstance(value, list | tuple):
                reason = f"returned {shown(value)}, expected a list of {cls.__name__}"
                registry.fail(loaded.source, hook, reason)
                continue
            for place, item in enumerate(value, start=1):
                try:
                    _add(registry, loaded.source, kind, cls, item)
                except PluginError as error:
                    registry.fail(loaded.source, hook, f"item {place}: {error}")


def _add(registry: Registry, source: PluginSource, kind: str, cls: type, item: Any) -> None:
    if not isinstance(item, cls):
        raise PluginError(
            f"gave {shown(item)} of type {type(item).__name__}, expected {cls.__name__}"
        )
    registered = Registered(_full_name(source.name, item), item, source)
    registry.of_kind(kind).add(registered)


def _full_name(plugin: str, item: Any) -> str:
    if isinstance(item, Domain):
        return f"{plugin}/{item.tag}"
    if isinstance(item, Template):
        return f"{plugin}/{item.task.rpartition('/')[2]}.{item.name}"
    return f"{plugin}/{item.name}"
