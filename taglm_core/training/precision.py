"""Arithmetic of the backbone: bf16 autocast where it is faster, measured here and now."""

import contextlib
import logging
import time
from collections.abc import Iterator

import torch

logger = logging.getLogger(__name__)

_ROUNDS = 12


def pick_precision(wanted: str, device: torch.device) -> str:
    """Return "fp32" or "bf16".

    Args:
        wanted: "auto" measures one matrix product on a CPU, since processors without bf16
            arithmetic emulate it many times slower; on a GPU it takes bf16.
        device: Where the backbone runs.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device.type != "cpu":
        return "fp32"
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    factors = {
        name: (torch.ones(512, 256, dtype=kind), torch.ones(256, 512, dtype=kind))
        for name, kind in kinds.items()
    }
    seconds = dict.fromkeys(kinds, float("inf"))
    # on one thread, in turns, the quickest of each: other load on the machine must not decide, and
    # threads that wait for each other would time its scheduler
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(_ROUNDS):
        for name, (a, b) in factors.items():
            began = time.perf_counter()
            a @ b
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    torch.set_num_threads(threads)
    logger.debug("matrix product: %s", seconds)
    return "bf16" if seconds["bf16"] < 0.8 * seconds["fp32"] else "fp32"


@contextlib.contextmanager
def autocast(precision: str, device: torch.device) -> Iterator[None]:
    """Run the block in bf16 autocast when the precision asks for it."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        yield
