"""Finding installed plugins: one entry point at a time, each failure charged to its plugin."""

import importlib.metadata
import os
import re
from collections.abc import Iterable
from typing import Any

import attrs

from taglm_core.errors import PluginError, nearest
from taglm_core.specs.isolation import call_plugin, reason_of

GROUP = "taglm"
RESERVED = ("core", "local")
"""Names that qualify what the core and a run file declare."""

_NAME = re.compile(r"[A-Za-z][\w.-]*")
_VALUE = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?(\s*\[.*\])?")


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
    """The plugin."""
    hook: str
    """Hook that failed, or "metadata", "import" or "registration"."""
    reason: str
    """What happened, one line."""

    def __str__(self) -> str:
        return f"{self.source}, {self.hook}: {self.reason}"


@attrs.frozen
class LoadedPlugin:
    """A plugin object with its source."""

    source: PluginSource
    """Where it comes from."""
    plugin: Any
    """Object with the hook implementations, usually a module."""
    hooks: dict[str, Any] = attrs.field(factory=dict, eq=False)
    """Hook -> caller of the plugin's implementation, for those that fit the specification."""


@attrs.frozen(kw_only=True)
class Discovered:
    """What the installed distributions offer."""

    loaded: list[LoadedPlugin] = attrs.field(factory=list)
    failures: list[PluginFailure] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    """One sentence for each name asked for that no installed plugin has."""


def discover(only: Iterable[str] | None = None) -> Discovered:
    """Import every installed plugin, each by itself.

    Args:
        only: Names to restrict to; None reads `TAGLM_PLUGINS` (comma-separated), and without it
            takes all.

    Returns:
        What could be imported, and one failure for each that could not.
    """
    listed = os.environ.get("TAGLM_PLUGINS") if only is None else None
    if listed is not None:
        only = [name.strip() for name in listed.split(",") if name.strip()]
    wanted = None if only is None else set(only)
    points, failures = _entry_points()
    discovered = Discovered(failures=failures)
    for point in points:
        if wanted is not None and point.name not in wanted:
            continue
        source = _source(point)
        try:
            _check_name(source, discovered.loaded)
            plugin = _load(point)
        except PluginError as error:
            hook = "import" if error.__cause__ is not None else "registration"
            discovered.failures.append(PluginFailure(source=source, hook=hook, reason=str(error)))
        else:
            discovered.loaded.append(LoadedPlugin(source, plugin))
    if listed is not None:
        names = sorted({point.name for point in points})
        discovered.notes.extend(_unknown(name, names) for name in only or () if name not in names)
    return discovered


def _unknown(name: str, names: list[str]) -> str:
    if name in RESERVED:
        return f"TAGLM_PLUGINS names '{name}', which is built in and always loaded. Leave it out."
    return (
        f"TAGLM_PLUGINS names '{name}', but no plugin of this name is installed."
        f"{nearest(name, names)} Installed: {', '.join(names) or 'none'}."
    )


def _check_name(source: PluginSource, loaded: list[LoadedPlugin]) -> None:
    """Demand a name that can qualify others and that nobody has yet."""
    if source.name in RESERVED or not _NAME.fullmatch(source.name):
        raise PluginError(
            f"'{source.name}' cannot be the name of a plugin: a letter, then letters, digits, "
            f"'_', '.' and '-', and none of {', '.join(RESERVED)}. Rename the entry point."
        )
    taken = next((other.source for other in loaded if other.source.name == source.name), None)
    if taken is not None:
        raise PluginError(
            f"the plugin name '{source.name}' is already taken by {taken.distribution} "
            f"{taken.version}. Uninstall one of the two."
        )


def _load(point: importlib.metadata.EntryPoint) -> Any:
    if not _VALUE.fullmatch(point.value):
        raise PluginError(
            f"the entry point names '{point.value}', which is not of the form 'package.module'."
        )
    return call_plugin(point.load)


def _entry_points() -> tuple[list[importlib.metadata.EntryPoint], list[PluginFailure]]:
    """Return the entry points of the group, sorted.

    One unreadable file makes the quick way fail for all, so then each distribution is asked for
    its own.
    """
    failures: list[PluginFailure] = []
    points: list[importlib.metadata.EntryPoint] = []
    try:
        points = list(importlib.metadata.entry_points(group=GROUP))
    except Exception:
        seen: set[str] = set()
        for distribution in importlib.metadata.distributions():
            name, version = _facts(distribution)
            if name in seen:  # an earlier folder of the path wins, as for imports
                continue
            seen.add(name)
            try:
                points += distribution.entry_points.select(group=GROUP)
            except Exception as error:
                if _mentions_group(distribution):
                    source = PluginSource(name=name, distribution=name, version=version)
                    reason = f"entry_points.txt cannot be read: {reason_of(error)}. Reinstall it."
                    failures.append(PluginFailure(source=source, hook="metadata", reason=reason))
    return sorted(points, key=_order), failures


def _order(point: importlib.metadata.EntryPoint) -> tuple[Any, ...]:
    """Sort by name; of two with one name the distribution called after it comes first."""
    distribution, version = _facts(point.dist)
    is_namesake = distribution in (f"taglm-plugin-{point.name}", f"taglm-backbone-{point.name}")
    return (point.name, not is_namesake, distribution, version, point.value)


def _mentions_group(distribution: importlib.metadata.Distribution) -> bool:
    """Say whether an unreadable file means this program; other people's are not ours to report."""
    try:
        return f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or "")
    except Exception:
        return False


def _facts(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    """Return name and version, "unknown" where the metadata hold none."""
    try:
        metadata: Any = distribution.metadata if distribution is not None else {}
        return str(metadata["Name"] or "unknown"), str(metadata["Version"] or "unknown")
    except Exception:  # damaged metadata must not hide the plugin's other faults
        return "unknown", "unknown"


def _source(point: importlib.metadata.EntryPoint) -> PluginSource:
    name, version = _facts(point.dist)
    return PluginSource(name=point.name, distribution=name, version=version)
