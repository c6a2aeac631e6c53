"""What the files of a run folder say, in the form that its report needs."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.errors import CheckpointError, ConfigError, no_results
from taglm_core.plugin import read_mapping

DETAILS = "details.json"
"""File of a run folder, or of a task inside it."""

_LONGEST_CELL = 1 << 30

Columns = Mapping[str, list[Any]]


def task_folder(folder: Path, name: str) -> Path:
    """Return where the files of a task are: the run folder, or one inside of several tasks."""
    inside = folder / "tasks" / name
    return inside if inside.is_dir() else folder


def read_details(folder: Path) -> dict[str, Any]:
    """Return the contents of details.json, empty where there is none."""
    return read_json(folder / DETAILS)


def read_json(file: Path) -> dict[str, Any]:
    """Return the contents of a JSON file, empty where it is missing."""
    return read_mapping(file) if file.is_file() else {}


@attrs.frozen(kw_only=True, eq=False)
class TaskFacts:
    """A task of a run: what metrics.json says of it and what was predicted for its test rows."""

    name: str
    record: Mapping[str, Any]
    """What metrics.json says of the task."""
    predictions: Columns
    """Columns of predictions/test.csv; empty without test rows."""
    baselines: Columns
    """Columns of predictions/test.baselines.csv."""
    details: Mapping[str, Any]
    data_check: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, name: str, record: Mapping[str, Any]) -> "TaskFacts":
        """Read a task of a run folder.

        Raises:
            CheckpointError: when a file is damaged, or predictions are missing.
        """
        own = task_folder(folder, name)
        file = own / "predictions" / "test.csv"
        predictions = _columns(file)
        scored, rows = record["splits"].get("test", {}).get("rows", 0), predictions.get("row", ())
        if len(rows) < scored:
            raise CheckpointError(
                f"{file} holds {len(rows):,} rows, but the run scored {scored:,}. Copy {folder} "
                "again from where it was written, or run it again."
            )
        return cls(
            name=name,
            record=record,
            predictions=predictions,
            baselines=_columns(own / "predictions" / "test.baselines.csv"),
            details=read_details(own),
            data_check=read_json(own / "data_check.json"),
        )

    @classmethod
    def only(cls, folder: Path) -> "TaskFacts":
        """Read the first task of a finished run or member."""
        tasks = read_json(folder / "metrics.json")["tasks"]
        name = next(iter(tasks))
        return cls.read(folder, name, tasks[name])

    @property
    def kind(self) -> str:
        """Kind of target: regression, classification or text."""
        return str(self.record["target"]["kind"])

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return [str(name) for name in self.record["target"].get("classes", ())]

    @property
    def is_multi_label(self) -> bool:
        """Whether each row has several labels."""
        return self.kind == "classification" and f"{self.first_target}.{self._word}" in set(
            self.predictions
        )

    @property
    def targets(self) -> list[str]:
        """Names of the targets."""
        return [str(name) for name in self.record["target"].get("names", ())]

    @property
    def first_target(self) -> str:
        """Name of the first target, "" of a text."""
        return self.targets[0] if self.targets else ""

    @property
    def unit(self) -> str:
        """Unit of a regression, "" where there is none."""
        unit = self.record["target"].get("unit") or ""
        return "" if unit == "1" else str(unit)

    @property
    def num_rows(self) -> int:
        """Number of test rows."""
        return len(self.predictions.get("row", ()))

    @property
    def _word(self) -> str:
        return str(self.record["target"].get("labels", "measured"))

    def truth(self) -> np.ndarray | list[str]:
        """Return the truth of the test rows.

        Returns:
            Numbers and labels float64 `(rows, targets)`, NaN where one is missing or a limit such
            as <5; classes int64 `(rows,)`; texts a list.
        """
        if self.kind == "text":
            return [_text(cell) for cell in self.predictions.get(self._word, ())]
        if self.kind == "classification" and not self.is_multi_label:
            index = {name: k for k, name in enumerate(self.classes)}
            words = self.predictions.get(self._word, ())
            return np.array([index.get(str(word), -1) for word in words], dtype=np.int64)
        columns = []
        for name in self.targets:
            values = _numbers(self.predictions[f"{name}.{self._word}"])
            limits = self.predictions.get(f"{name}.censored", [])
            columns.append(
                np.where([bool(side) for side in limits], np.nan, values) if limits else values
            )
        return np.stack(columns, axis=1)

    def predicted(self, baseline: str | None = None) -> np.ndarray | list[str] | None:
        """Return what taglm or a baseline predicts for the test rows.

        Returns:
            Numbers float64 `(rows, targets)`, probabilities `(rows, classes)` or `(rows, labels)`,
            texts; None where the files do not hold it.
        """
        table = self.predictions if baseline is None else self.baselines
        name = self.name if baseline is None else baseline
        if self.kind == "text":
            return None if baseline else [_text(cell) for cell in table.get(name, ())]
        keys = self.value_columns(name)
        if not set(keys) <= set(table):
            return None
        return np.stack([_numbers(table[key]) for key in keys], axis=1)

    def value_columns(self, name: str) -> list[str]:
        """Return the columns in which the numbers or probabilities of a predictor stand."""
        if self.is_multi_label or (self.kind == "regression" and len(self.targets) > 1):
            return [f"{name}.{target}" for target in self.targets]
        if self.kind == "classification":
            return [f"{name}.{label}" for label in self.classes]
        return [name]

    def has_rows_of(self, other: "TaskFacts") -> bool:
        """Say whether the test rows are those of another run, so that differences are paired."""
        if self.predictions.get("row") != other.predictions.get("row") or self.kind != other.kind:
            return False
        own, its = self.truth(), other.truth()
        if isinstance(own, list) or isinstance(its, list):
            return own == its
        return bool(np.array_equal(own, its, equal_nan=True))

    def baseline_names(self) -> list[str]:
        """Return the baselines that have test metrics."""
        return list(self.record["splits"].get("test", {}).get("baselines", {}))


@attrs.frozen(kw_only=True, eq=False)
class RunFacts:
    """A finished run."""

    folder: Path
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    inputs: Mapping[str, str]
    tasks: Mapping[str, TaskFacts]

    @classmethod
    def read(cls, folder: Path) -> "RunFacts":
        """Read a run folder.

        Raises:
            ConfigError: when it is no run folder, or the run has not finished.
        """
        if not (folder / "run.yaml").is_file():
            raise ConfigError(f"{folder} is not a run folder: {_what_else(folder)}")
        metrics = read_json(folder / "metrics.json")
        if "tasks" not in metrics:
            raise ConfigError(no_results(folder))
        return cls(
            folder=folder,
            metrics=metrics,
            settings=read_mapping(folder / "run.yaml"),
            environment=read_json(folder / "environment.json"),
            inputs=read_json(folder / "inputs.json"),
            tasks={
                name: TaskFacts.read(folder, name, record)
                for name, record in metrics["tasks"].items()
            },
        )


def _columns(file: Path) -> Columns:
    """Read a file that a run wrote; it may hold no row, and every cell stays text."""
    if not file.is_file():
        return {}
    csv.field_size_limit(_LONGEST_CELL)
    with file.open(encoding="utf-8", newline="") as opened:
        names, *rows = list(csv.reader(opened)) or [[]]
    if any(len(row) != len(names) for row in rows):
        raise CheckpointError(
            f"{file} is damaged: a row has not as many cells as the header. Copy the run again "
            "from where it was written, or run it again."
        )
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def _what_else(folder: Path) -> str:
    """Say what a path is that holds no run."""
    page = folder / "report.html"
    if not folder.exists():
        return "there is nothing there."
    if not folder.is_dir():
        return "it is a file. Name the folder that `taglm run` wrote, such as runs/QED."
    if (folder / "study.yaml").is_file():
        shown = f" Its page is {page}." if page.is_file() else ""
        return f"it holds a study, whose command writes its page.{shown}"
    inside = (folder / "run", folder.parent)
    for run in inside:
        if (run / "run.yaml").is_file():
            return f"run.yaml is missing. Did you mean '{run}'?"
    return "run.yaml is missing. Name the folder that `taglm run` wrote, such as runs/QED."


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _numbers(cells: list[Any]) -> np.ndarray:
    """Return cells as float64, NaN where one is empty."""
    return np.array([np.nan if cell in (None, "") else float(cell) for cell in cells])
