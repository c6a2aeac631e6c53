"""The folder in which taglm keeps what outlives a run: tags, digests, spilled caches."""

import os
import sys
from pathlib import Path


def home() -> Path:
    """Return `$TAGLM_HOME`, by default the user's data directory for taglm."""
    given = os.environ.get("TAGLM_HOME")
    if given:
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "taglm"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "taglm"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "taglm"
