"""`taglm plugins`: what is installed, what each registers, what failed and why."""

from typing import Annotated, Any

import typer


def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List plugins, what each gives, what failed."""
    from taglm_core.cli.main import core_app, words
    from taglm_core.cli.plugincommands import shadowing
    from taglm_core.cli.screen import print_json, print_table, results
    from taglm_core.plugins import load_registry
    from taglm_core.plugins.registry import KINDS

    registry = load_registry()
    listed: list[dict[str, Any]] = []
    for loaded in registry.plugins:
        source = loaded.source
        gives = {
            f"{kind}s": sorted(
                item.short for item in registry.of_kind(kind) if item.source == source
            )
            for kind, _ in KINDS.values()
        }
        listed.append(
            {
                "name": source.name,
                "distribution": source.distribution,
                "version": source.version,
                "registers": {kind: names for kind, names in gives.items() if names},
            }
        )
    failures = [
        {
            "plugin": f.source.name,
            "distribution": f.source.distribution,
            "version": f.source.version,
            "hook": f.hook,
            "reason": f.reason,
        }
        for f in [*registry.failures, *shadowing(registry, words(core_app()))]
    ]
    if as_json:
        print_json({"plugins": listed, "failures": failures})
        return
    rows = [
        [
            plugin["name"],
            f"{plugin['distribution']} {plugin['version']}",
            "; ".join(f"{kind} {', '.join(n)}" for kind, n in plugin["registers"].items()),
        ]
        for plugin in listed
    ]
    print_table(["plugin", "distribution", "registers"], rows)
    for failure in failures:
        results.print(
            f"FAILED {failure['plugin']} ({failure['distribution']} {failure['version']}), "
            f"{failure['hook']}: {failure['reason']}",
            markup=False,
        )
