"""Options that several commands share."""

from typing import Annotated

import typer

Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Print technical lines too: stages, cache, precision, parameters."
    ),
]
