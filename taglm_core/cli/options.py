"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=COLUMN",
        help="Column that holds a field, such as smiles=Structure.",
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
Backbone = Annotated[
    str, typer.Option(help="Backbone: registered name, folder, GGUF file or Hub id.")
]
OtherBackbone = Annotated[
    str | None,
    typer.Option(help="Another copy of the backbone: name, folder, GGUF file or Hub id."),
]
Device = Annotated[str, typer.Option(help="Device: cpu, cuda, cuda:1 or auto.")]
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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
