"""The `taglm` program in this process: a whole command without the start of an interpreter."""

import contextlib
import importlib
import io
import sys
from pathlib import Path

import pytest


def run_program(words, folder, **variables):
    """Run `taglm` with words in a folder, with further variables of the environment.

    Returns:
        Its exit code and what it wrote to both streams, in order.
    """
    from taglm_core.cli.main import main

    written, code = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["taglm", *map(str, words)])
        for name, value in variables.items():
            patch.setenv(name, str(value))
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            try:
                main()
            except SystemExit as leave:
                code = leave.code or 0
    return code, written.getvalue()


def call_here(*words, folders=(), **variables):
    """Run `taglm` beside the packages of further folders and demand that it succeeds.

    Returns:
        What it wrote to both streams.
    """
    with contextlib.ExitStack() as seen:
        for folder in folders:
            seen.enter_context(installed(folder))
        code, written = run_program(words, Path.cwd(), **variables)
    assert code == 0, f"{words}\n{written}"
    return written


@contextlib.contextmanager
def installed(site):
    """See the packages of a folder, as if pip had installed them; forget them afterwards."""
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "") or "").startswith(str(site)):
                del sys.modules[name]
        importlib.invalidate_caches()
