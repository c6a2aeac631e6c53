"""Throw-away environments in which a test installs a plugin, offline."""

import subprocess
import sys
from pathlib import Path

_PATHS = """
import sys, sysconfig
own = sysconfig.get_path("stdlib")
print(*(p for p in sys.path if "site-packages" in p or not p.startswith(own)), sep="\\n")
"""


def make_environment(folder):
    """Make an environment that sees the packages of this one; what it installs stays in it.

    Returns:
        Its Python.
    """
    create = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(create, check=True, capture_output=True)
    python = Path(folder) / "bin" / "python"
    paths = subprocess.run(
        [sys.executable, "-I", "-c", _PATHS], check=True, capture_output=True, text=True
    ).stdout
    found = [path for path in paths.splitlines() if path and Path(path).is_dir()]
    place = next(Path(folder).glob("lib/python*/site-packages"))
    (place / "outer.pth").write_text("\n".join(found) + "\n")
    return python


def pip_install(python, *words, cwd):
    """Run `pip install` into an environment without a network: requirements are there already."""
    program = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    offline = ["--no-build-isolation", "--no-deps", "--disable-pip-version-check"]
    return subprocess.run(
        [*program, *offline, *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
