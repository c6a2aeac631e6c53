"""Finding installed plugins: one entry point at a time, each failure charged to its plugin."""

import importlib.metadata
import os
from collections.abc import Iterable
from typing import Any

import attrs
import pluggy

from taglm_core.errors import PluginError
from taglm_core.plugins import hookspecs

GROUP = "taglm"


@attrs.frozen(kw_only=True)
class PluginSource:
    """Where a plugin comes from, for listings and messages."""

    name: str
    """Name of the entry point; it qualifies everything that the plugin registers."""
    distribution: str
    """Installed distribution, such as "taglm-plugin-chem"."""
    version: str
    """Version of that distribution."""

    def __str__(self) -> str:
        return f"plugin '{self.name}' ({self.distribution} {self.version})"


@attrs.frozen(kw_only=True)
class PluginFailure:
    """One thing that a plugin did wrong; the others go on."""

    source: PluginSource
    hook: str
    """Hook that failed, or "import" or "registration"."""
    reason: str
    """What happened, one line."""

    def __str__(self) -> str:
        return f"{self.source}, {self.hook}: {self.reason}"


@attrs.frozen
class LoadedPlugin:
    """A plugin object with its source."""

    source: PluginSource
    plugin: Any


def new_manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows the hooks and holds no plugin."""
    manager = pluggy.PluginManager("taglm")
    manager.add_hookspecs(hookspecs)
    return manager


def discover(
    only: Iterable[str] | None = None,
) -> tuple[list[LoadedPlugin], list[PluginFailure]]:
    """Import every installed plugin, each by itself.

    Args:
        only: Names to restrict to; None reads `TAGLM_PLUGINS` (comma-separated), and without it
            takes all.

    Returns:
        What could be imported, and one failure for each that could not.
    """
    if only is None and (listed := os.environ.get("TAGLM_PLUGINS")) is not None:
        only = [name.strip() for name in listed.split(",") if name.strip()]
    wanted = None if only is None else set(only)
    loaded: list[LoadedPlugin] = []
    failures: list[PluginFailure] = []
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: p.name)
    for point in points:
        if wanted is not None and point.name not in wanted:
            continue
        source = _source(point)
        taken = next((p.source for p in loaded if p.source.name == point.name), None)
        if taken is not None:
            reason = f"the plugin name '{point.name}' is already taken by {taken.distribution}"
            failures.append(PluginFailure(source=source, hook="registration", reason=reason))
            continue
        try:
            plugin = point.load()
        except Exception as error:  # whatever a plugin raises is charged to it alone
            reason = f"{type(error).__name__}: {error}"
            failures.append(PluginFailure(source=source, hook="import", reason=reason))
        else:
            loaded.append(LoadedPlugin(source, plugin))
    return loaded, failures


def validate(loaded: LoadedPlugin) -> None:
    """Check a plugin's implementations against the hook specifications.

    Raises:
        PluginError: naming a misspelt hook or a wrong signature.
    """
    manager = new_manager()
    try:
        manager.register(loaded.plugin, name=loaded.source.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(" ".join(str(error).split())) from error


def implementations(loaded: LoadedPlugin) -> dict[str, Any]:
    """Return hook name -> the plugin's implementation, for each hook that it implements."""
    manager = new_manager()
    manager.register(loaded.plugin, name=loaded.source.name)
    found: dict[str, Any] = {}
    for caller in manager.get_hookcallers(loaded.plugin) or []:
        found[caller.name] = caller
    return found


def _source(point: importlib.metadata.EntryPoint) -> PluginSource:
    distribution = point.dist
    return PluginSource(
        name=point.name,
        distribution=distribution.name if distribution is not None else "unknown",
        version=distribution.version if distribution is not None else "unknown",
    )
