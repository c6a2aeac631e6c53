"""Hook specifications, discovery and isolation of plugins, and the registry."""

from taglm_core.plugins.discovery import PluginFailure, PluginSource
from taglm_core.plugins.registry import Names, Registered, Registry, load_registry

__all__ = ["Names", "PluginFailure", "PluginSource", "Registered", "Registry", "load_registry"]
