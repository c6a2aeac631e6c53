"""What the installed versions say when a plugin asks for something that this core has not."""

import importlib.metadata

from taglm_core.plugins.discovery import PluginSource


def newer(source: PluginSource) -> str:
    """Return " It is misspelled, or needs a newer taglm ...", with what the plugin asks for."""
    asked = unmet(source.distribution, "taglm")
    if asked:
        return f" {source.distribution} needs a newer taglm: {asked[0]}."
    return f" It is misspelled, or needs a newer taglm than {core_version()}."


def explain(reason: str, source: PluginSource) -> str:
    """Add the advice to a reason that speaks of a name or an argument unknown to this core."""
    is_ours = "taglm_core" in reason and ("has no attribute" in reason or "cannot import" in reason)
    is_field = "TypeError" in reason and "unexpected keyword argument" in reason
    return f"{reason}.{newer(source)}" if is_ours or is_field else reason


def unmet(distribution: str, only: str | None = None) -> list[str]:
    """Return the requirements of an installed distribution that the installation does not meet.

    Args:
        distribution: Its name; one that is not installed has none.
        only: Look at the requirement on this distribution alone.

    Returns:
        Such as "taglm>=0.3 is required, but 0.1.0 is installed"; extras are left out.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    lines = []
    try:
        requirements = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    for line in requirements:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            lines.append(f"'{line}' cannot be read")
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        if only is not None and canonicalize_name(wanted.name) != only:
            continue
        version = _installed(wanted.name)
        if version is None:
            lines.append(f"{wanted.name}{wanted.specifier} is required, but not installed")
        elif not wanted.specifier.contains(version, prereleases=True):
            lines.append(f"{wanted.name}{wanted.specifier} is required, but {version} is installed")
    return lines


def core_version() -> str:
    """Return the version of this core."""
    from taglm_core import __version__

    return __version__


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
