"""Options that several commands share."""

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
