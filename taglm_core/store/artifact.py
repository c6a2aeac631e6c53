"""Artifacts on disk: a folder with config.json, tags.safetensors and README.md.

Nothing is ever unpickled. A folder is written whole or not at all.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import attrs
import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from taglm_core.data.atomic import read_mapping, replace_folder
from taglm_core.errors import CheckpointError, UnknownNameError, counted, listed, nearest
from taglm_core.model.fingerprint import Fingerprint
from taglm_core.model.intervals import Intervals
from taglm_core.store.migrations import FORMAT_VERSION
from taglm_core.store.runfolder import MEMBERS, PREDICTOR, RUNS
from taglm_core.store.schema import ArtifactRecord, TaskRecord, from_plain, to_plain

logger = logging.getLogger(__name__)

_GROUPS = {
    "tag": "tags",
    "inner": "inner",
    "table": "tables",
    "offsets": "offsets",
    "head": "head",
    "member": "members",
    "similarity": "similarity",
    "residuals": "residuals",
}
"""What stands before the colon of a name in tags.safetensors -> where it belongs."""

_RENEW = "Copy it again from where it was trained, or delete its run and run the command again."


@attrs.frozen(kw_only=True)
class Artifact:
    """What one folder holds."""

    config: ArtifactRecord
    """Everything but the numbers."""
    tags: dict[str, Tensor] = attrs.field(factory=dict)
    """Tag -> `(tag_length, hidden)`."""
    inner: dict[str, Tensor] = attrs.field(factory=dict)
    """`TAG:PLACE` -> what a tag has there in the layers; none of tags at the input alone."""
    tables: dict[str, Tensor] = attrs.field(factory=dict)
    """Domain -> trained symbol table `(symbols, hidden)`; none for tables that were not trained."""
    offsets: dict[str, Tensor] = attrs.field(factory=dict)
    """Domain -> what stage 1 adds to the logits of its symbols and end, `(symbols + 1,)`."""
    head: dict[str, Tensor] = attrs.field(factory=dict)
    """Parameters of the head."""
    members: dict[str, Tensor] = attrs.field(factory=dict)
    """Of each further member of an ensemble: `N.tag`, `N.inner.PLACE` and `N.head.PARAMETER`."""
    similarity: dict[str, Tensor] = attrs.field(factory=dict)
    """Fingerprints of training values: `FIELD.positions` and `FIELD.sizes`."""
    residuals: dict[str, Tensor] = attrs.field(factory=dict)
    """Target -> absolute residuals of validation rows, see `Intervals`."""
    folder: Path | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """The backbone that the artifact belongs to."""
        return self.config.backbone.fingerprint

    @property
    def backbone(self) -> str:
        """Name, folder or Hub id under which the backbone was loaded."""
        return self.config.backbone.name

    @property
    def precision(self) -> str:
        """Arithmetic in which it was trained: fp32 or bf16."""
        return self.config.backbone.precision

    @property
    def task(self) -> TaskRecord:
        """The trained task.

        Raises:
            CheckpointError: when the artifact holds a tag alone.
        """
        if self.config.task is None:
            raise CheckpointError(
                f"{self.folder} holds a tag, not a task, so it predicts nothing. Give the folder "
                "of a task's run."
            )
        return self.config.task

    def tag(self, name: str) -> Tensor:
        """Return the rows of a tag, `(tag_length, hidden)`.

        Raises:
            UnknownNameError: when the artifact does not hold it.
        """
        if name not in self.tags:
            raise UnknownNameError(
                f"{self.folder} holds no tag <{name}>; it holds {listed(self.tags) or 'none'}."
            )
        return self.tags[name]

    def inner_of(self, name: str) -> dict[str, Tensor]:
        """Return what a tag has in the layers, by place; {} of one at the input alone."""
        return _below(self.inner, f"{name}:")

    @property
    def intervals(self) -> Intervals | None:
        """Prediction intervals of the task; None: it has none."""
        records = self.task.intervals
        return Intervals(records, self.residuals) if records else None

    def of_member(self, number: int, what: str) -> dict[str, Tensor]:
        """Return the `head` or `inner` tensors of a further member of an ensemble, by name."""
        return _below(self.members, f"{number}.{what}.")


def inner_names(tag: str, inner: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a tag has in the layers under the names that an artifact gives it."""
    return {f"{tag}:{place}": value for place, value in inner.items()}


