"""Segments come back from every storage as they were put there, and limits are kept."""

import gc
import os
import shutil
import subprocess
import sys

import pytest
import torch

from taglm_core.model.prefix_cache import PrefixCache, budget, probe
from taglm_core.model.prefix_cache import storage as storage_module
from taglm_core.model.prefix_cache.budget import cache_setting, cache_storages, disk_budget
from taglm_core.model.prefix_cache.storage import (
    DeviceMemory,
    DiskFile,
    PinnedMemory,
    SegmentStore,
)
from taglm_core.model.tagged import TaggedModel
from taglm_core.testing import tiny_backbone

CPU = torch.device("cpu")


def segment(keys, seed=0, dtype=torch.float32):
    """Return a segment as it comes out of a padded batch: a view that is not contiguous."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, 2, 2, keys + 3, 8, generator=generator).to(dtype)
    return values[:, :, :, :keys]


def key(number):
    """Return a key."""
    return bytes([number])


@pytest.fixture(params=["cpu", "host", "disk"])
def storage(request, tmp_path, monkeypatch):
    """Return a storage of each kind with a limit of 200 kB, in regions of 64 kB."""
    monkeypatch.setattr(storage_module, "_REGION", 2**16)
    if request.param == "cpu":
        return DeviceMemory(200_000)
    # pinning needs a GPU; the places in a region are the same without
    return PinnedMemory(200_000, False) if request.param == "host" else DiskFile(200_000, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_segments_come_back_as_they_were(storage, dtype):
    """Every number, in its own type, whatever lies beside it."""
    segments = {key(keys): segment(keys, keys, dtype) for keys in (1, 7, 30, 64, 3)}
    assert all(storage.put(*item) for item in segments.items())
    for name, each in segments.items():
        cached = storage.get(name)
        assert cached.dtype == dtype
        assert torch.equal(cached, each)
        assert cached.is_contiguous()
    assert storage.num_bytes == sum(
        each.numel() * each.element_size() for each in segments.values()
    )
    assert storage.get(b"another") is None


def test_no_storage_takes_more_than_its_limit(storage):
    """What does not fit is not kept and can be computed again."""
    taken = 0
    while storage.put(key(taken), segment(20, taken)):
        taken += 1
    size = segment(20).numel() * 4
    assert storage.num_bytes == taken * size <= 200_000
    assert taken * size > 0.75 * 200_000  # regions leave little over
    assert len(storage) == taken


def test_dropped_segments_make_way_for_others(storage):
    """Cycle after cycle as many segments fit, whichever of the earlier ones stay."""
    for cycle in range(6):
        names = [key(100 * (cycle % 2) + k) for k in range(8)]
        for k, name in enumerate(names):
            assert name in storage or storage.put(name, segment(10 + 5 * (k % 3), k))
        storage.keep_only({names[3], names[5]})
        assert len(storage) == 2
        for k in (3, 5):
            assert torch.equal(storage.get(names[k]), segment(10 + 5 * (k % 3), k))
    storage.keep_only(set())
    assert storage.num_bytes == 0


def test_segments_that_stay_move_over_what_was_dropped(storage):
    """A long segment moves by less than its length, so that source and target overlap."""
    assert storage.put(b"first", segment(48, 1))
    assert storage.put(b"stays", segment(40, 2))
    assert storage.put(b"later", segment(60, 3))
    assert storage.put(b"other", segment(5, 4))
    storage.keep_only({b"stays", b"other"})
    assert torch.equal(storage.get(b"stays"), segment(40, 2))
    assert torch.equal(storage.get(b"other"), segment(5, 4))
    number = 0
    while storage.put(key(number), segment(40, number)):
        number += 1
    assert number * segment(40).numel() * 4 > 0.7 * 200_000
    assert torch.equal(storage.get(b"stays"), segment(40, 2))


def test_a_segment_larger_than_a_region_is_kept(storage):
    """A long protein on a large backbone may take more than one region."""
    large = segment(300)
    assert large.numel() * 4 > 2**16
    assert storage.put(b"large", large)
    assert torch.equal(storage.get(b"large"), large)


def test_the_store_goes_on_to_the_next_storage(tmp_path):
    """A full storage hands on to the slower one; dropping counts at the right one."""
    size = segment(10).numel() * 4
    fast, slow = DeviceMemory(2 * size), DiskFile(10 * size, tmp_path)
    store = SegmentStore(storages=[fast, slow])
    for k in range(4):
        assert store.put(key(k), segment(10, k))
    assert store.put(b"slow", segment(10, 9), first=1)
    assert (fast.num_bytes, slow.num_bytes) == (2 * size, 3 * size)
    assert all(torch.equal(store.get(key(k)), segment(10, k)) for k in range(4))
    store.keep_only({key(1), key(3)})
    assert (fast.num_bytes, slow.num_bytes) == (size, size)
    assert store.free == (("cpu", size), ("disk", 9 * size))
    assert torch.equal(store.get(key(3)), segment(10, 3))


def test_the_file_has_no_name_and_frees_the_disk(tmp_path):
    """Nothing is left in the folder while it is used, nor after."""
    storage = DiskFile(10**6, tmp_path)
    assert storage.put(b"key", segment(50))
    cached = storage.get(b"key")
    if os.name == "posix":
        assert list(tmp_path.iterdir()) == []
    expected = segment(50)
    del storage
    gc.collect()
    assert torch.equal(cached, expected)  # the pages live as long as the tensor
    del cached
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_nothing(tmp_path):
    """Even a process that cannot clean up leaves no file."""
    program = (
        "import os, sys, torch\n"
        "from pathlib import Path\n"
        "from taglm_core.model.prefix_cache.storage import DiskFile\n"
        "storage = DiskFile(10**7, Path(sys.argv[1]))\n"
        "assert storage.put(b'key', torch.ones(1000))\n"
        "print('kept', flush=True)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (9, "kept\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_is_never_filled(tmp_path, monkeypatch):
    """A gigabyte stays free even if the disk fills up after the limit was set."""
    usage = shutil.disk_usage(tmp_path)
    storage = DiskFile(10**6, tmp_path)
    free = storage_module.RESERVE + 99
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    assert not storage.put(b"key", segment(50))
    assert storage.limit_bytes == 0


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    """An error of the system ends the growth of the file, not the run."""

    def fail(*args):
        raise OSError(28, "No space left on device")

    storage = DiskFile(10**6, tmp_path)
    monkeypatch.setattr(storage_module, "_reserve", fail)
    assert not storage.put(b"key", segment(50))
    assert not storage.put(b"key", segment(50))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto+disk", "auto+disk"),
        ("2GB + disk:20GB", "2gb+disk:20gb"),
        ("off+disk:1.5", "off+disk:1.5"),
    ],
)
def test_the_disk_is_part_of_the_setting(given, expected):
    """One setting says all."""
    assert cache_setting(given) == expected


@pytest.mark.parametrize("given", ["2GB+tape", "2GB+", "auto+disk:", "auto+disk:lots", "+disk"])
def test_a_wrong_disk_is_an_error(given):
    """A typing error must not become some default."""
    from taglm_core.errors import ConfigError

    with pytest.raises(ConfigError, match=r"\+disk:20GB"):
        cache_setting(given)


def test_the_budget_of_a_disk_leaves_room_there(tmp_path, monkeypatch):
    """A size beyond the free disk is cut down and said; the folder need not exist yet."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=20 * 10**9))
    folder = tmp_path / "not" / "there"
    assert disk_budget("auto", folder) == (0, "")
    assert disk_budget("auto+disk", folder) == (10 * 10**9, "")
    assert disk_budget("off+disk:3gb", folder) == (3 * 10**9, "")
    limit, remark = disk_budget("auto+disk:1tb", folder)
    assert limit == 18 * 10**9
    assert remark == "the cache takes 18 GB instead of 1tb of disk: 20 GB are free"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**8))
    assert disk_budget("auto+disk", folder) == (0, "")


