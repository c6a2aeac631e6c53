"""`taglm report`: the report of a run, written again, or of several runs side by side."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="HTML file to write.",
            show_default="report.html in the run folder; of several runs in the working folder",
        ),
    ] = None,
) -> None:
    """Write the report of a run as one HTML file, or compare several runs.

    Examples: `taglm report runs/QED`; `taglm report runs/QED runs/quick --out both.html`.
    """
    from taglm_core.errors import ConfigError
    from taglm_core.plugin import print_line
    from taglm_studies.report.page import REPORT, write_report

    twice = next((run for k, run in enumerate(runs) if run in runs[:k]), None)
    if twice is not None:
        raise ConfigError(f"{twice} is given twice. Name each run once.")
    file = out or (runs[0] / REPORT if len(runs) == 1 else Path(REPORT))
    print_line(str(write_report(runs, file)))
