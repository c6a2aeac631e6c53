"""Where cached segments lie: a device's memory, pinned memory of the host, a file on disk.

A storage takes segments up to its limit and returns each as a tensor that is read where it lies:
on the device, in memory, or in the pages of a file that the system fetches and drops.
"""

import logging
import math
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

logger = logging.getLogger(__name__)

_ALIGNED = 64
_REGION = 2**28
"""Bytes taken from the system at a time: a power of two, to which pinning rounds up anyhow."""
RESERVE = 10**9
"""Bytes of a disk that stay free whatever the limit is."""
_PROBED = 2**25
"""Bytes that are written and read to measure the speed of a disk."""


class Storage:
    """Segments in one kind of memory, up to a limit."""

    def __init__(self, name: str, limit_bytes: int) -> None:
        """Keep the limit.

        Args:
            name: What the plan calls it: `cpu`, `cuda:0`, `host`, `disk`.
            limit_bytes: Most bytes of all segments.
        """
        self.name = name
        self.limit_bytes = limit_bytes
        self.num_bytes = 0
        """Bytes that the cached segments take."""
        self._segments: dict[bytes, Tensor] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._segments

    def __len__(self) -> int:
        return len(self._segments)

    def get(self, key: bytes) -> Tensor | None:
        """Return a segment, None when it is not here."""
        return self._segments.get(key)

    def put(self, key: bytes, segment: Tensor) -> bool:
        """Keep a copy of a segment; False where it does not fit."""
        size = _size(segment)
        copied = (
            self._copy(key, segment, size) if self.num_bytes + size <= self.limit_bytes else None
        )
        if copied is None:
            return False
        self._segments[key] = copied
        self.num_bytes += size
        return True

    def keep_only(self, keys: set[bytes]) -> None:
        """Drop every segment but these; no tensor that `get` gave may be in use."""
        for key in self._segments.keys() - keys:
            self.num_bytes -= _size(self._segments.pop(key))

    def _copy(self, key: bytes, segment: Tensor, size: int) -> Tensor | None:
        """Return a contiguous copy that lies here; None: there is no memory for it."""
        raise NotImplementedError


def _size(segment: Tensor) -> int:
    return segment.numel() * segment.element_size()


class DeviceMemory(Storage):
    """The memory of a device; torch finds a place for each segment."""

    def __init__(self, limit_bytes: int, device: torch.device | str = "cpu") -> None:
        super().__init__(str(device), limit_bytes)

    def _copy(self, key: bytes, segment: Tensor, size: int) -> Tensor:
        # without the padding of the batch that the segment was computed in
        return segment.to(self.name, copy=True, memory_format=torch.contiguous_format)


