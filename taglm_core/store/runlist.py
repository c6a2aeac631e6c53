"""The run folders in a folder: what each holds, and removing one."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from taglm_core.data.atomic import read_mapping
from taglm_core.errors import CheckpointError
from taglm_core.store.folderlock import FolderLock
from taglm_core.store.runfolder import RUNS

SETTINGS, RESULTS = "run.yaml", "metrics.json"


def list_runs(folder: Path) -> tuple[list[dict[str, Any]], list[CheckpointError]]:
    """List the runs in a folder, the latest first.

    Args:
        folder: Such as `runs`.

    Returns:
        One record for each with run, state, split, the first metric and its value on the test
        split, and the time at which it was written last; and why the results of others cannot be
        read, whose state is "damaged".

    Raises:
        CheckpointError: when there is no such folder; `runs` may still be missing.
    """
    if folder.is_file() or not (folder.exists() or folder == RUNS):
        what = "is a file" if folder.is_file() else "no such folder"
        raise CheckpointError(f"{folder}: {what}. Name a folder that holds runs, such as {RUNS}.")
    paths = sorted(path.parent for path in folder.glob(f"*/{SETTINGS}"))
    paths = [path for path in paths if not path.name.startswith(".")]  # being removed
    records, faults = [], []
    for path in paths:
        try:
            records += _records(path)
        except CheckpointError as error:
            faults.append(error)
            records.append(_record(path, "damaged", _written(path)))
    return sorted(records, key=lambda record: str(record["written"]), reverse=True), faults


def _written(path: Path) -> str:
    """Return when a run was written last."""
    file = path / RESULTS
    newest = (file if file.is_file() else path / SETTINGS).stat().st_mtime
    return datetime.fromtimestamp(newest).isoformat(sep=" ", timespec="minutes")


def _records(path: Path) -> list[dict[str, Any]]:
    """Return a record for each task of a run."""
    file, written = path / RESULTS, _written(path)
    if not file.is_file():
        return [_record(path, "unfinished", written)]
    try:
        return _finished(path, written, read_mapping(file).get("tasks", {}))
    except (AttributeError, TypeError) as error:  # keys that stand for something else
        raise CheckpointError(
            f"{file} is damaged ({error}). Copy {path} again from where it was written, or run "
            "its command again."
        ) from error


def _finished(path: Path, written: str, tasks: Mapping[str, Any]) -> list[dict[str, Any]]:
    records = []
    for name, task in tasks.items():
        metrics = task.get("splits", {}).get("test", {}).get("metrics", {})
        metric = next(iter(metrics), None)
        value = metrics[metric] if metric is not None else None
        records.append(_record(path, "finished", written, name, task.get("split"), metric, value))
    return records


def _record(
    path: Path,
    state: str,
    written: str,
    task: str | None = None,
    split: str | None = None,
    metric: str | None = None,
    value: Any = None,
) -> dict[str, Any]:
    return {
        "run": str(path),
        "task": task,
        "state": state,
        "split": split,
        "metric": metric,
        "test": value,
        "written": written,
    }


def remove_run(path: Path) -> None:
    """Remove a run folder with everything in it, its predictor too.

    Args:
        path: The folder.

    Raises:
        CheckpointError: when it is no run folder, a link, or in use.
    """
    if not (path / SETTINGS).is_file():
        raise CheckpointError(
            f"{path} is not a run folder ({SETTINGS} is missing). Nothing is removed."
        )
    if path.is_symlink():
        raise CheckpointError(f"{path} is a link to a folder. Name the folder itself.")
    lock = FolderLock(path, "Stop it first.")
    aside = path.with_name(f".{path.name}.removed")
    lock.acquire()
    try:
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)  # at once: an interrupt leaves no half of a run under its name
    finally:
        lock.release()
    shutil.rmtree(aside)
