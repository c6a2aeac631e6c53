"""How much memory of a device is free, and sizes as people write them."""

import psutil
import torch

_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}


def parse_size(text: str) -> int | None:
    """Return the bytes of a size such as 500MB or 2 (GB); None: it is none."""
    number, factor = text.strip().lower(), 1e9
    for unit, bytes_of_unit in _UNITS.items():
        if number.endswith(unit):
            number, factor = number.removesuffix(unit), bytes_of_unit
            break
    try:
        size = float(number) * factor
    except ValueError:
        return None
    return int(size) if 0 <= size < 1e18 else None


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on the device."""
    if device.type == "cuda":
        # what torch holds and does not use will be used again before more is taken
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + idle
    return int(psutil.virtual_memory().available)
