"""`taglm plugins`: what is installed, what each registers, what failed and why."""

from taglm_core.cli.options import AsJson


def plugins(
    as_json: AsJson = False,
) -> None:
    """List plugins, what each registers, and failures."""
    from taglm_core.api.listing import failure_record
    from taglm_core.api.listing import plugins as installed
    from taglm_core.cli.plugincommands import shadowing
    from taglm_core.cli.screen import print_json, print_table, results
    from taglm_core.cli.words import CORE_WORDS
    from taglm_core.plugins import load_registry

    listing = installed()
    listed = listing["plugins"]
    hidden = shadowing(load_registry(), CORE_WORDS)
    failures = [*listing["failures"], *map(failure_record, hidden)]
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
        )
