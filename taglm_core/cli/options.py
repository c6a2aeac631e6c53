"""Options that several commands share.

Those that begin with `Run` are settings of a run: None where they are not given, so that a run file
or a preset decides.
"""

from pathlib import Path
from typing import Annotated

import typer

from taglm_core.cli.completion import complete_engine, complete_run

Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=COLUMN",
        help="Column that holds a field, such as smiles=Structure.",
    ),
]
Sheet = Annotated[
    str | None,
    typer.Option(
        "--sheet",
        metavar="NAME|NUMBER",
        help="Sheet of an Excel workbook, such as Assay or 2.",
        show_default="the first",
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help='Column of the table to predict, such as "LogS (mol/L)"; may be repeated.',
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Print technical lines too: stages, cache, precision, parameters."
    ),
]
_BACKBONE = "Backbone: registered name, folder, GGUF file or Hub id."
_CACHE = (
    "Memory limit for cached prompt segments: auto, off or a size such as 2GB. Append +disk to "
    "spill to disk."
)
_DEVICE = (
    "Device: cpu, cuda, cuda:1 or auto. cuda=20GB+cpu, cuda+disk and the like leave layers of a "
    "backbone beyond the limit in host memory or on disk."
)

Backbone = Annotated[str, typer.Option(help=_BACKBONE)]
RunBackbone = Annotated[str | None, typer.Option(help=_BACKBONE, show_default="nano")]
OtherBackbone = Annotated[
    str | None,
    typer.Option(help="Another copy of the backbone: name, folder, GGUF file or Hub id."),
]
Device = Annotated[str, typer.Option(help=_DEVICE)]
RunDevice = Annotated[str | None, typer.Option(help=_DEVICE, show_default="auto")]
Cache = Annotated[str, typer.Option(metavar="auto|off|SIZE", help=_CACHE)]
RunCache = Annotated[
    str | None, typer.Option(metavar="auto|off|SIZE", help=_CACHE, show_default="auto")
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="fp32|bf16|int8|nf4",
        help="Arithmetic of the backbone.",
        show_default="as trained",
    ),
]
TaggedRun = Annotated[
    Path | None,
    typer.Option("--from", help="Run or predictor with the tag; default: newest in the tag store."),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="Set of defaults: default, quick, accurate or paper.", show_default="default"
    ),
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting, such as stages.task.epochs=4; may be repeated.",
    ),
]
RunOrPredictor = Annotated[
    Path,
    typer.Argument(help="Folder of a finished run or of a predictor.", autocompletion=complete_run),
]
TaskOfRun = Annotated[
    str | None, typer.Option("--task", help="Task to use, for a run with several tasks.")
]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Work in parts on an engine: local (this process; finished parts are stored) or ray "
        "(a cluster).",
        autocompletion=complete_engine,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Cluster of the engine, such as auto or HOST:PORT; default: RAY_ADDRESS, or a "
        "cluster on this machine.",
    ),
]
NumWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers", help="Number of workers of the engine.", show_default="as many as fit", min=1
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
