"""`taglm check-plugin`: the contract suite without a test file, registered as a command."""

from typing import Annotated

import typer


def check_plugin(
    name: Annotated[str, typer.Argument(help="Name of an installed plugin, such as chem.")],
    show_all: Annotated[
        bool, typer.Option("--all", help="Also show the checks that passed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every check as JSON.")] = False,
) -> None:
    """Check every object that a plugin registers.

    The exit code is 1 if a check fails; each failure says what to fix.
    """
    import attrs

    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import print_json, print_table, results
    from taglm_core.plugins import load_registry
    from taglm_core.testing import check_plugin as check
    from taglm_core.testing import plan_checks

    registry = load_registry()
    progress = BarProgress()
    total, done = len(plan_checks(name, registry)), 0

    def advance(_: object) -> None:
        nonlocal done
        done += 1
        progress.advance(done)

    progress.start(f"checking {name}", total)
    try:
        checks = check(name, registry, advance)
    finally:
        progress.finish()
    failed = [item for item in checks if item.outcome == "failed"]
    if as_json:
        print_json({"plugin": name, "checks": [attrs.asdict(item) for item in checks]})
    else:
        objects = dict.fromkeys((item.kind, item.object) for item in checks)
        rows = []
        for kind, thing in objects:
            outcomes = [c.outcome for c in checks if (c.kind, c.object) == (kind, thing)]
            counts = [outcomes.count(word) for word in ("passed", "failed", "skipped")]
            rows.append([kind, thing, *counts])
        print_table(["kind", "object", "passed", "failed", "skipped"], rows)
        for item in checks:
            if item.outcome != "passed" or show_all:
                reason = f": {item.reason}" if item.reason else ""
                results.print(f"{item.outcome.upper()} {item.id}{reason}")
        outcomes = [item.outcome for item in checks]
        counted = [f"{outcomes.count(word)} {word}" for word in dict.fromkeys(outcomes)]
        results.print(f"{len(checks)} checks: {', '.join(counted)}")
    if failed:
        raise typer.Exit(1)
