"""The rows of a run as its rivals get them: kept in a file while the run is evaluated."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core import Classification, Evaluated, Regression
from taglm_core.errors import DataError
from taglm_core.plugin import to_json, write_json

ROWS = "rows.json"
"""File of a member that holds its rows."""

_capture: list[Path] = []


@contextmanager
def kept_rows(file: Path) -> Iterator[None]:
    """Write the rows of the task that is evaluated inside the block into a file."""
    _capture.append(file)
    try:
        yield
    finally:
        _capture.pop()


def keep(event: Evaluated) -> None:
    """Write the rows of an evaluation where a study waits for them."""
    if not _capture:
        return
    splits = {
        name: {
            "fields": {k: list(v) for k, v in split.fields.items()},
            "texts": {k: list(v) for k, v in split.texts.items()},
            "truth": np.asarray(split.truth, dtype=float).tolist(),
        }
        for name, split in event.splits.items()
    }
    target = event.target
    assert isinstance(target, Regression | Classification), "the event is not sent for texts"
    kept = {
        "task": event.task,
        "kind": target.kind,
        "names": list(target.names),
        "classes": list(getattr(target, "classes", None) or ()),
        "multi_label": bool(getattr(target, "multi_label", False)),
        "symmetric": [list(pair) for pair in event.symmetric],
        "splits": splits,
    }
    write_json(_capture[-1], to_json(kept))


@attrs.frozen(kw_only=True)
class Rows:
    """The rows of a task by split, canonical and in the order of the prediction files."""

    task: str
    kind: str
    names: list[str]
    classes: list[str]
    multi_label: bool
    symmetric: list[list[str]]
    splits: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, file: Path) -> "Rows":
        """Read a file that `keep` wrote.

        Raises:
            DataError: when there is none, since the run that should have written it failed.
        """
        if not file.is_file():
            raise DataError(
                f"{file.parent}: the run failed, and others need its rows. Do what its message "
                "says, then run the same command again."
            )
        return cls(**json.loads(file.read_text(encoding="utf-8")))

    @property
    def has_classes(self) -> bool:
        """Whether each row has one class."""
        return self.kind == "classification" and not self.multi_label

    @property
    def num_outputs(self) -> int:
        """Numbers that a head gives for a row."""
        return len(self.classes) if self.has_classes else len(self.names)

    def fields(self, split: str) -> dict[str, list[Any]]:
        """Return every field of a split; records of several columns are tuples again."""
        held = self.splits[split]
        both = {**held["fields"], **held["texts"]}
        return {
            name: [tuple(v) if isinstance(v, list) else v for v in values]
            for name, values in both.items()
        }

    def orders(self, split: str) -> list[dict[str, list[Any]]]:
        """Return the fields as they are and, for a symmetric task, in the other order."""
        first = self.fields(split)
        if not self.symmetric:
            return [first]
        partner = {a: b for x, y in self.symmetric for a, b in ((x, y), (y, x))}
        return [first, {name: first[partner.get(name, name)] for name in first}]

    def truth(self, split: str) -> np.ndarray:
        """Return class indices int64 `(rows,)`, or float64 `(rows, targets)`, NaN where missing."""
        values = self.splits[split]["truth"]
        if self.has_classes:
            return np.array(values, dtype=float).astype(np.int64)
        found = np.array(
            [[np.nan if v is None else v for v in row] for row in values], dtype=np.float64
        )
        if self.multi_label:
            found[found < 0] = np.nan
        return found.reshape(len(values), len(self.names))


def as_text(value: Any) -> str:
    """Return a value of a field as text, a record with its parts one after the other."""
    return value if isinstance(value, str) else " ".join(map(str, value))
