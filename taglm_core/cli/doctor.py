"""`taglm doctor`: check the whole installation and say what to do."""

from pathlib import Path
from typing import Annotated

import typer

from taglm_core.cli.options import AsJson


def doctor(
    backbone: Annotated[str, typer.Option(help="Backbone to load for the check.")] = "nano",
    as_json: AsJson = False,
) -> None:
    """Check the installation: versions, devices, plugins, tag store, backbone, disk.

    The exit code is 1 if a check fails; warnings do not count.
    """
    import attrs

    from taglm_core.cli.checks import Line, Looked, run_checks
    from taglm_core.cli.plugincommands import shadowing
    from taglm_core.cli.screen import print_json, results
    from taglm_core.cli.words import CORE_WORDS
    from taglm_core.plugins import load_registry

    registry = load_registry()
    lines = run_checks(Looked(registry=registry, backbone=backbone, folder=Path.cwd()))
    for failure in shadowing(registry, CORE_WORDS):
        lines.append(
            Line(
                "warn",
                "plugins",
                str(failure),
                "Nothing to do; its authors can choose another word.",
            )
        )
    counts = {s: sum(line.status == s for line in lines) for s in ("ok", "warn", "fail")}
    if as_json:
        print_json({"counts": counts, "checks": [attrs.asdict(line) for line in lines]})
    else:
        for line in lines:
            results.print(f"{line.status:4}  {line.check}: {line.found}")
            if line.advice:
                results.print(f"      -> {line.advice}")
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        results.print(summary)
    if counts["fail"]:
        raise typer.Exit(1)
