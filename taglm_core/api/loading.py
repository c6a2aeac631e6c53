"""`taglm.load`: a predictor from a run or from its own folder."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.atomic import read_mapping
from taglm_core.data.doubt import check_on_doubt
from taglm_core.errors import ConfigError, nearest
from taglm_core.inference.additional import add_tags
from taglm_core.inference.loading import load_predictor
from taglm_core.inference.predictor import Predictor
from taglm_core.inference.together import Predictors, load_predictors
from taglm_core.plugins import load_registry
from taglm_core.specs import Decoding
from taglm_core.specs.decoding import changed_decoding
from taglm_core.store.artifact import Artifact, find_artifact, load_artifact, read_artifact
from taglm_core.store.runfolder import PREDICTOR
from taglm_core.store.tagstore import TagStore


def load(
    run_or_folder: "str | PathLike[str] | Any",
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
    """Load the predictor of a finished run, or from its own folder.

    Args:
        run_or_folder: Folder of a run or of a predictor, or a `Run`.
        backbone: Another name, folder, GGUF file or Hub id of the same backbone; None: the
            predictor's own.
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
        CheckpointError: when there is no predictor, or it belongs to another backbone.
        ConfigError: for an unknown or wrong key of `decode`, another precision, or another word for
            `on_doubt`.

    Example:
        predictor = taglm.load("runs/QED")
        predictor.predict(["CCO", "c1ccccc1"])
    """
    check_on_doubt(on_doubt)
    folder = Path(getattr(run_or_folder, "folder", run_or_folder))
    task = task or getattr(run_or_folder, "task", None)
    artifact = read_artifact(folder, task)
    registry = load_registry()
    predictor = load_predictor(artifact, registry, backbone, device, cache, precision, on_doubt)
    _remember_run(predictor)
    add_tags(predictor, tags, registry, TagStore.of(registry))
    _set_decoding(predictor, decode or {})
    return predictor


def load_together(
    runs: "Mapping[str, str | PathLike[str] | Any] | Sequence[str | PathLike[str] | Any]",
    backbone: str | None = None,
    device: str = "auto",
    *,
    precision: str | None = None,
    cache: str = "auto",
    on_doubt: str = "raise",
) -> Predictors:
    """Load several predictors onto one backbone, which takes its memory once.

    Rows of several tasks run in one batch, and what they share before the function tag (a molecule,
    a protein) is computed once and stays cached from call to call.

    Args:
        runs: Folders of runs or of predictors, or `Run` objects; a mapping gives each a name,
            otherwise the task's name is taken. A run of several tasks gives one predictor each.
        backbone: As for `load`, the same for all.
        device: As for `load`.
        precision: As for `load`; needed when they were trained in different ones.
        cache: As for `load`, the limit for all of them.
        on_doubt: As for `load`.

    Returns:
        The predictors by name. Each predicts alone, as one that `load` gives, and
        `Predictors.predict` takes rows of several.

    Raises:
        CheckpointError: when there is no predictor, or one belongs to another backbone.
        ConfigError: when two have the same name, or precisions differ.

    Example:
        predictors = taglm.load_together(["runs/QED", "runs/LogP"])
        predictors.predict({"QED": ["CCO"], "LogP": ["CCO", "c1ccccc1"]})
    """
    check_on_doubt(on_doubt)
    artifacts: dict[str, Artifact] = {}
    named = runs.items() if isinstance(runs, Mapping) else [(None, run) for run in runs]
    for given, run in named:
        for folder in _task_folders(run, given):
            artifact = load_artifact(folder)
            name = artifact.task.spec.name if given is None else str(given)
            if name in artifacts:
                raise ConfigError(
                    f"Duplicate task name '{name}'. Task names must be unique: give each predictor "
                    f"a name of its own, such as {name}_2={folder}."
                )
            artifacts[name] = artifact
    if not artifacts:
        raise ConfigError("no predictor: name at least one folder of a run.")
    predictors = load_predictors(
        artifacts, load_registry(), backbone, device, cache, precision, on_doubt
    )
    for predictor in predictors.values():
        _remember_run(predictor)
    return predictors


def _task_folders(run: Any, name: str | None) -> list[Path]:
    """Return the folder of each predictor of a run, in the order of their names."""
    folder, task = Path(getattr(run, "folder", run)), getattr(run, "task", None)
    tasks = sorted(each.name for each in folder.glob("tasks/*") if each.is_dir())
    if task is not None or not tasks:
        return [find_artifact(folder, task)]
    if name is not None and len(tasks) > 1:
        raise ConfigError(
            f"{name}={folder}: the run holds the tasks {', '.join(tasks)}, which cannot have one "
            f"name. Name one of them: {name}={folder / 'tasks' / tasks[0]}."
        )
    return [find_artifact(folder, each) for each in tasks]


def _remember_run(predictor: Predictor) -> None:
    """Give a predictor what its run says of it, if the run is still around it."""
    folder = predictor.artifact and predictor.artifact.folder
    predictor.metrics = _metrics(folder or None, predictor.task.name)
    predictor.splits_file = _splits_file(folder or None)


def _run_folders(artifact: Path | None) -> list[Path]:
    """Return where the run of an artifact may have left its files: the task's folder, the run's."""
    if artifact is None or artifact.name != PREDICTOR:
        return []
    run = [artifact.parent.parent.parent] if artifact.parent.parent.name == "tasks" else []
    return [artifact.parent, *run]


def _metrics(artifact: Path | None, task: str) -> dict[str, Any] | None:
    """Return what metrics.json of the run says of a task, None for an artifact without its run."""
    for folder in _run_folders(artifact):
        file = folder / "metrics.json"
        if file.is_file():
            tasks = read_mapping(file).get("tasks", {})
            metrics: dict[str, Any] | None = tasks.get(task)
            return metrics
    return None


def _splits_file(artifact: Path | None) -> Path | None:
    """Return split.csv of the run, None for an artifact without its run."""
    files = [folder / "split.csv" for folder in _run_folders(artifact)]
    return next((file for file in files if file.is_file()), None)


def _set_decoding(predictor: Predictor, options: Mapping[str, Any]) -> None:
    """Lay settings over what the run remembers."""
    task_model = predictor.task_model
    if options and task_model.task.is_numeric:
        raise ConfigError(
            f"task {task_model.task.name} writes no text. Leave the decoding options out."
        )
    known = attrs.fields_dict(Decoding)
    for key in options:
        if key not in known:
            raise ConfigError(
                f"decode: unknown key '{key}'.{nearest(str(key), known)} Known: {', '.join(known)}."
            )
    task_model.decoding = changed_decoding(task_model.decoding, options)
