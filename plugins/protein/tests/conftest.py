"""Fixtures that drive the `taglm` program in this process, on a tiny random backbone."""

import sys
from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def _own_store(tmp_path_factory, monkeypatch):
    """Keep every test away from the user's tag store."""
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path_factory.mktemp("taglm-home")))
    monkeypatch.delenv("TAGLM_PLUGINS", raising=False)


@pytest.fixture
def taglm(monkeypatch, capsys, tmp_path):
    """Return a function that runs `taglm` with arguments and gives code, out and err."""

    def call(*arguments):
        from taglm_core.cli.main import main

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["taglm", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leave:
            code = leave.code or 0
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture
def tiny(tmp_path):
    """Save a tiny random backbone and return its folder."""
    from taglm_core.testing import tiny_backbone

    folder = tmp_path / "tiny"
    backbone = tiny_backbone("llama")
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return folder
