"""The largest memory of this process: while something runs, and since it began."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import psutil

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_EVERY = 0.05
"""Seconds between looks at the memory, where the system does not note the largest."""


@attrs.define(eq=False)
class Peak:
    """What `peak_memory` found."""

    num_bytes: int = 0
    """Largest resident memory of the process in bytes."""

    def add(self, num_bytes: int) -> None:
        """Count another measurement."""
        self.num_bytes = max(self.num_bytes, num_bytes)


_process = Peak()
_open = [_process]
"""Peaks of the process and of the blocks that run: what the system noted is lost to them when a
block within them begins."""


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Note the largest resident memory of this process until the block ends.

    Blocks may stand in each other. Linux notes the largest memory, elsewhere it is looked at many
    times a second.
    """
    peak, end, thread = Peak(_resident()), threading.Event(), None
    if not _forget():
        thread = threading.Thread(target=_look, args=(peak, end), daemon=True)
        thread.start()
    _open.append(peak)
    try:
        yield peak
    finally:
        _open.remove(peak)
        end.set()
        if thread is None:
            peak.add(noted_peak() or 0)
        else:
            thread.join()


def process_peak() -> int | None:
    """Return the largest memory that this process has had, in bytes; None where it is not told."""
    noted = noted_peak()
    if noted is not None:
        return max(_process.num_bytes, noted)
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if psutil.MACOS else largest * 1024


def noted_peak(status: Path | None = None) -> int | None:
    """Return the largest memory that Linux notes of a process, in bytes.

    Args:
        status: A copy of its `/proc/self/status`; None: that of this process.

    Returns:
        None where there is no such file, as on other systems.
    """
    try:
        lines = (status or _STATUS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM:")), None)


def _forget() -> bool:
    """Let the largest memory that the system notes be that of now; False where it cannot."""
    noted = noted_peak()
    try:
        _RESET.write_text("5", encoding="utf-8")  # Linux: resets VmHWM, see proc(5)
    except OSError:
        return False
    for peak in _open:
        peak.add(noted or 0)
    return noted is not None


def _look(peak: Peak, end: threading.Event) -> None:
    while not end.wait(_EVERY):
        peak.add(_resident())


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
