"""Packages that some implementations need, and that not everybody installs."""

from importlib.util import find_spec


def why_missing(package: str, install: str) -> str | None:
    """Return what to install, None when nothing is missing; nothing is imported.

    Args:
        package: As it is imported; "": none is needed.
        install: What pip installs to have it; "": its own name.
    """
    if not package or find_spec(package) is not None:
        return None
    return f"it needs the package {package}: pip install '{install or package}'"
