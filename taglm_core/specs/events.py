"""What run events carry to plugins: plain values, nothing of the core's inside."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from taglm_core.specs.baselines import SplitData
from taglm_core.specs.target import Target

if TYPE_CHECKING:
    import numpy as np


@attrs.frozen(kw_only=True)
class StageStarted:
    """A stage is about to train; sent once for each stage that is not skipped."""

    stage: str
    """Name of the stage, such as "stage 1 <chem/SMILES>" or "stage 2 <chem/QED> for QED"."""
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
    splits: Sequence[str]
    """train, valid or test for each row."""
    fields: Mapping[str, Sequence[str]]
    """Domain field -> canonical rows."""
    texts: Mapping[str, Sequence[str]]
    """Field in the LM's own words, or column that names a tag -> rows."""
    truth: Any
    """float `(rows, targets)`, int `(rows,)` or `(rows, labels)`, or texts. Of several targets a
    row may lack some: NaN, or -1 for a label."""
    features: Mapping[str, Callable[[Sequence[str]], "np.ndarray"]]
    """Domain field -> feature function, for the domains that have one."""
    seed: int
    """Seed of the run."""
    symmetric: tuple[tuple[str, ...], ...] = ()
    """Pairs of fields that change places without changing the answer."""


@attrs.frozen(kw_only=True)
class Evaluated:
    """A task with numbers or classes has been evaluated, and its baselines beside it."""

    task: str
    """Name of the task."""
    target: Target
    """Its target; for classes with the class names filled in."""
    splits: Mapping[str, SplitData]
    """train, valid and test, those that have rows."""
    baselines: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Split -> baseline -> metric -> value, as far as baselines were fitted."""
    features: Mapping[str, Callable[[Sequence[str]], "np.ndarray"]]
    """Domain field -> feature function, for the domains that have one."""
    score: Callable[["np.ndarray", "np.ndarray"], dict[str, float]]
    """The task's metrics for (truth, prediction) of the shapes in `SplitData`, each target on the
    rows that have it."""
    seed: int
    """Seed of the run."""
    folder: Path
    """The run folder."""
    symmetric: tuple[tuple[str, ...], ...] = ()
    """Pairs of fields that change places without changing the answer."""
    fingerprints: Mapping[str, Callable[[Sequence[str]], "np.ndarray"]] = attrs.field(factory=dict)
    """Domain field -> fingerprint function, for the domains that have one."""
    numbers: Mapping[str, Sequence[int]] = attrs.field(factory=dict)
    """Split -> row number of each of its rows in the source."""
    groups: Mapping[str, Callable[[Sequence[str]], Sequence[str]]] = attrs.field(factory=dict)
    """Domain field -> `(rows) -> keys`, what a leak-free split keeps together, such as a scaffold,
    for the domains that have such a rule."""


@attrs.frozen(kw_only=True)
class RunFinished:
    """A run has ended and everything is written."""

    folder: Path
    """The run folder."""
    metrics: Mapping[str, Any]
    """Contents of metrics.json."""
    predictors: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """Task -> its `taglm.Predictor` as it is in memory; empty where the run holds none, as a run
    of several folds or seeds, which is told of each of them before."""
