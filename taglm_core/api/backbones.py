"""`taglm.backbones`: the registered backbones, and what one of them is and can do here."""

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from taglm_core.api.tags import list as stored_tags
from taglm_core.model import gguf_file
from taglm_core.model.backbone_facts import facts_of
from taglm_core.model.backbone_loading import load_backbone, locate, pick_device
from taglm_core.model.divided import parse_division
from taglm_core.model.gguf_header import read_header, type_names
from taglm_core.plugins import load_registry


def list() -> builtins.list[dict[str, Any]]:
    """List the registered backbones, and those for which the tag store holds tags.

    Returns:
        One record for each with name, source (the plugin, or "tag store"), description and the
        number of tags in the store and in packages of plugins.
    """
    return beside_tags(stored_tags())


def beside_tags(records: Sequence[Mapping[str, Any]]) -> builtins.list[dict[str, Any]]:
    """Return the records of `list`, given those of the tags in the store."""
    registry = load_registry()
    tags: dict[str, int] = {}
    for record in records:
        tags[record["backbone"]] = tags.get(record["backbone"], 0) + 1
    found = [
        {
            "name": item.short,
            "source": str(item.source.distribution),
            "description": item.spec.description,
            "tags": tags.pop(item.short, 0) + tags.pop(item.name, 0),
        }
        for item in registry.backbones
    ]
    found += [
        {"name": name, "source": "tag store", "description": "", "tags": count}
        for name, count in sorted(tags.items())
    ]
    return found


def show(backbone: str = "nano", device: str = "auto") -> dict[str, Any]:
    """Load a backbone, measure it and say what works with it.

    Args:
        backbone: Registered name, folder, GGUF file or Hub id.
        device: "cpu", "cuda", "cuda:1"; "auto", which takes a GPU when there is one; or a division
            such as "cuda=20GB+cpu".

    Returns:
        Architecture, sizes, bytes of memory in each precision, bytes of cache a token, tokens a
        second of forward and of forward with backward passes in each precision, how many layers
        a division puts elsewhere in each precision, and what works.

    Example:
        taglm.backbones.show("nano")["parameters"]
    """
    registry = load_registry()
    place = locate(backbone, registry)
    division = parse_division(device)
    if division is None:
        facts = facts_of(load_backbone(backbone, registry, device))
    else:
        where = pick_device(device)  # one that is not there is told before anything is read
        facts = facts_of(load_backbone(backbone, registry, "cpu"), division, where)
    record = attrs.asdict(facts)
    file = gguf_file.stored_file(place.path, place.revision)
    if file is not None:
        record["stored_as"] = type_names(read_header(file))
    return record
