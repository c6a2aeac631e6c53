"""The engine `ray`: parts of large predictions and members of studies on a Ray cluster.

Importing this module only declares the engine; Ray is imported when one is opened.
"""

import taglm_core as taglm

__version__ = "0.1.0"

__all__: list[str] = []


@taglm.hookimpl
def register_engines() -> list[taglm.Engine]:
    """Return the engine `ray`."""
    return [
        taglm.Engine(
            name="ray",
            open="taglm_ray.cluster:open_ray",
            needs_package="ray",
            install="taglm[ray]",
            description="a Ray cluster, or one that is started on this machine and ended with it",
        )
    ]
