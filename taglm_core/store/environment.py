"""Where and with what a run was made: the command, the machine, the versions."""

import importlib.metadata
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ENVIRONMENT = "environment.json"
"""File of a run folder that holds it."""

_LIBRARIES = ("torch", "transformers", "numpy", "scikit-learn", "scipy", "safetensors")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_one_of_several() -> bool:
    """Say whether this process was started beside others that train with it."""
    return launched_processes() > 1


def launched_processes() -> int:
    """Return how many processes were started to train together, this one among them."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def environment(plugins: dict[str, str]) -> dict[str, Any]:
    """Return the environment of this process as plain data.

    Args:
        plugins: Plugin -> distribution and version.
    """
    from taglm_core import __version__

    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "command": command(sys.argv),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "taglm": __version__,
        "plugins": plugins,
        "python": platform.python_version(),
        "libraries": libraries,
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
    }


def command(argv: list[str]) -> str | None:
    """Return the command line as a shell reads it, None where the caller is no `taglm` program."""
    return shlex.join(["taglm", *argv[1:]]) if argv and Path(argv[0]).stem == "taglm" else None
