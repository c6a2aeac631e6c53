"""Times of sides that take turns, and peaks of memory."""

import contextlib
import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping

import attrs
import psutil

from taglm_core.plugin import peak_memory

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@attrs.frozen
class Clock:
    """Which time is read: of the wall, or of the processors (sound on a busy machine)."""

    name: str = "wall"

    def seconds(self, work: Callable[[], object]) -> float:
        """Return the seconds that some work takes."""
        began = CLOCKS[self.name]()
        work()
        return CLOCKS[self.name]() - began


def interleaved(
    sides: Mapping[str, Callable[[int], object]], rounds: int, clock: Clock, warm_up: int = 1
) -> dict[str, list[float]]:
    """Time sides in turn, so that what disturbs the machine disturbs all of them.

    Args:
        sides: Name -> work of a round, called with the number of the round.
        rounds: Rounds that count.
        clock: What is read.
        warm_up: Rounds before them that do not count.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(-warm_up, rounds):
        for name, work in sides.items():
            number = max(round_, 0)
            taken = clock.seconds(lambda work=work, number=number: work(number))
            if round_ >= 0:
                times[name].append(taken)
    return times


def spread(times: list[float]) -> float:
    """Return half the range of the times over their median."""
    return round((max(times) - min(times)) / 2 / statistics.median(times), 3)


def peak_megabytes(work: Callable[[], object]) -> float:
    """Return by how much a piece of work raises resident memory at most."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # so that freed memory is not taken for held
    before = psutil.Process().memory_info().rss
    with peak_memory() as peak:
        work()
    return (peak.num_bytes - before) / 1024 / 1000
