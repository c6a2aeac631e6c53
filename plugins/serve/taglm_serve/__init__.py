"""`taglm serve`: predictors as an HTTP service, with a page for people.

Importing this module only declares the command; FastAPI and torch are imported on use.
"""

import taglm_core as taglm

__version__ = "0.1.0"

__all__: list[str] = []


@taglm.hookimpl
def register_commands() -> list[taglm.Command]:
    """Return the command `taglm serve`."""
    return [
        taglm.Command(
            name="serve",
            help="Serve predictors over HTTP, with a web page.",
            app="taglm_serve.command:serve",
        )
    ]
