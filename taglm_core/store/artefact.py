"""Artefacts on disk: a folder with config.json, tags.safetensors and README.md.

Nothing is ever unpickled. A folder is written whole or not at all.
"""

import json
from pathlib import Path
from typing import Any

import attrs
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from taglm_core.data.atomic import replace_folder
from taglm_core.errors import CheckpointError, listed, nearest
from taglm_core.model.backbone import Fingerprint

FORMAT_VERSION = 1
_KEYS = {
    "format_version",
    "kind",
    "taglm_version",
    "plugins",
    "backbone",
    "tags",
    "domains",
    "task",
}


@attrs.frozen(kw_only=True)
class Artefact:
    """What one folder holds."""

    kind: str
    """"tag" or "task"."""
    config: dict[str, Any]
    """Plain data: tags with lineage, domains with alphabets, the task if any."""
    tensors: dict[str, Tensor]
    """`tag:NAME`, `table:DOMAIN`, `head:PARAMETER`."""
    folder: Path | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """The backbone that the artefact belongs to."""
        held = self.config["backbone"]["fingerprint"]
        return Fingerprint(
            shape=held["shape"], tokenizer=held["tokenizer"], probe=tuple(held["probe"])
        )

    @property
    def backbone(self) -> str:
        """Name, folder or Hub id under which the backbone was loaded."""
        return str(self.config["backbone"]["name"])


def save_artefact(folder: Path, artefact: Artefact, readme: str) -> None:
    """Write an artefact whole."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in artefact.tensors.items()}
    config = {"format_version": FORMAT_VERSION, "kind": artefact.kind, **artefact.config}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replace_folder(folder) as temporary:
        text = json.dumps(config, indent=1, ensure_ascii=False)
        (temporary / "config.json").write_text(text + "\n", encoding="utf-8")
        (temporary / "tags.safetensors").write_bytes(save(tensors))
        (temporary / "README.md").write_text(readme, encoding="utf-8")


def load_artefact(folder: Path) -> Artefact:
    """Read an artefact.

    Raises:
        CheckpointError: when the folder holds none, is damaged or was written by a newer format.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load((folder / "tags.safetensors").read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder}: no artefact here ({Path(error.filename).name} is missing). Give a run "
            "folder that has finished, or its folder 'artefact'."
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: damaged artefact: {error}") from error
    version = config.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder}: format {version}, but this taglm reads {FORMAT_VERSION}; it was written "
            f"by taglm {config.get('taglm_version', 'unknown')}. Install that version."
        )
    unknown = sorted(set(config) - _KEYS)
    if unknown:
        raise CheckpointError(
            f"{folder}: unknown key '{unknown[0]}' in config.json, written by taglm "
            f"{config.get('taglm_version')}.{nearest(unknown[0], _KEYS)}"
        )
    return Artefact(kind=config.pop("kind"), config=config, tensors=tensors, folder=folder)


def find_artefact(path: Path, task: str | None = None) -> Path:
    """Return the artefact's folder for a run folder or an artefact folder.

    Args:
        path: The folder.
        task: Which task of a run with several.

    Raises:
        CheckpointError: when there is none, or several and none is named.
    """
    tasks = sorted(folder.name for folder in path.glob("tasks/*") if folder.is_dir())
    if tasks and task not in tasks:
        asked = "" if task is None else f"no task '{task}'.{nearest(task, tasks)} It "
        raise CheckpointError(f"{path}: {asked}holds the tasks {listed(tasks)}: name one, --task.")
    if task is not None:
        path = path / "tasks" / task if tasks else path
    for folder in (path / "artefact", path):
        if (folder / "tags.safetensors").is_file():
            return folder
    if not path.exists():
        near = (
            nearest(path.name, [p.name for p in path.parent.iterdir()])
            if (path.parent.is_dir())
            else ""
        )
        raise CheckpointError(f"{path}: no such run or artefact.{near}")
    raise CheckpointError(
        f"{path}: holds no artefact. A run writes it when it has finished; run it again to go on."
    )


def check_backbone(artefact: Artefact, found: Fingerprint, name: str) -> None:
    """Demand the backbone that an artefact belongs to.

    Raises:
        CheckpointError: naming both backbones and what differs.
    """
    difference = artefact.fingerprint.difference(found)
    if difference is not None:
        raise CheckpointError(
            f"{artefact.folder}: belongs to the backbone '{artefact.backbone}', not to '{name}': "
            f"{difference}. Tags work with their own backbone only; leave --backbone out, or train "
            f"again with it."
        )
