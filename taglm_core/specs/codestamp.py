"""A hash of the code behind a reference, for what is remembered of its results."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._-]+")


@functools.cache
def code_stamp(reference: str) -> str:
    """Return a hash of the code that a reference may run; nothing is imported but its packages.

    It covers every source file of the innermost package, and the installed versions of everything
    that distribution asks for: another version of a chemistry library may write molecules
    otherwise.

    Args:
        reference: `package.module:attribute`, or `package:`.
    """
    module = reference.partition(":")[0]
    digest = hashlib.sha256()
    for file in _sources(module):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    for line in _requirements(module.partition(".")[0]):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:16]


def _sources(module: str) -> list[Path]:
    """Return the source files of the package that a module is in, or of the module alone."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return []
    file = Path(spec.origin)
    if "." not in module and spec.submodule_search_locations is None:
        return [file]
    return sorted(file.parent.rglob("*.py"))


def _requirements(package: str) -> list[str]:
    """Return the installed version of each distribution that a package's distribution asks for."""
    for name in importlib.metadata.packages_distributions().get(package, []):
        lines = []
        for required in importlib.metadata.requires(name) or []:
            match = _NAME.match(required)
            if match is not None:
                lines.append(f"{match.group()} {_version(match.group())}")
        return sorted(lines)
    return []


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"
