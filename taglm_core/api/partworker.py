"""What a worker of an engine holds: a predictor that predicts parts of a table."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.api.loading import load
from taglm_core.data.table import Table
from taglm_core.errors import TaglmError
from taglm_core.inference.files import PartOptions, PredictedPart, predict_part
from taglm_core.inference.sharedspans import (
    SpanBundle,
    SpanFacts,
    compute_spans,
    read_facts,
    take_spans,
)


@attrs.frozen(kw_only=True)
class PackedRun:
    """A predictor with what its run says of it, to be unpacked on another machine."""

    folder: str
    """As the user named it."""
    files: dict[str, bytes]
    """Path below the folder of the run -> content."""
    artifact: str
    """Path of the predictor among them."""


class PartWorker:
    """A predictor in a process of an engine; see `taglm.load` for the options."""

    def __init__(
        self, run: PackedRun, options: Mapping[str, Any], how: PartOptions, sharing: int
    ) -> None:
        """Unpack and load the predictor.

        Args:
            run: The predictor.
            options: Arguments of `taglm.load`.
            how: How parts are predicted.
            sharing: Workers of this machine, which share its memory.
        """
        self._how = how
        self._named = run.folder
        self._folder = tempfile.TemporaryDirectory(prefix="taglm-")
        for name, content in run.files.items():
            path = Path(self._folder.name) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            self._predictor = load(Path(self._folder.name) / run.artifact, **options)
        except TaglmError as error:
            raise self._as_named(error) from error
        cache = self._predictor.task_model.prefix_cache
        if cache is not None:
            cache.share(sharing)

    def _as_named(self, error: TaglmError) -> TaglmError:
        """Return an error that names the folder as the user did."""
        return error.renamed(self._folder.name, self._named)

    def limits(self) -> dict[str, float]:
        """Return column of similarities -> value below which a row is unlike training rows."""
        return self._predictor.similarity_limits

    def facts(self, sample: Table) -> SpanFacts:
        """Say what spans cost here."""
        return read_facts(self._predictor, sample, self._how.columns, self._how.fix)

    def spans(self, table: Table, fields: Sequence[str]) -> SpanBundle:
        """Compute the spans of some fields of some rows, to be kept."""
        return compute_spans(self._predictor, table, fields, self._how.columns, self._how.fix)

    def predict(self, table: Table, *bundles: SpanBundle) -> PredictedPart:
        """Predict some rows."""
        take_spans(self._predictor, bundles)
        return predict_part(self._predictor, table, self._how)

    def blob(self, size: int) -> np.ndarray:
        """Return so many bytes, to be kept."""
        return np.ones(size, dtype=np.uint8)

    def touch(self, blob: np.ndarray | None = None) -> int:
        """Read bytes that were kept; None: nothing."""
        return 0 if blob is None else len(blob.tobytes())
