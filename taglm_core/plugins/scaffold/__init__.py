"""The scaffold of a plugin: names, and templates of a complete package; writing is the CLI's."""

import importlib.util
import keyword
import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

import attrs

from taglm_core import __version__
from taglm_core.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PLACE = re.compile(r"%%(\w+)%%")
_SUFFIX = ".tmpl"


@attrs.frozen(kw_only=True)
class PluginNames:
    """Every name that a new plugin needs."""

    name: str
    """Name of the entry point, such as "demo"."""
    package: str
    """Python package, such as "taglm_demo"."""
    distribution: str
    """What pip installs, such as "taglm-plugin-demo"."""
    tag: str
    """Domain tag, such as "Demo"."""
    field: str
    """Template field of the domain, such as "demo"."""
    task: str
    """Task and its function tag, such as "DemoContent"."""
    requires: str
    """Range of taglm that it works with."""


def plugin_names(name: str, tag: str | None = None) -> PluginNames:
    """Check a plugin's name and derive all others from it.

    Args:
        name: Name of the plugin.
        tag: Domain tag; None: the name in capitals at its start.

    Raises:
        ConfigError: when a name cannot be used; says why and offers one that can.
    """
    offered = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
    if _NAME.fullmatch(name) is None:
        usable = _NAME.fullmatch(offered) is not None
        raise ConfigError(
            f"'{name}' cannot be the name of a plugin: it becomes a part of the Python package "
            f"'taglm_...'. Write lower-case letters, digits and '_', a letter first, such as "
            f"'{offered if usable else 'demo'}'."
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ConfigError(
            f"'{name}' is a word of the Python language and cannot be the name of a plugin. Take "
            f"another one, such as '{name}_data'."
        )
    package = f"taglm_{name}"
    if importlib.util.find_spec(package) is not None:
        raise ConfigError(
            f"the package '{package}' is installed already, so another plugin '{name}' could not "
            "be imported beside it. Take another name; `taglm plugins` lists the installed ones."
        )
    tag = tag if tag is not None else "".join(part.capitalize() for part in name.split("_"))
    if _TAG.fullmatch(tag) is None:
        raise ConfigError(
            f"--domain {tag}: a tag is written <{tag}> in templates. Write letters, digits and "
            "'_', a letter first, such as 'DNA'."
        )
    major, minor = (int(part) for part in __version__.split(".")[:2])
    return PluginNames(
        name=name,
        package=package,
        distribution=f"taglm-plugin-{name.replace('_', '-')}",
        tag=tag,
        field=tag.lower(),
        task=f"{tag}Content",
        requires=f">={major}.{minor},<{major}.{minor + 1}",
    )


def plugin_files(names: PluginNames) -> dict[str, str]:
    """Return the files of a new plugin: path inside its folder -> text."""
    values = attrs.asdict(names)
    files = {}
    for path, text in _templates(resources.files(__name__).joinpath("templates"), ()):
        parts = [names.package if part == "package" else part for part in path]
        parts = [f".{part[4:]}" if part.startswith("dot_") else part for part in parts]
        filled = _PLACE.sub(lambda match: values[match[1]], text)
        files["/".join(parts).removesuffix(_SUFFIX)] = filled
    return files


def _templates(folder: Traversable, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _templates(item, (*path, item.name))
        elif item.name.endswith(_SUFFIX):
            yield (*path, item.name), item.read_text(encoding="utf-8")
