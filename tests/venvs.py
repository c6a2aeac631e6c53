"""Throw-away environments in which a test installs a plugin, offline."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

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
    python, place = _empty_environment(folder)
    paths = subprocess.run(
        [sys.executable, "-I", "-c", _PATHS], check=True, capture_output=True, text=True
    ).stdout
    found = [path for path in paths.splitlines() if path and Path(path).is_dir()]
    (place / "outer.pth").write_text("\n".join(found) + "\n")
    return python


def make_environment_for(folder, name, ours="taglm"):
    """Make an environment with what a distribution requires, however deep, and nothing else.

    Linked from this environment, so that nothing is copied or fetched. Distributions whose name
    begins with `ours` are left out: the test installs them.

    Returns:
        Its Python.
    """
    python, place = _empty_environment(folder)
    for required in sorted(_closure(name)):
        if not required.startswith(ours):
            _link(metadata.distribution(required), place)
    return python


def _empty_environment(folder):
    create = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(create, check=True, capture_output=True)
    return Path(folder) / "bin" / "python", next(Path(folder).glob("lib/python*/site-packages"))


def _closure(name):
    """Return the names of all distributions that one requires, itself among them."""
    seen, todo = set(), [(name, "")]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                todo += [(wanted.name.lower(), part) for part in ("", *wanted.extras)]
    return {name for name, _ in seen}


def _link(distribution, place):
    """Link the packages, modules and metadata of an installed distribution into a folder."""
    for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
        if not (place / top).exists():
            (place / top).symlink_to(distribution.locate_file(top))


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
