"""Hashes of files and folders by content; large files are read once for each of their states."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from taglm_core.data.atomic import keep_json
from taglm_core.data.home import home

_LEAST_KEPT = 1 << 20
"""Bytes of a file from which on its hash is kept."""
GONE = "gone"
"""Hash of a path at which there is nothing."""


class Digests:
    """Hashes of files, kept by path and state of the file under `$TAGLM_HOME`."""

    def __init__(self, folder: Path | None = None) -> None:
        """Keep them in a folder, which is made when the first one is kept."""
        self.folder = folder or home() / "digests"

    def of(self, path: Path, digest: Callable[[Path], list[str]]) -> list[str]:
        """Return what `digest(path)` gives, from the last time if the file is as it was."""
        real = Path(os.path.realpath(path))
        state = real.stat()
        if state.st_size < _LEAST_KEPT:
            return digest(path)
        # the time of the last change of the inode cannot be set back, as that of the content can
        facts = [str(real), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
        name = hashlib.sha256(json.dumps([*facts, digest.__name__]).encode()).hexdigest()[:32]
        file = self.folder / f"{name}.json"
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(stored, list):
                return stored
        except (OSError, ValueError):
            pass  # not kept yet, or not readable: it is made again
        lines = digest(path)
        keep_json(file, lines)
        return lines


def file_digest(path: Path) -> list[str]:
    """Return the hash of a file's bytes."""
    with path.open("rb") as file:
        return [hashlib.file_digest(file, "sha256").hexdigest()]


def path_digest(path: str | Path) -> str:
    """Return a hash of a file, or of all files in a folder and their names.

    Returns:
        16 hexadecimal digits; `GONE` when there is nothing at `path`.
    """
    path = Path(path)
    known = Digests()
    if path.is_file():
        return known.of(path, file_digest)[0][:16]
    if not path.is_dir():
        return GONE
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(path)} {known.of(file, file_digest)[0]}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