class _AppendOnly(Storage):
    """Segments one after the other in large regions, so that each needs no pin or map of its own.

    Dropped segments leave their bytes unused until they are as many as the used ones; the used
    ones then move to the front, which so costs no more than writing the dropped ones did.
    """

    def __init__(self, name: str, limit_bytes: int) -> None:
        super().__init__(name, limit_bytes)
        self._regions: list[Tensor] = []
        self._places: dict[bytes, tuple[int, int]] = {}  # key -> region, first byte; in order
        self._end = (0, 0)  # region, first free byte

    def _copy(self, key: bytes, segment: Tensor, size: int) -> Tensor | None:
        while (place := self._append(size)) is None:
            taken = sum(len(region) for region in self._regions)
            whole = min(max(_REGION, size), self.limit_bytes - taken)
            region = self._grow(whole) if whole >= size else None
            if region is None:
                return None
            self._regions.append(region)
        self._places[key] = place
        copied = self._view(place, size).view(segment.dtype).view(segment.shape)
        return copied.copy_(segment)

    def _append(self, size: int) -> tuple[int, int] | None:
        """Return the next place of so many bytes and move the end behind it."""
        first, begin = self._end
        for region in range(first, len(self._regions)):
            if begin + size <= len(self._regions[region]):
                self._end = (region, begin + -(-size // _ALIGNED) * _ALIGNED)
                return region, begin
            begin = 0
        return None

    def _view(self, place: tuple[int, int], size: int) -> Tensor:
        region, begin = place
        return self._regions[region][begin : begin + size]

    def _grow(self, size: int) -> Tensor | None:
        """Return a further region, uint8 `(size,)`; None: the system has none."""
        raise NotImplementedError

    def keep_only(self, keys: set[bytes]) -> None:
        """Drop every segment but these; no tensor that `get` gave may be in use."""
        super().keep_only(keys)
        self._places = {key: place for key, place in self._places.items() if key in keys}
        region, end = self._end
        written = end + sum(len(earlier) for earlier in self._regions[:region])
        if written >= 2 * self.num_bytes:
            self._move_to_front()

    def _move_to_front(self) -> None:
        self._end = (0, 0)
        for key, source in self._places.items():
            segment = self._segments[key]
            size = _size(segment)
            target = self._append(size)
            assert target is not None  # it fits where it lies
            moved = self._view(target, size)
            # numpy copies ranges that overlap as if by way of a third
            np.copyto(moved.numpy(), self._view(source, size).numpy())
            self._segments[key] = moved.view(segment.dtype).view(segment.shape)
            self._places[key] = target


class PinnedMemory(_AppendOnly):
    """Host memory that a GPU copies from without a detour."""

    def __init__(self, limit_bytes: int, is_pinned: bool = True) -> None:
        super().__init__("host", limit_bytes)
        self._is_pinned = is_pinned

    def _grow(self, size: int) -> Tensor | None:
        try:
            return torch.empty(size, dtype=torch.uint8, pin_memory=self._is_pinned)
        except RuntimeError as error:  # systems bound what a process may pin
            logger.warning("no more host memory can be pinned: %s", error)
            self.limit_bytes = sum(len(region) for region in self._regions)
            return None


class DiskFile(_AppendOnly):
    """A file that is mapped into memory.

    The file has no name, or one that goes with the process, so nothing is left behind by an end of
    any kind. Its bytes are taken from the disk before anything is written into it, so that a full
    disk is noticed there and not in the middle of a step.
    """

    def __init__(self, limit_bytes: int, folder: Path) -> None:
        """Create the file.

        Args:
            limit_bytes: Most bytes that it may take; `RESERVE` of the disk stay free.
            folder: Where; created when it is missing.
        """
        super().__init__("disk", limit_bytes)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, prefix="segments-")
        self._length = 0
        self._maps: list[mmap.mmap] = []

    def _grow(self, size: int) -> Tensor | None:
        if shutil.disk_usage(self.folder).free - size < RESERVE:
            self._stop_growing(f"less than {RESERVE / 1e9:g} GB would be free")
            return None
        size_on_disk = -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        try:
            _reserve(self._file, self._length, size_on_disk)
            mapped = mmap.mmap(self._file.fileno(), size_on_disk, offset=self._length)
        except OSError as error:
            self._stop_growing(str(error))
            return None
        self._length += size_on_disk
        self._maps.append(mapped)
        return torch.frombuffer(mapped, dtype=torch.uint8)

    def _stop_growing(self, why: str) -> None:
        logger.warning("%s: no more segments are cached on disk: %s", self.folder, why)
        self.limit_bytes = sum(len(region) for region in self._regions)

    def get(self, key: bytes) -> Tensor | None:
        """Return a segment; the system reads it while something else is computed."""
        segment = super().get(key)
        if segment is not None and hasattr(mmap, "MADV_WILLNEED"):
            region, begin = self._places[key]
            start = begin // mmap.PAGESIZE * mmap.PAGESIZE
            end = begin + _size(segment)
            self._maps[region].madvise(mmap.MADV_WILLNEED, start, end - start)
        return segment

    def read_rate(self) -> float:
        """Measure how many bytes a second are read that are no longer in memory.

        Infinite where the system does not let them be dropped from memory.
        """
        if not hasattr(os, "posix_fadvise"):
            return math.inf
        with tempfile.TemporaryFile(dir=self.folder, buffering=0) as file:
            chunk = os.urandom(2**20)
            for _ in range(_PROBED // len(chunk)):
                file.write(chunk)
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            began = time.perf_counter()
            while file.read(len(chunk)):
                pass
            return _PROBED / (time.perf_counter() - began)


def _reserve(file: Any, begin: int, size: int) -> None:
    """Take bytes of the disk for a part of a file; raises OSError where there are none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), begin, size)
        return
    file.seek(begin)
    for start in range(0, size, 2**20):
        file.write(bytes(min(2**20, size - start)))
    file.flush()


class SegmentStore:
    """Keys and values of segments in one storage or several; shared by the splits of a run.

    An epoch reads each segment once, so what is cached stays, and the rest is computed again.
    """

    def __init__(self, limit_bytes: int = 0, storages: Sequence[Storage] = ()) -> None:
        """Keep the storages.

        Args:
            limit_bytes: Of memory on the CPU; tests and measurements need no more.
            storages: Instead of it, the quickest first.
        """
        self.storages = tuple(storages) or (DeviceMemory(limit_bytes),)
        self.token_bytes = 0
        """Bytes of one token, measured when the first segment is kept."""

    def __contains__(self, key: bytes) -> bool:
        return any(key in storage for storage in self.storages)

    def __len__(self) -> int:
        return sum(len(storage) for storage in self.storages)

    @property
    def limit_bytes(self) -> int:
        """Most bytes of all storages."""
        return sum(storage.limit_bytes for storage in self.storages)

    @property
    def num_bytes(self) -> int:
        """Bytes that the cached segments take."""
        return sum(storage.num_bytes for storage in self.storages)

    @property
    def free(self) -> tuple[tuple[str, int], ...]:
        """(name, bytes below the limit) of each storage."""
        return tuple((s.name, s.limit_bytes - s.num_bytes) for s in self.storages)

    @property
    def limits(self) -> tuple[tuple[str, int], ...]:
        """(name, most bytes) of each storage."""
        return tuple((s.name, s.limit_bytes) for s in self.storages)

    def get(self, key: bytes) -> Tensor | None:
        """Return a segment `(layers, 2, kv_heads, keys, head_dim)`, None when it is not cached."""
        for storage in self.storages:
            if key in storage:
                return storage.get(key)
        return None

    def put(self, key: bytes, segment: Tensor, first: int = 0) -> bool:
        """Keep a copy of a segment where a limit allows it.

        Args:
            key: Of the segment.
            segment: Any view of it.
            first: Number of the quickest storage that may take it.
        """
        return key in self or any(s.put(key, segment) for s in self.storages[first:])

    def keep_only(self, keys: set[bytes]) -> None:
        """Drop every segment but these; no tensor that `get` gave may be in use."""
        for storage in self.storages:
            storage.keep_only(keys)
