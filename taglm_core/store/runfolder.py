"""The run folder: resolved settings, split, metrics, predictions, checkpoints, artifact."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from taglm_core.data.atomic import read_mapping, write_json, write_text
from taglm_core.data.digests import GONE, path_digest
from taglm_core.data.links import check_links
from taglm_core.errors import CheckpointError, indented
from taglm_core.store.environment import ENVIRONMENT
from taglm_core.store.fingerprint import filled
from taglm_core.store.folderlock import LOCK, FolderLock

_INPUTS = "inputs.json"
REFIT = "refit"
"""Folder of the training of the predictor that a run keeps, with --refit."""
RUNS = Path("runs")
"""Folder of the run folders that have no other place."""
PREDICTOR = "predictor"
"""Folder of the predictor of a run or of a task."""
MEMBERS = "members"
"""Folder of the runs that a run over several folds or seeds is made up of."""


class RunFolder:
    """A folder that belongs to one resolved configuration.

    The same configuration continues or returns what is there; another one is refused.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FolderLock(path)
        self._made: list[Path] = []

    def open(
        self,
        config: Mapping[str, Any],
        kind: type | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        """Create the folder, or check that it belongs to this configuration.

        Args:
            config: Settings as plain data.
            kind: Their class: a setting that the run in the folder did not know yet has there its
                default. None: every key counts.
            inputs: Name -> hash of what the settings name, such as files and the backbone.

        Raises:
            CheckpointError: when it belongs to another one, what it read has changed, it is no run
                folder, or it is in use.
        """
        check_links(self.path)
        file = self.path / "run.yaml"
        if file.is_file():
            if differences := self.other_settings(config, kind):
                raise CheckpointError(
                    f"{self.path} holds a run with other settings:\n{indented(differences)}\n"
                    "Give another folder with --out, or the settings of that run to continue it."
                )
            if changes := self.changed_inputs(inputs or {}):
                raise CheckpointError(
                    f"{self.path} holds a run on other data or weights:\n{indented(changes)}\n"
                    "Its results do not apply to the present ones. Give another folder with --out, "
                    f"or delete {self.path} to run again; `taglm evaluate {self.path}` shows its "
                    "results."
                )
        else:
            self.check_place()
        self._made = _missing(self.path)
        self._lock.acquire()
        if not file.is_file():
            text = yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False)
            write_text(file, text)
        self.add_inputs(inputs or {})

    def other_settings(self, config: Mapping[str, Any], kind: type | None = None) -> list[str]:
        """Return in what the run in the folder differs from a configuration; [] without a run.

        Args:
            config: As for `open`.
            kind: As for `open`.
        """
        file = self.path / "run.yaml"
        if not file.is_file():
            return []
        stored = filled(read_mapping(file), kind)
        return list(_differences(stored, json.loads(json.dumps(config)), ""))

    def check_place(self) -> None:
        """Demand that the path is free, an empty folder, or one that holds a run.

        Raises:
            CheckpointError: when something else is there.
        """
        if (self.path / "run.yaml").is_file():
            return
        if self.path.is_dir() and any(p.name != LOCK for p in self.path.iterdir()):
            raise CheckpointError(
                f"{self.path} is not empty and holds no run. Give another folder with --out."
            )
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(
                f"{self.path} is a file; a run needs a folder. Give another path with --out."
            )

    @property
    def inputs(self) -> dict[str, str]:
        """Name -> hash of everything that the run has read, empty when nothing is known."""
        file = self.path / _INPUTS
        return read_mapping(file) if file.is_file() else {}

    def add_inputs(self, inputs: Mapping[str, str]) -> None:
        """Remember what the run reads; what is remembered already stays."""
        known = {name: digest for name, digest in self.inputs.items() if digest}
        if not set(inputs) <= set(known):
            self.write_json(_INPUTS, {**inputs, **known})

    def changed_inputs(self, now: Mapping[str, str]) -> list[str]:
        """Return which files, or the backbone, are not those that the run was trained on.

        Args:
            now: As `inputs` for `open`.
        """
        changed = []
        for name, digest in self.inputs.items():
            digest_now = now.get(name, "") if name in now else path_digest(name)
            if digest and digest_now and digest_now != digest:
                state = "is gone" if digest_now == GONE else "has changed"
                changed.append(f"{name} {state} since")
        return changed

    def close(self, discard: bool = False) -> None:
        """Let other processes use the folder.

        Args:
            discard: Remove the folder if it holds nothing that was trained, after a run that
                failed; the folders that were made for it too.
        """
        self._lock.release()
        if discard and _is_untrained(self.path):
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in self._made:
                with contextlib.suppress(OSError):  # another run has come into it
                    folder.rmdir()

    @property
    def config(self) -> dict[str, Any]:
        """The resolved settings.

        Raises:
            CheckpointError: when the folder holds no run.
        """
        try:
            return read_mapping(self.path / "run.yaml")
        except OSError as error:
            raise CheckpointError(
                f"{self.path} holds no run (run.yaml is missing). Give a run folder, such as "
                "runs/QED."
            ) from error

    @property
    def metrics(self) -> dict[str, Any] | None:
        """Contents of metrics.json, None while the run has not finished."""
        file = self.path / "metrics.json"
        return read_mapping(file) if file.is_file() else None

    def of_task(self, name: str) -> "RunFolder":
        """Return the folder of one of several tasks, inside this one."""
        path = self.path / "tasks" / name
        path.mkdir(parents=True, exist_ok=True)
        return RunFolder(path)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file of the run, whole."""
        write_json(self.path / name, content)

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


_BEFORE_TRAINING = {
    "run.yaml",
    LOCK,
    _INPUTS,
    ENVIRONMENT,
    "data_check.json",
    "split.csv",
    "rejected.csv",
    "fixed.csv",
}
"""Files that a run writes before anything is trained, or again from the rows alone."""


def _is_untrained(path: Path) -> bool:
    """Say whether a run folder holds nothing but what its settings and its rows give."""
    for entry in path.iterdir():
        if entry.name == "tasks" and entry.is_dir():
            if not all(_is_untrained(inner) for inner in entry.iterdir()):
                return False
        elif entry.name == "data" and entry.is_dir():
            continue  # rows that were given in memory
        elif entry.name not in _BEFORE_TRAINING:
            return False
    return True


def _missing(path: Path) -> list[Path]:
    """Return the folders that are not there yet, a path's own first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _differences(stored: Any, current: Any, path: str) -> Any:
    if isinstance(stored, dict) and isinstance(current, dict):
        for key in sorted({*stored, *current}):
            yield from _differences(stored.get(key), current.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(stored, list) and isinstance(current, list) and len(stored) == len(current):
        for i, pair in enumerate(zip(stored, current, strict=True)):
            yield from _differences(*pair, f"{path}.{i}")
    elif stored != current:
        yield f"{path}: {stored!r} there, {current!r} now"
