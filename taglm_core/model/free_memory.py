"""How much memory of a device is free."""

import psutil
import torch


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on the device."""
    if device.type == "cuda":
        # what torch holds and does not use will be used again before more is taken
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + idle
    return int(psutil.virtual_memory().available)
