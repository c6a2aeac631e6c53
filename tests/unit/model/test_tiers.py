"""Blocks come back from every place as they were put there, and budgets are kept."""

import gc
import os
import shutil
import subprocess
import sys

import pytest
import torch

from taglm_core.model import cachebudget, tiers
from taglm_core.model import reuse as reuse_module
from taglm_core.model.blocks import BlockCache
from taglm_core.model.cachebudget import cache_setting, cache_tiers, disk_budget
from taglm_core.model.reuse import find_reuse
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.tiers import DiskTier, MemoryTier, PinnedTier
from taglm_core.testing import tiny_backbone

CPU = torch.device("cpu")


def block(keys, seed=0, dtype=torch.float32):
    """Return a block as it comes out of a padded batch: a view that is not contiguous."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(2, 2, 2, keys + 3, 8, generator=generator).to(dtype)
    return made[:, :, :, :keys]


@pytest.fixture(params=["cpu", "host", "disk"])
def tier(request, tmp_path, monkeypatch):
    """Return a tier of each kind with room for 200 kB, in slabs of 64 kB."""
    monkeypatch.setattr(tiers, "_SLAB", 2**16)
    if request.param == "cpu":
        return MemoryTier(200_000)
    # pinning needs a GPU; the places in a slab are the same without
    return PinnedTier(200_000, False) if request.param == "host" else DiskTier(200_000, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_come_back_as_they_were(tier, dtype):
    """Every number, in its own type, whatever lies beside it."""
    blocks = [block(keys, keys, dtype) for keys in (1, 7, 30, 64, 3)]
    kept = [tier.put(each) for each in blocks]
    for each, held in zip(blocks, kept, strict=True):
        tier.prefetch(held)
        assert held.dtype == dtype
        assert torch.equal(held, each)
        assert held.is_contiguous()
    assert tier.num_bytes == sum(each.numel() * each.element_size() for each in blocks)


def test_no_tier_takes_more_than_its_budget(tier):
    """What does not fit is refused and can be computed again."""
    taken = 0
    while tier.put(block(20, taken)) is not None:
        taken += 1
    size = block(20).numel() * 4
    assert tier.num_bytes == taken * size <= 200_000
    assert taken * size > 0.75 * 200_000  # slabs leave little over


def test_room_is_given_back(tier):
    """Blocks of earlier rows make room for those of later ones, in any order and size."""
    for cycle in range(6):
        kept = [tier.put(block(10 + 5 * (k % 3), k)) for k in range(8)]
        assert all(held is not None for held in kept)
        for place in (3, 0, 7, 1, 2, 6, 5, 4) if cycle % 2 else range(8):
            tier.drop(kept[place])
        assert tier.num_bytes == 0


def test_a_block_larger_than_a_slab_is_kept(tier):
    """A long protein on a large backbone may take more than one piece of memory."""
    large = block(300)
    assert large.numel() * 4 > 2**16
    assert torch.equal(tier.put(large), large)


def test_the_cache_goes_on_to_the_next_place(tmp_path):
    """A full tier hands on to the slower one; dropping counts at the right one."""
    size = block(10).numel() * 4
    fast, slow = MemoryTier(2 * size), DiskTier(10 * size, tmp_path)
    cache = BlockCache(tiers=[fast, slow])
    for k in range(4):
        assert cache.put(bytes([k]), block(10, k))
    assert cache.put(b"slow", block(10, 9), first=1)
    assert (fast.num_bytes, slow.num_bytes) == (2 * size, 3 * size)
    assert all(torch.equal(cache.get(bytes([k])), block(10, k)) for k in range(4))
    cache.keep_only({bytes([1]), bytes([3])})
    assert (fast.num_bytes, slow.num_bytes) == (size, size)
    assert cache.rooms == (("cpu", size), ("disk", 9 * size))


def test_the_file_has_no_name_and_frees_its_room(tmp_path):
    """Nothing is left in the folder while it is used, nor after."""
    tier = DiskTier(10**6, tmp_path)
    held = tier.put(block(50))
    if os.name == "posix":
        assert list(tmp_path.iterdir()) == []
    expected = block(50)
    del tier
    gc.collect()
    assert torch.equal(held, expected)  # the pages live as long as the tensor
    del held
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_nothing(tmp_path):
    """Even a process that cannot clean up leaves no file."""
    program = (
        "import os, sys, torch\n"
        "from pathlib import Path\n"
        "from taglm_core.model.tiers import DiskTier\n"
        "tier = DiskTier(10**7, Path(sys.argv[1]))\n"
        "assert tier.put(torch.ones(1000)) is not None\n"
        "print('kept', flush=True)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (9, "kept\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_is_never_filled(tmp_path, monkeypatch):
    """A gigabyte stays free even if the disk fills up after the budget was set."""
    usage = shutil.disk_usage(tmp_path)
    tier = DiskTier(10**6, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=tiers.RESERVE + 99))
    assert tier.put(block(50)) is None
    assert tier.budget_bytes == 0


def test_a_disk_without_room_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    """The system's own refusal ends the tier, not the run."""

    def refuse(*args):
        raise OSError(28, "No space left on device")

    tier = DiskTier(10**6, tmp_path)
    monkeypatch.setattr(tiers, "_reserve", refuse)
    assert tier.put(block(50)) is None
    assert tier.put(block(50)) is None


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
    budget, remark = disk_budget("auto+disk:1tb", folder)
    assert budget == 18 * 10**9
    assert remark == "the cache takes 18 GB instead of 1tb of disk: 20 GB are free"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**8))
    assert disk_budget("auto+disk", folder) == (0, "")


def test_places_follow_the_setting(tmp_path, monkeypatch):
    """On a CPU device and host are one; a GPU's memory comes before the host's."""
    free = {"cpu": 64 * 10**9, "cuda": 10 * 10**9}
    monkeypatch.setattr(cachebudget, "free_bytes", lambda device: free[device.type])

    def places(setting, device):
        made, remarks = cache_tiers(setting, torch.device(device), tmp_path)
        return [(tier.name, tier.budget_bytes / 1e9) for tier in made], remarks

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
    monkeypatch.setattr(DiskTier, "read_rate", lambda self: 1e8)
    rate = 1e8 if is_slow else 1e7
    monkeypatch.setattr(reuse_module, "compute_rate", lambda model: rate)
    disk = DiskTier(10**6, tmp_path)
    reuse = find_reuse(TaggedModel(tiny_backbone()), tiers=[MemoryTier(100), disk])
    assert (disk in reuse.cache.tiers) is not is_slow
    assert [line.partition(":")[0] for line in reuse.remarks] == ["nothing is kept on disk"] * (
        is_slow
    )


def test_both_speeds_are_measured(tmp_path):
    """The figures that decide come from this disk and this backbone."""
    assert DiskTier(10**6, tmp_path).read_rate() > 1e5
    assert reuse_module.compute_rate(TaggedModel(tiny_backbone()), 32) > 1e3
