"""The `taglm` program in this process: a whole command without the start of an interpreter."""

import contextlib
import importlib
import io
import os
import shlex
import sys
from pathlib import Path


def run_program(words, folder):
    """Run `taglm` with words in a folder.

    Returns:
        Its exit code and what it wrote to both streams, in order.
    """
    from taglm_core.cli.main import main

    written, before = io.StringIO(), (sys.argv, Path.cwd())
    code = 0
    os.chdir(folder)
    sys.argv = ["taglm", *map(str, words)]
    try:
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            main()
    except SystemExit as leave:
        code = leave.code or 0
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
    return code, written.getvalue()


def taglm(words, folder):
    """Run `taglm` in a folder and demand that it succeeds; gives what it wrote."""
    words = shlex.split(words) if isinstance(words, str) else words
    code, written = run_program(words, folder)
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
