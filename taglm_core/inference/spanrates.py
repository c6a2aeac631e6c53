"""How fast workers get what was kept: measured, since networks differ a hundredfold."""

import time
from typing import Any

from taglm_core.inference.spanplan import Rates
from taglm_core.specs import Call, Workers

_BYTES = 16 * 2**20
"""Large enough that the time of a call without data is little beside it."""


def measured_rates(workers: Workers) -> Rates:
    """Measure the bytes a second at which a worker gets what was kept, there and elsewhere."""
    first, last = workers.nodes[0], workers.nodes[-1]
    handle = _timed(workers, Call(method="blob", arguments=(_BYTES,), node=first, keeps=True))[0]
    idle = _touch(workers, first, None)
    reading = _BYTES / max(_touch(workers, first, handle) - idle, 1e-4)
    if first == last:
        return Rates(reading=reading, sending=reading)
    idle = _touch(workers, last, None)
    return Rates(reading=reading, sending=_BYTES / max(_touch(workers, last, handle) - idle, 1e-4))


def _touch(workers: Workers, node: str, handle: Any) -> float:
    """Return the seconds of reading a kept result on a node; None: of a call without one."""
    shared = [] if handle is None else [handle]
    call = Call(method="touch", node=node, shared=lambda name: shared)
    return _timed(workers, call)[1]


def _timed(workers: Workers, call: Call) -> tuple[Any, float]:
    began = time.perf_counter()
    value = next(value for _, value in workers.run([call]))
    return value, time.perf_counter() - began
