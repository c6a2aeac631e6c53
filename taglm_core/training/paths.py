"""Which settings are paths: relative to the run file that names them, and hashed by content."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from taglm_core.data.digests import path_digest
from taglm_core.errors import TaglmError
from taglm_core.model.backbone_folder import content_of
from taglm_core.model.backbone_loading import locate
from taglm_core.model.gguf_file import SUFFIX
from taglm_core.plugins import Registry
from taglm_core.store.artifact import find_artifact
from taglm_core.training.config import RunConfig

BACKBONE = "the backbone"
"""Name of the backbone among the inputs of a run."""


def anchored(plain: dict[str, Any], folder: Path) -> None:
    """Make paths that a run file names relative to the working folder; wrong kinds are left.

    Args:
        plain: Settings as read from the file, changed in place.
        folder: Where the file is. A backbone and `function_tag_from` are only looked for there,
            since they may be a name, or may be meant from the working folder.
    """
    _change(plain, lambda path: os.path.normpath(folder / path), lambda path: folder / path)


def portable(plain: dict[str, Any], folder: Path) -> None:
    """Make paths of settings relative to the folder in which they are written as a run file.

    Args:
        plain: Settings as plain data, changed in place.
        folder: Of the run file that will hold them; absolute paths stay.
    """

    def moved(path: str) -> str:
        return path if os.path.isabs(path) else os.path.relpath(path, folder)

    _change(plain, moved, Path)


def _change(
    plain: dict[str, Any], change: Callable[[str], str], place: Callable[[str], Path]
) -> None:
    jobs = plain.get("tasks")
    for holder in [plain, *(jobs if isinstance(jobs, list | tuple) else [])]:
        data = holder.get("data") if isinstance(holder, Mapping) else None
        for held, key in _file_keys(data):
            if isinstance(held[key], str):
                held[key] = change(held[key])
            elif isinstance(held[key], list):
                held[key] = [change(str(name)) for name in held[key]]
    stages = plain.get("stages")
    task = stages.get("task") if isinstance(stages, Mapping) else None
    for mapping, key in ((plain, "backbone"), (task, "function_tag_from")):
        value = mapping.get(key) if isinstance(mapping, dict) else None
        if not isinstance(mapping, dict) or not isinstance(value, str):
            continue
        is_gguf = value.lower().endswith(SUFFIX) and place(value).is_file()
        if place(value).is_dir() or is_gguf:
            found = change(value)
            # one word would be taken for a registered name
            mapping[key] = found if os.sep in found else os.path.join(".", found)


def _file_keys(data: Any) -> Iterator[tuple[Any, Any]]:
    """Give each mapping of `data` and the key in it that holds a path."""
    if not isinstance(data, dict):
        return
    domain, split, options = data.get("domain"), data.get("split"), data.get("options")
    named: list[tuple[Any, Any]] = [(data, "file"), (data, "test_file"), (split, "file")]
    named += [(options, "file"), (options, "files")]
    named += [(domain, tag) for tag in domain] if isinstance(domain, dict) else []
    for held, key in named:
        if isinstance(held, dict) and key in held:
            yield held, key


def named_inputs(config: RunConfig, registry: Registry) -> dict[str, str]:
    """Return a hash of everything that the settings name: files, folders, the backbone.

    Returns:
        Path, or `BACKBONE` -> hash of its content.

    Raises:
        TaglmError: when the backbone is none.
    """
    names: dict[str, None] = {}
    for job in config.jobs():
        data = job.data
        for name in (data.file, data.test_file, data.split.file, *data.domain.values()):
            if name is not None:
                names[name] = None
        for value in data.options.values():
            for name in value if isinstance(value, list | tuple) else [value]:
                if isinstance(name, str) and Path(name).exists():
                    names[name] = None
    found = {name: path_digest(name) for name in names if Path(name).exists()}
    origin = config.stages.task.function_tag_from
    if origin is not None and Path(origin).is_dir():
        try:
            artifact = find_artifact(Path(origin))
        except TaglmError:  # said where the tag is read
            return {**found, BACKBONE: backbone_digest(config.backbone, registry)}
        found[origin] = path_digest(artifact / "tags.safetensors")
    return {**found, BACKBONE: backbone_digest(config.backbone, registry)}


def backbone_digest(name: str, registry: Registry) -> str:
    """Return a hash of a backbone's stored content, "" for a Hub id that was not fetched yet."""
    place = locate(name, registry)
    return content_of(place.path, place.revision)