def test_storages_follow_the_setting(tmp_path, monkeypatch):
    """On a CPU device and host are one; a GPU's memory comes before the host's."""
    free = {"cpu": 64 * 10**9, "cuda": 10 * 10**9}
    monkeypatch.setattr(budget, "free_bytes", lambda device: free[device.type])

    def places(setting, device):
        storages, remarks = cache_storages(setting, torch.device(device), tmp_path)
        return [(storage.name, storage.limit_bytes / 1e9) for storage in storages], remarks

    assert places("auto", "cpu") == ([("cpu", 32)], [])
    assert places("off", "cpu") == ([], [])
    assert places("off+disk:1gb", "cpu") == ([("disk", 1)], [])
    assert places("auto", "cuda:0") == ([("cuda:0", 5), ("host", 32)], [])
    assert places("4gb", "cuda:0") == ([("cuda:0", 4)], [])
    assert places("20gb+disk:1gb", "cuda:0") == (
        [("cuda:0", 9), ("host", 11), ("disk", 1)],
        [],
    )
    assert places("100gb", "cuda:0") == (
        [("cuda:0", 9), ("host", 57.6)],
        ["the cache takes 57.6 GB instead of 91 GB of 100gb: 64 GB are free"],
    )


@pytest.mark.parametrize("is_slow", [True, False])
def test_a_disk_slower_than_computing_is_left_out(is_slow, tmp_path, monkeypatch):
    """The plan is made with what was measured, and says so."""
    monkeypatch.setattr(DiskFile, "read_rate", lambda self: 1e8)
    rate = 1e8 if is_slow else 1e7
    monkeypatch.setattr(probe, "compute_rate", lambda model: rate)
    disk = DiskFile(10**6, tmp_path)
    cache = PrefixCache.on(TaggedModel(tiny_backbone()), storages=[DeviceMemory(100), disk])
    assert (disk in cache.store.storages) is not is_slow
    assert [line.partition(":")[0] for line in cache.remarks] == ["nothing is cached on disk"] * (
        is_slow
    )


def test_both_speeds_are_measured(tmp_path):
    """The figures that decide come from this disk and this backbone."""
    assert DiskFile(10**6, tmp_path).read_rate() > 1e5
    assert probe.compute_rate(TaggedModel(tiny_backbone()), 32) > 1e3
