"""`taglm.load`: a predictor from a run or an artefact."""

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.doubt import check_on_doubt
from taglm_core.errors import ConfigError, nearest
from taglm_core.inference.additional import add_tags
from taglm_core.inference.loading import load_predictor
from taglm_core.inference.predictor import Predictor
from taglm_core.plugins import load_registry
from taglm_core.specs import Decoding
from taglm_core.store.artefact import find_artefact, load_artefact
from taglm_core.store.tagstore import TagStore


def load(
    run_or_artefact: "str | PathLike[str] | Any",
    backbone: str | None = None,
    device: str = "auto",
    *,
    precision: str | None = None,
    task: str | None = None,
    cache: str = "auto",
    tags: Sequence[str] = (),
    decode: Mapping[str, Any] | None = None,
    on_doubt: str = "raise",
) -> Predictor:
    """Load the predictor of a finished run or of an artefact.

    Args:
        run_or_artefact: Folder of a run or of an artefact, or a `Run`.
        backbone: Another name, folder or Hub id of the same backbone; None: the artefact's own.
        device: "cpu", "cuda", "cuda:1" or "auto", which takes a GPU when there is one.
        precision: Arithmetic of the backbone, "fp32" or "bf16"; None: the one in which it was
            trained. In the other one predictions differ a little.
        task: Which task of a run with several.
        cache: Memory limit for cached prompt segments: "auto", "off" or a size such as "2GB"; with
            "+disk" behind it they spill to disk.
        tags: Additional domain tags that columns may name: `NAME`, the newest one of the tag
            store, or `NAME=FOLDER`.
        decode: How a text task writes: keys of the settings `decode`, such as
            `{"how": "beam", "beams": 4}`; None: as the run did.
        on_doubt: How to handle data that look like another kind of data, such as DNA for a
            protein: "raise" stops where most values do, "warn" only says so.

    Raises:
        CheckpointError: when there is no artefact, or it belongs to another backbone.
        ConfigError: for an unknown or wrong key of `decode`, another precision, or another word for
            `on_doubt`.

    Example:
        predictor = taglm.load("runs/QED")
        predictor.predict(["CCO", "c1ccccc1"])
    """
    check_on_doubt(on_doubt)
    folder = Path(getattr(run_or_artefact, "folder", run_or_artefact))
    task = task or getattr(run_or_artefact, "task", None)
    artefact = load_artefact(find_artefact(folder, task))
    registry = load_registry()
    predictor = load_predictor(artefact, registry, backbone, device, cache, precision, on_doubt)
    predictor.metrics = _metrics(artefact.folder, predictor.task.name)
    predictor.splits_file = _splits_file(artefact.folder)
    add_tags(predictor, tags, registry, TagStore())
    _set_decoding(predictor, decode or {})
    return predictor


def _run_folders(artefact: Path | None) -> list[Path]:
    """Return where the run of an artefact may have left its files: the task's folder, the run's."""
    if artefact is None or artefact.name != "artefact":
        return []
    run = [artefact.parent.parent.parent] if artefact.parent.parent.name == "tasks" else []
    return [artefact.parent, *run]


def _metrics(artefact: Path | None, task: str) -> dict[str, Any] | None:
    """Return what metrics.json of the run says of a task, None for an artefact without its run."""
    for folder in _run_folders(artefact):
        file = folder / "metrics.json"
        if file.is_file():
            tasks = json.loads(file.read_text(encoding="utf-8")).get("tasks", {})
            metrics: dict[str, Any] | None = tasks.get(task)
            return metrics
    return None


def _splits_file(artefact: Path | None) -> Path | None:
    """Return split.csv of the run, None for an artefact without its run."""
    files = [folder / "split.csv" for folder in _run_folders(artefact)]
    return next((file for file in files if file.is_file()), None)


def _set_decoding(predictor: Predictor, options: Mapping[str, Any]) -> None:
    """Lay settings over what the run remembers."""
    task_model = predictor.task_model
    if options and task_model.task.is_numeric:
        raise ConfigError(f"task {task_model.task.name} writes no text, so nothing is decoded.")
    known = attrs.fields_dict(Decoding)
    for key in options:
        if key not in known:
            raise ConfigError(
                f"decode: unknown key '{key}'.{nearest(str(key), known)} Known: {', '.join(known)}."
            )
    task_model.decoding = attrs.evolve(task_model.decoding, **options)
