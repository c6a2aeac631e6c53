"""Which files are read while something runs, whoever opens them through taglm."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_READ: ContextVar[dict[str, None] | None] = ContextVar("taglm_files_read", default=None)


@contextmanager
def recorded() -> Iterator[dict[str, None]]:
    """Give the paths of the files that are read in the block, in the order of their first read."""
    read: dict[str, None] = {}
    token = _READ.set(read)
    try:
        yield read
    finally:
        _READ.reset(token)


def note_read(path: str | Path) -> None:
    """Record that a file is read."""
    read = _READ.get()
    if read is not None:
        read[str(path)] = None
