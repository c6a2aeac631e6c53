"""Format versions of an artifact's config.json: what turns an older one into the present one.

Plain data in, plain data out; `schema` reads the result. Artifacts of every format version are kept
with the tests.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from taglm_core.errors import CheckpointError

FORMAT_VERSION = 2
"""The present format."""


def migrate(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the contents of a config.json in the present format.

    Raises:
        CheckpointError: when its format is newer than this taglm, or none.
    """
    plain = copy.deepcopy(dict(config))
    version = plain.get("format_version")
    if version not in [*MIGRATIONS, FORMAT_VERSION]:
        raise CheckpointError(
            f"{where}: format {version}, but this taglm reads 1 to {FORMAT_VERSION}; it was "
            f"written by taglm {plain.get('taglm_version', 'unknown')}. Install that version."
        )
    try:
        while plain["format_version"] != FORMAT_VERSION:
            version = plain["format_version"]
            plain = {**MIGRATIONS[version](plain), "format_version": version + 1}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{where} is damaged: config.json lacks {error} of format {version}."
        ) from error
    return plain


def _from_1(old: dict[str, Any]) -> dict[str, Any]:
    """Version 1 held the task, its target and its head in one flat mapping."""
    for tag in old["tags"].values():
        origin = tag.get("enriched_from")
        if isinstance(origin, str):
            tag["enriched_from"] = {"tag": origin, "fingerprint": tag["fingerprint"]}
        if isinstance(tag.get("lineage"), dict):
            tag["lineage"].pop("from_store", None)  # of the run that wrote it, not of the tag
    task = old.get("task")
    if task is None:
        return old
    target = dict(task["target"])
    scaling = target.pop("scaling", None)
    for mapping in (target, scaling or {}):
        if "floor" in mapping:
            mapping["censored_below"] = mapping.pop("floor")
    is_text = target["kind"] == "text"
    head = {
        "name": task["head"],
        "options": task.get("head_options", {}),
        "pooling": "last" if task.get("num_read", 1) == 1 else "all",
    }
    spec = {
        "name": task["name"],
        "function_tag": task["function_tag"],
        "prompt": task["template"],
        "target": target,
        "metrics": task["metrics"],
        "aliases": task.get("aliases", {}),
        "symmetric": task.get("symmetric", []),
    }
    old["task"] = {
        "spec": spec,
        "plugin": task["plugin"],
        "attention": task["attention"],
        "head": None if is_text else head,
        "scaling": None if is_text else scaling,
        "domain_of": task["domain_of"],
        "tag_of": task["tag_of"],
        "columns": task["columns"],
        "decoding": task.get("decode", {}),
        "trained_combinations": task.get("trained_combinations", []),
    }
    return old


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
"""Format version -> what turns its config.json into that of the next one."""
