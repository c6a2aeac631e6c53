"""`taglm.plugins`: what is installed, what each plugin registers, what failed and why."""

from typing import Any

from taglm_core.plugins import PluginFailure, Registry, load_registry
from taglm_core.plugins.registry import KINDS


def plugins() -> dict[str, list[dict[str, Any]]]:
    """List the plugins that are installed.

    Returns:
        `plugins`: one record for each with name, distribution, version and what it registers, by
        kind; `failures`: one record for each failure with plugin, distribution, version, hook and
        reason.

    Example:
        [plugin["name"] for plugin in taglm.plugins()["plugins"]]
    """
    registry = load_registry()
    return {
        "plugins": [_record(registry, loaded) for loaded in registry.plugins],
        "failures": [failure_record(failure) for failure in registry.failures],
    }


def _record(registry: Registry, loaded: Any) -> dict[str, Any]:
    source = loaded.source
    gives = {
        f"{kind}s": sorted(item.short for item in registry.of_kind(kind) if item.source == source)
        for kind, _ in KINDS.values()
    }
    return {
        "name": source.name,
        "distribution": source.distribution,
        "version": source.version,
        "registers": {kind: names for kind, names in gives.items() if names},
    }


def failure_record(failure: PluginFailure) -> dict[str, Any]:
    """Return a failure as plain data."""
    return {
        "plugin": failure.source.name,
        "distribution": failure.source.distribution,
        "version": failure.source.version,
        "hook": failure.hook,
        "reason": failure.reason,
    }