def _below(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, by the rest of their names."""
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def save_artifact(folder: Path, artifact: Artifact, readme: str) -> None:
    """Write an artifact whole."""
    tensors = {
        f"{prefix}:{name}": value.detach().cpu().contiguous()
        for prefix, group in _GROUPS.items()
        for name, value in getattr(artifact, group).items()
    }
    config = {"format_version": FORMAT_VERSION, **to_plain(artifact.config)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replace_folder(folder) as temporary:
        text = json.dumps(config, indent=1, ensure_ascii=False)
        (temporary / "config.json").write_text(text + "\n", encoding="utf-8")
        (temporary / "tags.safetensors").write_bytes(save(tensors))
        (temporary / "README.md").write_text(readme, encoding="utf-8")


def load_artifact(folder: Path) -> Artifact:
    """Read an artifact of this or an older format version.

    Raises:
        CheckpointError: when the folder holds none, is damaged or was written by a newer format.
    """
    try:
        config = read_mapping(folder / "config.json")
        tensors = load((folder / "tags.safetensors").read_bytes())
    except FileNotFoundError as error:
        if any((folder / name).is_file() for name in ("config.json", "tags.safetensors")):
            raise CheckpointError(
                f"{folder} is damaged ({Path(error.filename).name} is missing). {_RENEW}"
            ) from error
        raise CheckpointError(
            f"{folder}: no predictor here ({Path(error.filename).name} is missing). Give a run "
            "folder that has finished, or its folder 'predictor'."
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is damaged ({error}). {_RENEW}") from error
    return Artifact(config=from_plain(config, str(folder)), folder=folder, **_grouped(tensors))


def _grouped(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS.values()}
    for key, value in sorted(tensors.items()):  # safetensors gives them in any order
        prefix, _, name = key.partition(":")
        groups[_GROUPS[prefix]][name] = value
    return groups


def nearest_run(path: Path) -> str:
    """Say which run may have been meant by a path that is none: that of `runs`, or one beside."""
    run = RUNS / path
    if not path.is_absolute() and run.is_dir():
        return f" Did you mean '{run}'?"
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    return nearest(path.name, beside)


def check_is_folder(path: Path) -> None:
    """Demand a folder where a run is named.

    Raises:
        CheckpointError: saying what is there, and which run may have been meant.
    """
    if path.is_file():
        raise CheckpointError(f"{path} is a file. Name the folder of a run, such as runs/QED.")
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such run or predictor.{nearest_run(path)}")


def find_artifact(path: Path, task: str | None = None) -> Path:
    """Return the artifact's folder for a run folder or an artifact folder.

    Args:
        path: The folder.
        task: Which task of a run with several.

    Raises:
        CheckpointError: when there is none, or several and none is named.
    """
    tasks = sorted(folder.name for folder in path.glob("tasks/*") if folder.is_dir())
    if tasks and task not in tasks:
        asked = "" if task is None else f": no task '{task}'.{nearest(task, tasks)} It"
        raise CheckpointError(
            f"{path}{asked} holds the tasks {listed(tasks)}. Name one with --task."
        )
    if task is not None:
        path = path / "tasks" / task if tasks else path
    for folder in (path / PREDICTOR, path):
        if (folder / "tags.safetensors").is_file():
            return folder
    if path.is_file():
        raise CheckpointError(
            f"{path} is a file, not a predictor. Name the folder of a run, such as runs/QED; a "
            f"table stands behind it: `taglm predict runs/QED {path}`."
        )
    check_is_folder(path)
    inside = (f"{MEMBERS}/*/{PREDICTOR}", f"{MEMBERS}/*/run/{PREDICTOR}")  # of folds, of studies
    members = sorted(folder.parent for way in inside for folder in path.glob(way))
    if members:
        raise CheckpointError(
            f"{path} holds a predictor for each of {len(members)} runs. Name one, such as "
            f"{members[0]}."
        )
    runs = sorted(folder.parent.parent for folder in path.glob(f"*/{PREDICTOR}/tags.safetensors"))
    if runs:
        raise CheckpointError(f"{path} holds {counted(len(runs), 'run')}. Name one: {runs[0]}.")
    if not (path / "run.yaml").is_file():
        raise CheckpointError(
            f"{path} is neither a run nor a predictor. Name the folder of a run, such as runs/QED."
        )
    raise CheckpointError(
        f"{path} holds no predictor. A run writes it at its end: run the same command again to "
        "continue."
    )


def check_backbone(artifact: Artifact, fingerprint: Fingerprint, name: str) -> None:
    """Demand the backbone that an artifact belongs to.

    Raises:
        CheckpointError: naming both backbones and what differs.
    """
    difference = artifact.fingerprint.difference(fingerprint)
    if difference is not None:
        remedy = "leave --backbone out, or train again with it"
        if artifact.backbone == name:  # its weights have changed since
            remedy = "give the original weights with --backbone FOLDER, or train again"
        raise CheckpointError(
            f"{artifact.folder} belongs to the backbone '{artifact.backbone}', not to '{name}': "
            f"{difference}. Tags work with their own backbone only; {remedy}."
        )
    trained, now = artifact.fingerprint.content, fingerprint.content
    if trained and now and trained != now:
        cosine = float(np.dot(artifact.fingerprint.probe, fingerprint.probe))
        logger.warning(
            "backbone '%s' is not the same file as the one that %s was trained with (cosine of a "
            "probe's outputs: %.5f). A copy in another precision gives nearly the same results; a "
            "model that was trained further does not: then train again.",
            name,
            artifact.folder,
            cosine,
        )


def read_artifact(path: str | Path, task: str | None = None) -> Artifact:
    """Read the artifact of a run folder, or of an artifact's own folder.

    Args:
        path: The folder.
        task: Which task of a run with several.

    Raises:
        CheckpointError: when there is none, several and none is named, another task is asked for,
            or it is damaged.
    """
    artifact = load_artifact(find_artifact(Path(path), task))
    held = artifact.config.task
    if task is not None and held is not None and held.spec.name != task:
        raise CheckpointError(f"{path}: no task '{task}'. It holds the task {held.spec.name}.")
    return artifact
