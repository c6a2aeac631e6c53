"""The largest memory of this process while something runs, where the system tells it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@attrs.define
class Peak:
    """What `peak_memory` found."""

    num_bytes: int | None = None
    """Largest resident memory of the process; None: the system does not tell (only Linux does)."""


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Note the largest resident memory of this process until the block ends."""
    peak = Peak()
    is_told = _forget()
    try:
        yield peak
    finally:
        peak.num_bytes = _largest() if is_told else None


def _forget() -> bool:
    """Let the largest memory so far be that of now; False where the system cannot."""
    try:
        _RESET.write_text("5")  # Linux: resets VmHWM, see proc(5)
    except OSError:
        return False
    return True


def _largest() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith("VmHWM:")), None)
    return None if found is None else int(found[1]) * 1024
