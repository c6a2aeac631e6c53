"""Places where computed blocks are kept: a device's memory, pinned host memory, a file on disk.

A tier takes blocks while its budget lasts and gives each back as a tensor that is read where it
lies: on the device, in memory, or in the pages of a file that the system fetches and drops.
"""

import logging
import math
import mmap
import os
import shutil
import tempfile
import time
from bisect import bisect
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

_ALIGNED = 64
_SLAB = 2**28
"""Bytes taken from the system at a time: a power of two, to which pinning rounds up anyhow."""
RESERVE = 10**9
"""Bytes of a disk that stay free whatever the budget says."""
_TRIED = 2**25
"""Bytes that are written and read to learn the speed of a disk."""


class Tier(Protocol):
    """One place with a budget."""

    name: str
    """What the plan calls it: `cpu`, `cuda:0`, `disk`."""
    budget_bytes: int
    num_bytes: int
    """Bytes that the cached segments take."""

    def put(self, block: Tensor) -> Tensor | None:
        """Keep a copy of a block and return it; None: there is no room."""
        ...

    def drop(self, block: Tensor) -> None:
        """Give back the room of what `put` returned."""
        ...

    def prefetch(self, block: Tensor) -> None:
        """Hear that a block will be read soon."""
        ...


class MemoryTier:
    """The memory of a device, taken block by block."""

    def __init__(self, budget_bytes: int, device: torch.device | str = "cpu") -> None:
        self.name = str(device)
        self.budget_bytes = budget_bytes
        self.num_bytes = 0

    def put(self, block: Tensor) -> Tensor | None:
        """Keep a copy without the padding of the batch that the block was computed in."""
        size = block.numel() * block.element_size()
        if self.num_bytes + size > self.budget_bytes:
            return None
        self.num_bytes += size
        return block.to(self.name, copy=True, memory_format=torch.contiguous_format)

    def drop(self, block: Tensor) -> None:
        """Count the room as free; the memory goes with the last reference."""
        self.num_bytes -= block.numel() * block.element_size()

    def prefetch(self, block: Tensor) -> None:
        """Do nothing: memory is near."""


