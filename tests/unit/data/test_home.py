"""Where tags and other things that outlive a run are kept."""

import sys
from pathlib import Path

import pytest

from taglm_core.data.home import home


def test_the_variable_decides(monkeypatch, tmp_path):
    """`~` in it is the user's folder."""
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "store"))
    assert home() == tmp_path / "store"
    monkeypatch.setenv("TAGLM_HOME", "~/store")
    assert home() == Path.home() / "store"


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
def test_the_default_is_the_data_directory_of_the_user(monkeypatch, tmp_path):
    """Tags of an earlier version are found where they were."""
    monkeypatch.delenv("TAGLM_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home() == tmp_path / "taglm"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".local" / "share" / "taglm"
