"""What run events carry to plugins: plain values, nothing of the core's inside."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from taglm_core.specs.target import Target

if TYPE_CHECKING:
    import numpy as np


@attrs.frozen(kw_only=True)
class StageStarted:
    """A stage is about to train; sent once for each stage that is not skipped."""

    stage: str
    """Name of the stage, such as "domain SMILES" or "task QED"."""
    trained: Mapping[str, int]
    """Trained tag, head or table -> number of parameters."""
    folder: Path
    """The run folder."""


@attrs.frozen(kw_only=True)
class RowsLoaded:
    """The rows of a task have been read, checked and split; nothing is trained yet."""

    task: str
    """Name of the task."""
    target: Target
    """Its target; for classes with the class names filled in."""
    source: str
    """File or dataset."""
    numbers: Sequence[int]
    """Row number of each row in its file."""
    parts: Sequence[str]
    """train, valid or test for each row."""
    fields: Mapping[str, Sequence[str]]
    """Domain field -> canonical rows."""
    texts: Mapping[str, Sequence[str]]
    """Field in the LM's own words, or column that names a tag -> rows."""
    truth: Any
    """float `(rows, targets)`, int `(rows,)` or `(rows, labels)`, or texts."""
    features: Mapping[str, Callable[[Sequence[str]], "np.ndarray"]]
    """Domain field -> feature function, for the domains that have one."""
    seed: int
    """Seed of the run."""
    symmetric: tuple[tuple[str, ...], ...] = ()
    """Pairs of fields that change places without changing the answer."""


@attrs.frozen(kw_only=True)
class Part:
    """The rows of one part (train, valid or test) of an evaluated task."""

    fields: Mapping[str, Sequence[str]]
    """Domain field -> canonical rows."""
    truth: "np.ndarray"
    """float `(rows, targets)` in the user's units, or int `(rows,)` class indices
    (`(rows, labels)` when multi-label)."""
    prediction: "np.ndarray | None"
    """Same shape for regression; float `(rows, classes)` probabilities for classes. None for the
    train part, whose rows are not all predicted."""
    texts: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """Field in the LM's own words, such as a cell line -> rows."""


@attrs.frozen(kw_only=True)
class Evaluated:
    """A task has been evaluated; a plugin may return further results for metrics.json."""

    task: str
    """Name of the task."""
    target: Target
    """Its target; for classes with the class names filled in."""
    parts: Mapping[str, Part]
    """train, valid and test, those that have rows."""
    features: Mapping[str, Callable[[Sequence[str]], "np.ndarray"]]
    """Domain field -> feature function, for the domains that have one."""
    score: Callable[["np.ndarray", "np.ndarray"], dict[str, float]]
    """The task's metrics for (truth, prediction) of the shapes in `Part`."""
    seed: int
    """Seed of the run."""
    folder: Path
    """The run folder."""
    symmetric: tuple[tuple[str, ...], ...] = ()
    """Pairs of fields that change places without changing the answer."""


@attrs.frozen(kw_only=True)
class RunFinished:
    """A run has ended and everything is written."""

    folder: Path
    """The run folder."""
    metrics: Mapping[str, Any]
    """Contents of metrics.json."""
