"""The folder in which taglm keeps what outlives a run: tags, digests, spilled caches."""

import os
from pathlib import Path


def home() -> Path:
    """Return `$TAGLM_HOME`, by default the user's data directory for taglm."""
    chosen = os.environ.get("TAGLM_HOME")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_path  # not at every start of the program

    return user_data_path("taglm", appauthor=False)
