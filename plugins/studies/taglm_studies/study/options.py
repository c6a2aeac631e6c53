"""Arguments and options that the commands of studies share."""

from pathlib import Path
from typing import Annotated

import typer

Task = Annotated[str, typer.Argument(help="Registered task such as QED, or a run file (YAML).")]
Data = Annotated[
    str | None, typer.Option(metavar="FILE", help="Table of rows, such as molecules.csv.")
]
Seeds = Annotated[
    str, typer.Option(metavar="N,N,...", help="Random seeds, such as 0,1,2; means over them.")
]
Jobs = Annotated[
    int,
    typer.Option(
        help="Number of members (runs or methods) that run at the same time, each in its own "
        "process.",
        min=1,
    ),
]
Place = tuple[int, str | None, str | None, int | None]
"""Where members run: `--jobs`, `--engine`, `--address` and `--workers`."""
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="List the members and estimate the time; train nothing."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print study.json.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder of the study.", show_default="studies/KIND-TASK")
]