class _Gaps:
    """First-fit places in a range of bytes."""

    def __init__(self, end: int) -> None:
        self._gaps = [(0, end)]  # (begin, end), in order
        self._taken: dict[int, int] = {}

    def take(self, size: int) -> int | None:
        """Return where so many bytes may lie; None: no gap is large enough."""
        for place, (begin, end) in enumerate(self._gaps):
            if end - begin >= size:
                rest = min(end, begin + -(-size // _ALIGNED) * _ALIGNED)
                self._gaps[place : place + 1] = [(rest, end)] if rest < end else []
                self._taken[begin] = rest
                return begin
        return None

    def free(self, begin: int) -> None:
        """Give a place back and join it with the gaps beside it."""
        end = self._taken.pop(begin)
        place = bisect(self._gaps, (begin, end))
        if place < len(self._gaps) and self._gaps[place][0] == end:
            end = self._gaps.pop(place)[1]
        if place and self._gaps[place - 1][1] == begin:
            begin = self._gaps.pop(place - 1)[0]
            place -= 1
        self._gaps.insert(place, (begin, end))


class _SlabTier:
    """Blocks side by side in large pieces, so that neither pins nor maps are taken for each."""

    def __init__(self, name: str, budget_bytes: int) -> None:
        self.name = name
        self.budget_bytes = budget_bytes
        self.num_bytes = 0
        self._slabs: list[tuple[Tensor, _Gaps]] = []
        self._places: dict[int, tuple[int, int]] = {}  # address -> slab, begin

    def put(self, block: Tensor) -> Tensor | None:
        """Copy a block into the first slab that has room, or into a new one."""
        size = block.numel() * block.element_size()
        for number, (memory, gaps) in enumerate(self._slabs):
            begin = gaps.take(size)
            if begin is not None:
                return self._write(block, number, memory, begin, size)
        taken = sum(memory.numel() for memory, _ in self._slabs)
        whole = min(max(_SLAB, size), self.budget_bytes - taken)
        slab = self._grow(whole) if whole >= size else None
        if slab is None:
            return None
        self._slabs.append((slab, _Gaps(whole)))
        return self.put(block)

    def _write(self, block: Tensor, slab: int, memory: Tensor, begin: int, size: int) -> Tensor:
        kept = memory[begin : begin + size].view(block.dtype).view(block.shape)
        kept.copy_(block)
        self._places[kept.data_ptr()] = (slab, begin)
        self.num_bytes += size
        return kept

    def _grow(self, size: int) -> Tensor | None:
        """Return more room, uint8 `(size,)`; None: the system has none."""
        raise NotImplementedError

    def drop(self, block: Tensor) -> None:
        """Give the place back for other blocks."""
        slab, begin = self._places.pop(block.data_ptr())
        self._slabs[slab][1].free(begin)
        self.num_bytes -= block.numel() * block.element_size()

    def prefetch(self, block: Tensor) -> None:
        """Do nothing: memory is near."""


class PinnedTier(_SlabTier):
    """Host memory that a GPU copies from without a detour."""

    def __init__(self, budget_bytes: int, is_pinned: bool = True) -> None:
        super().__init__("host", budget_bytes)
        self._is_pinned = is_pinned

    def _grow(self, size: int) -> Tensor | None:
        try:
            return torch.empty(size, dtype=torch.uint8, pin_memory=self._is_pinned)
        except RuntimeError as error:  # systems bound what a process may pin
            logger.warning("no more host memory can be pinned: %s", error)
            self.budget_bytes = self.num_bytes
            return None


class DiskTier(_SlabTier):
    """A file that is mapped into memory.

    The file has no name, or one that goes with the process, so nothing is left behind by an end of
    any kind. Its room is taken from the disk before anything is written into it, so that a full
    disk is noticed there and not in the middle of a step.
    """

    def __init__(self, budget_bytes: int, folder: Path) -> None:
        """Make the file.

        Args:
            budget_bytes: Most bytes that it may take; `RESERVE` of the disk stay free.
            folder: Where; made when it is missing.
        """
        super().__init__("disk", budget_bytes)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, prefix="blocks-")
        self._size = 0
        self._maps: list[mmap.mmap] = []

    def _grow(self, size: int) -> Tensor | None:
        if shutil.disk_usage(self.folder).free - size < RESERVE:
            self._full(f"less than {RESERVE / 1e9:g} GB would be free")
            return None
        begin = self._size
        size = -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        try:
            _reserve(self._file, begin, size)
            mapped = mmap.mmap(self._file.fileno(), size, offset=begin)
        except OSError as error:
            self._full(str(error))
            return None
        self._size += size
        self._maps.append(mapped)
        return torch.frombuffer(mapped, dtype=torch.uint8)

    def _full(self, why: str) -> None:
        logger.warning("%s: no more blocks are kept on disk: %s", self.folder, why)
        self.budget_bytes = self.num_bytes

    def prefetch(self, block: Tensor) -> None:
        """Let the system read the block while something else is computed."""
        place = self._places.get(block.data_ptr())
        if place is None or not hasattr(mmap, "MADV_WILLNEED"):
            return
        slab, begin = place
        start = begin // mmap.PAGESIZE * mmap.PAGESIZE
        end = begin + block.numel() * block.element_size()
        self._maps[slab].madvise(mmap.MADV_WILLNEED, start, end - start)

    def read_rate(self) -> float:
        """Measure how many bytes a second are read that are no longer in memory.

        Infinite where the system does not let them be dropped from memory.
        """
        if not hasattr(os, "posix_fadvise"):
            return math.inf
        with tempfile.TemporaryFile(dir=self.folder, buffering=0) as file:
            piece = os.urandom(2**20)
            for _ in range(_TRIED // len(piece)):
                file.write(piece)
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            began = time.perf_counter()
            while file.read(len(piece)):
                pass
            return _TRIED / (time.perf_counter() - began)


def _reserve(file: Any, begin: int, size: int) -> None:
    """Take room on the disk for a part of a file; raises OSError where there is none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), begin, size)
        return
    file.seek(begin)
    for start in range(0, size, 2**20):
        file.write(bytes(min(2**20, size - start)))
    file.flush()
