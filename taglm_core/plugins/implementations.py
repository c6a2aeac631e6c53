"""A plugin's hook implementations, each checked against the specifications by itself."""

import inspect
import types
from typing import Any

import pluggy

from taglm_core.errors import PluginError, nearest
from taglm_core.plugins import hookspecs
from taglm_core.plugins.compatibility import newer
from taglm_core.plugins.discovery import LoadedPlugin
from taglm_core.specs.isolation import call_plugin

SPECIFIED: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if getattr(function, "taglm_spec", None) is not None
}
"""Hook -> names of its arguments."""


def new_manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows the hooks and holds no plugin."""
    manager = pluggy.PluginManager("taglm")
    manager.add_hookspecs(hookspecs)
    return manager


def add_hooks(loaded: LoadedPlugin) -> list[tuple[str, str]]:
    """Find a plugin's implementations and put those that fit into `loaded.hooks`.

    Returns:
        (hook, reason) for each that does not fit; the others of the plugin still count.
    """
    manager = new_manager()
    failures: list[tuple[str, str]] = []
    try:
        hooks = call_plugin(_marked, manager, loaded.plugin)
    except PluginError as error:
        return [("registration", str(error))]
    for attribute, (hook, is_optional) in hooks.items():
        try:
            if hook not in SPECIFIED:
                if is_optional:
                    continue
                raise PluginError(_unknown(hook, loaded))
            function = getattr(loaded.plugin, attribute)
            _check_arguments(hook, function, loaded)
            single = types.SimpleNamespace(**{attribute: function})
            call_plugin(manager.register, single, name=attribute)
        except PluginError as error:
            failures.append((hook, str(error)))
        else:
            loaded.hooks[hook] = getattr(manager.hook, hook)
    failures += _unmarked(loaded.plugin, hooks)
    if not hooks and not failures:
        reason = "implements no hook; write functions such as register_domains with @hookimpl"
        failures.append(("registration", reason))
    return failures


def _marked(manager: pluggy.PluginManager, plugin: Any) -> dict[str, tuple[str, bool]]:
    """Return attribute -> (hook, whether an unknown hook is fine) of all implementations."""
    marked: dict[str, tuple[str, bool]] = {}
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            hook = options.get("specname") or attribute
            marked[attribute] = (hook, bool(options.get("optionalhook")))
    return marked


def _unmarked(plugin: Any, marked: dict[str, tuple[str, bool]]) -> list[tuple[str, str]]:
    """Name functions that have a hook's name but lack the decorator: they would never be called."""
    implemented = {hook for hook, _ in marked.values()}
    return [
        (hook, f"{hook} is a plain function; decorate it with @taglm.hookimpl")
        for hook in SPECIFIED
        if hook not in implemented
        and inspect.isfunction(function := getattr(plugin, hook, None))
        and not hasattr(function, "taglm_spec")
    ]


def _unknown(hook: str, loaded: LoadedPlugin) -> str:
    kind = hook.partition("_")[0]
    alike = {name.partition("_")[2]: name for name in SPECIFIED if name.startswith(f"{kind}_")}
    advice = nearest(hook.partition("_")[2], alike, cutoff=0.75)
    for rest, name in alike.items():
        advice = advice.replace(f"'{rest}'", f"'{name}'")
    return f"unknown hook '{hook}'.{advice or newer(loaded.source)}"


def _check_arguments(hook: str, function: Any, loaded: LoadedPlugin) -> None:
    """Demand that an implementation asks for no argument that the hook does not give."""
    specified = SPECIFIED[hook]
    signature = call_plugin(inspect.signature, function)
    empty = inspect.Parameter.empty
    needed = [p.name for p in signature.parameters.values() if p.default is empty]
    surplus = [name for name in needed if name not in specified]
    if surplus:
        raise PluginError(
            f"{hook}{signature}: unknown argument '{surplus[0]}'; this hook gives "
            f"{', '.join(specified) or 'none'}.{newer(loaded.source)}"
        )
