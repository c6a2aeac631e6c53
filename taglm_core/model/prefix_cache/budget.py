"""Memory limits of a cache: the setting as people write it, what is free, and the storages."""

import shutil
from pathlib import Path

import torch

from taglm_core.errors import ConfigError
from taglm_core.model.free_memory import free_bytes, parse_size
from taglm_core.model.prefix_cache.storage import (
    RESERVE,
    DeviceMemory,
    DiskFile,
    PinnedMemory,
    Storage,
)

AUTO, OFF, DISK = "auto", "off", "disk"
_MOST_OF_FREE = 0.9


def cache_setting(value: object) -> str:
    """Return a setting of the cache, checked: `auto`, `off` or a size, and `+disk[:SIZE]`.

    Raises:
        ConfigError: for anything else.
    """
    text = str(value).strip().lower()
    memory, plus, disk = (part.strip() for part in text.partition("+"))
    if memory in ("false", "0", "0.0"):  # YAML reads a bare off as false
        memory = OFF
    if memory not in (AUTO, OFF):
        _size(memory, value)
    if not plus:
        return memory
    word, colon, size = (part.strip() for part in disk.partition(":"))
    if word != DISK or bool(colon) != bool(size):
        _size("", value)
    if size:
        _size(size, value)
    return memory + plus + word + colon + size


def _size(text: str, given: object) -> int:
    size = parse_size(text)
    if size is None:
        raise ConfigError(
            "cache (--cache) must be auto, off or a size such as 500MB or 2GB (a bare number is "
            f"GB), not {given!r}. Append +disk or +disk:20GB to spill to disk."
        )
    return size


def cache_budget(setting: str, device: torch.device) -> tuple[int, str]:
    """Return the bytes of memory that a cache may take, and a remark when they are cut down.

    Args:
        setting: As `cache_setting` gives it; what it says of the disk is not read here. `auto`:
            half of what is free; a size: that, but never more than nine tenths of what is free.
        device: Where the cache will lie.
    """
    memory = setting.partition("+")[0]
    if memory == OFF:
        return 0, ""
    free = free_bytes(device)
    if memory == AUTO:
        return free // 2, ""
    return _at_most(_size(memory, memory), int(_MOST_OF_FREE * free), memory, free)


def _at_most(wanted: int, most: int, written: str, free: int) -> tuple[int, str]:
    if wanted <= most:
        return wanted, ""
    most = max(0, most)
    return most, f"the cache takes {shown(most)} instead of {written}: {shown(free)} are free"


def disk_budget(setting: str, folder: Path) -> tuple[int, str]:
    """Return the bytes of disk that a cache may take, and a remark when they are cut down.

    Args:
        setting: As `cache_setting` gives it. Without `+disk` none; without a size half of what is
            free; never more than nine tenths of it, and `RESERVE` bytes stay free.
        folder: Where the file would lie; need not be there yet.
    """
    _, plus, disk = setting.partition("+")
    if not plus:
        return 0, ""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    most = min(int(_MOST_OF_FREE * free), free - RESERVE)
    size = disk.partition(":")[2]
    if not size:
        return max(0, min(free // 2, most)), ""
    return _at_most(_size(size, size), most, f"{size} of disk", free)


def cache_storages(
    setting: str, device: torch.device, folder: Path
) -> tuple[list[Storage], list[str]]:
    """Return the storages that a setting allows, the quickest first, and remarks.

    With a GPU these are its memory, then pinned memory of the host for what of a size does not
    fit there (`auto`: half of what is free there too); on a CPU the two are one. The disk comes
    last.

    Args:
        setting: As `cache_setting` gives it.
        device: Where the backbone is.
        folder: For the file on disk.
    """
    budget, remark = cache_budget(setting, device)
    storages: list[Storage] = [DeviceMemory(budget, device)] if budget else []
    remarks = [remark]
    if device.type == "cuda":
        host, remarks[0] = _host_budget(setting, budget)
        if host:
            storages.append(PinnedMemory(host))
    on_disk, remark = disk_budget(setting, folder)
    if on_disk:
        try:
            storages.append(DiskFile(on_disk, folder))
        except OSError as error:
            remark = f"nothing is cached on disk: {error}"
    return storages, [line for line in (*remarks, remark) if line]


def _host_budget(setting: str, on_device: int) -> tuple[int, str]:
    memory = setting.partition("+")[0]
    if memory in (AUTO, OFF):
        return cache_budget(setting, torch.device("cpu"))
    rest = _size(memory, memory) - on_device
    free = free_bytes(torch.device("cpu"))
    return _at_most(rest, int(_MOST_OF_FREE * free), f"{shown(rest)} of {memory}", free)


def shown(size: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
