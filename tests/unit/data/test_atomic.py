"""Files and folders written whole or not at all."""

import errno
import json
import math
import os

import numpy as np
import pytest

from taglm_core.data import atomic
from taglm_core.errors import DataError


def names_in(folder):
    """Return the names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_write_json_keeps_order_and_has_no_nan(tmp_path):
    """metrics.json must be read by every JSON parser."""
    content = {"b": math.nan, "a": (1, np.float32(0.5), np.array([np.inf, 1.0])), "é": None}
    atomic.write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n "b": null')
    assert json.loads(text) == {"b": None, "a": [1, 0.5, [None, 1.0]], "é": None}


def test_write_replaces_the_whole_file(tmp_path):
    """No byte of the older file stays."""
    atomic.write_text(tmp_path / "a", "long text\r\n")
    atomic.write_text(tmp_path / "a", "é")
    assert (tmp_path / "a").read_bytes() == "é".encode()
    assert names_in(tmp_path) == ["a"]


def test_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    """A full disk shows at fsync; then nothing may have changed."""
    atomic.write_text(tmp_path / "a", "old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert names_in(tmp_path) == ["a"]


def test_symbolic_links_stay(tmp_path):
    """The file behind the link is replaced, not the link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    atomic.write_text(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "x"


def test_missing_folder_is_explained(tmp_path):
    """The message holds the command that fixes it."""
    with pytest.raises(DataError, match="mkdir -p"):
        atomic.write_text(tmp_path / "no" / "a", "x")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_replace_folder_swaps_everything(tmp_path, monkeypatch, can_exchange):
    """No file of the older folder is left in the newer one, on every system."""
    if not can_exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    for name in ("one", "two"):
        with atomic.replace_folder(tmp_path / "deep" / "tag") as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / name).write_text(name)
    assert names_in(tmp_path / "deep" / "tag" / "sub") == ["two"]
    assert names_in(tmp_path / "deep") == ["tag"]


def test_replace_folder_leaves_the_old_one_after_an_exception(tmp_path):
    """A tag that is there is a whole one."""
    with atomic.replace_folder(tmp_path / "tag") as folder:
        (folder / "a").write_text("old")

    def interrupted():
        with atomic.replace_folder(tmp_path / "tag") as folder:
            (folder / "a").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "tag" / "a").read_text() == "old"
    assert names_in(tmp_path) == ["tag"]


def test_replace_folder_refuses_a_file(tmp_path):
    """A file of that name is not ours to remove."""
    (tmp_path / "tag").write_text("x")
    with (
        pytest.raises(DataError, match="is a file, but a folder"),
        atomic.replace_folder(tmp_path / "tag"),
    ):
        pass


def test_a_folder_that_is_read_only_is_said_before_any_work(tmp_path, monkeypatch):
    """By its own name."""
    monkeypatch.setattr("os.access", lambda folder, mode: folder != tmp_path)
    with pytest.raises(PermissionError) as caught:
        atomic.check_writable(tmp_path / "out.csv")
    assert caught.value.filename == str(tmp_path)


def test_an_error_of_the_system_names_the_file_that_was_asked_for(tmp_path):
    """Not the temporary one, which nobody knows."""
    with (
        pytest.raises(OSError, match="No space left") as caught,
        atomic.replace_file(tmp_path / "a") as t,
    ):
        raise OSError(errno.ENOSPC, "No space left", str(t))
    assert caught.value.filename == str(tmp_path / "a")
