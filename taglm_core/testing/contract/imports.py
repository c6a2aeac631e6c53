"""Checks of a plugin as a whole: that it registers, and what registering it costs."""

import json
import subprocess
import sys
from types import ModuleType
from typing import Any

from taglm_core.testing.contract.context import Context, Subject
from taglm_core.testing.contract.outcomes import Broken, NotApplicable, demand
from taglm_core.testing.contract.report import Rule

HEAVY = (
    "accelerate",
    "datasets",
    "huggingface_hub",
    "pandas",
    "tokenizers",
    "torch",
    "transformers",
)
"""Libraries that count as heavy even where nothing compiled is imported with them."""
BOUND_SECONDS = 0.2
_TRIES = 3

_PROBE = """
import importlib, json, sys, time
sys.path[:] = json.loads(sys.argv[2])
import taglm_core
import taglm_core.plugins.registry as registry
from taglm_core.plugins.discovery import LoadedPlugin, PluginSource
from taglm_core.plugins.implementations import add_hooks
before = set(sys.modules)
start = time.process_time()
module, _, attribute = sys.argv[1].partition(":")
plugin = importlib.import_module(module)
for part in filter(None, attribute.split(".")):
    plugin = getattr(plugin, part)
source = PluginSource(name="probed", distribution="probed", version="0")
loaded = LoadedPlugin(source, plugin)
add_hooks(loaded)
for hook in registry.KINDS:
    if hook in loaded.hooks:
        loaded.hooks[hook]()
seconds = time.process_time() - start
compiled = {}
for name in set(sys.modules) - before:
    origin = getattr(getattr(sys.modules[name], "__spec__", None), "origin", None) or ""
    top = name.partition(".")[0]
    is_compiled = origin.endswith((".so", ".pyd"))
    compiled[top] = compiled.get(top, False) or is_compiled
own = module.partition(".")[0]
known = {own, "taglm_core", *sys.stdlib_module_names}
new = {top: found for top, found in compiled.items() if top not in known}
print(json.dumps({"seconds": seconds, "new": new}))
"""


def registers(subject: Subject) -> None:
    """The plugin is imported and registers everything without a failure."""
    failures = subject.context.failures
    demand(
        not failures,
        "\n".join(f"{failure.hook}: {failure.reason}" for failure in failures)
        + "\nFix each; `TAGLM_STRICT=1 taglm plugins` shows the first as an error.",
    )
    demand(
        subject.context.loaded is not None,
        "the plugin was not loaded; is it left out by TAGLM_PLUGINS?",
    )


def imports_nothing_heavy(subject: Subject) -> None:
    """Registering imports neither torch nor any other heavy or compiled library."""
    new = _probe(subject.context)["new"]
    heavy = sorted(name for name, compiled in new.items() if compiled or name in HEAVY)
    demand(
        not heavy,
        f"registering imports {', '.join(heavy)}, which slows every `taglm` command. Import them "
        "in the modules that hooks name as 'package.module:attribute', not in the module of the "
        "entry point.",
    )


def registers_fast(subject: Subject) -> None:
    """Importing the plugin and calling its hooks takes under 0.2 s of processor time."""
    seconds = _probe(subject.context)["seconds"]
    for _ in range(_TRIES - 1):
        if seconds < BOUND_SECONDS:
            break
        seconds = min(seconds, _run_probe(subject.context)["seconds"])
    demand(
        seconds < BOUND_SECONDS,
        f"registering takes {seconds:.2f} s of processor time, {BOUND_SECONDS} s are allowed. "
        "Hooks only declare: move work and imports into the code that they name.",
    )


CHECKS = (Rule(registers), Rule(imports_nothing_heavy), Rule(registers_fast))


def _probe(context: Context) -> dict[str, Any]:
    return context.once("probe", lambda: _run_probe(context))


def _run_probe(context: Context) -> dict[str, Any]:
    """Register the plugin in a fresh process and see what that imports and costs."""
    if context.loaded is None:
        raise NotApplicable("the plugin could not be imported")
    plugin = context.loaded.plugin
    if not isinstance(plugin, ModuleType):
        raise NotApplicable("the plugin is an object made here, not a module to import")
    command = [sys.executable, "-c", _PROBE, plugin.__name__, json.dumps(sys.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Broken(f"a fresh process cannot register the plugin: {last}.")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
