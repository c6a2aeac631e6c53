"""A hash of the code behind a reference, for what is remembered of its results."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_LARGEST_TABLE = 1 << 20
"""Bytes of a file beside the code, such as a table of fragments, that is part of it."""


def code_stamp(reference: str) -> str:
    """Return a hash of the code that a reference may run; nothing is imported but its packages.

    It covers every source file and small table of the innermost package, and the installed versions
    of everything that distribution asks for: another version of a chemistry library may write
    molecules otherwise.

    Args:
        reference: `package.module:attribute`, or `package:`.
    """
    return _code_stamp(reference, tuple(sys.path))


@functools.cache
def _code_stamp(reference: str, search: tuple[str, ...]) -> str:
    """Return the stamp of a reference that is searched in some folders."""
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
    files = (path for path in file.parent.rglob("*") if "__pycache__" not in path.parts)
    return sorted(
        path
        for path in files
        if path.is_file() and (path.suffix == ".py" or path.stat().st_size < _LARGEST_TABLE)
    )


def stamp_of(content: Any) -> str:
    """Return a hash of plain data, 32 hexadecimal digits."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _requirements(package: str) -> list[str]:
    """Return the installed version of each distribution that a package's distribution asks for."""
    name = distributions().get(package)
    if name is None:
        return []
    try:
        found = map(_NAME.match, importlib.metadata.requires(name) or [])
    except importlib.metadata.PackageNotFoundError:  # removed since it was listed
        return []
    return sorted(f"{match.group()} {_version(match.group())}" for match in found if match)


def distributions() -> dict[str, str]:
    """Return package -> distribution of each installed plugin, also of editable installations."""
    return _distributions(tuple(sys.path))


@functools.cache
def _distributions(search: tuple[str, ...]) -> dict[str, str]:
    """Return the same for some folders that packages are searched in."""
    points = importlib.metadata.entry_points(group="taglm")
    return {
        point.module.partition(".")[0]: point.dist.name
        for point in points
        if point.dist is not None
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"
