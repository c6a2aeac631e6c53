"""A predictor: an artifact put back onto its backbone, as a notebook calls it.

Data and predictions come and go in the forms that people have; `rowpredictor` does the work.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.data.columns import FIXED, check_on_error
from taglm_core.data.memory import OUTPUTS, as_output, as_table, check_output, is_path
from taglm_core.data.rowerrors import check_errors
from taglm_core.errors import ConfigError
from taglm_core.inference.columns import needed_columns
from taglm_core.inference.files import predict_file
from taglm_core.inference.insight import Insight
from taglm_core.inference.predicted import (
    Predicted,
    Unlike,
    array_of,
    fixed_cells,
    warn_invalid,
)
from taglm_core.inference.report import html_report, html_results
from taglm_core.inference.rowpredictor import RowPredictor
from taglm_core.model.tag_forms import INPUT
from taglm_core.progress import Progress, chosen_progress, progress_bar, reporting
from taglm_core.specs import Classification
from taglm_core.store.artifact import Artifact, save_artifact


@attrs.frozen
class _Made:
    """What predicting in memory gave."""

    predicted: Predicted
    similar: dict[str, list[Any]]
    """Columns of the similarity of rows to the training rows."""
    numbers: Sequence[int]
    """Number of each row."""


@attrs.define(repr=False)
class Predictor(RowPredictor):
    """Predicts one task.

    `taglm.load` and `taglm.run` give it. Data may be a pandas DataFrame, a dict of columns, a
    `datasets.Dataset`, the path of a table, or, when the task has one field, a list of texts. An
    invalid row never stops a prediction unless that is asked for: it is reported and left empty.
    """

    combinations: frozenset[tuple[str, ...]] = frozenset()
    """Tags that columns named together in training rows, in the order of `prompt.tag_columns`."""
    artifact: Artifact | None = None
    """What it was loaded from."""
    known_code: frozenset[str] = frozenset()
    """References with which installed plugins compute targets; nothing else is imported."""

    @property
    def tags(self) -> dict[str, dict[str, Any]]:
        """Tag -> its kind ("domain" or "function"), form, length in tokens and fingerprint."""
        records = self.artifact.config.tags if self.artifact is not None else {}
        return {
            name: {
                "kind": records[name].kind if name in records else "domain",
                "form": records[name].form if name in records else INPUT,
                "length": len(rows),
                "fingerprint": records[name].fingerprint if name in records else None,
            }
            for name, rows in self.task_model.model.tags.items()
        }

    @property
    def insight(self) -> Insight:
        """What the function tag attends to, and where the tags lie among the embeddings."""
        return Insight(self)

    def __repr__(self) -> str:
        backbone = self.task_model.model.backbone.name
        return f"Predictor({self.task.name!r}, backbone={backbone!r}, predicts={self.names})"

    def _repr_html_(self) -> str:
        facts = {
            "predicts": ", ".join(self.names),
            "prompt": self.task.template,
            "tags": ", ".join(f"<{name}> ({tag['length']})" for name, tag in self.tags.items()),
            "backbone": self.task_model.model.backbone.name,
            "folder": self.artifact and self.artifact.folder,
        }
        results = html_results({self.task.name: self.metrics}) if self.metrics else []
        return html_report(f"Predictor of {self.task.name}", facts, results)

    def predict(
        self,
        data: Any,
        output: str | PathLike[str] = "pandas",
        *,
        columns: Mapping[str, str] | None = None,
        fix: bool = False,
        on_error: str = "skip",
        overwrite: bool = False,
        chunk_rows: int = 20_000,
        similarity: bool = True,
        interval: float | None = None,
        sheet: str | None = None,
        progress: Progress | bool | None = None,
    ) -> Any:
        """Predict rows.

        Args:
            data: A DataFrame, a dict of columns, a `datasets.Dataset`, the path of a table, or a
                list of texts for a task with one field.
            output: "pandas": a DataFrame with the index of `data`, the prediction columns,
                `training_similarity` and `unlike_training` where the domain has fingerprints, and
                a column `error` (missing where the row is good); "dict" and "arrow": the same
                columns; "numpy": an array, see Returns; or the path of a table to write, which
                holds the columns of `data` too.
            columns: Field -> column that holds it; None: by name and by what the run read.
            fix: True: rows are first standardized by the rules of their domains; a column `fixed`
                says what was changed in a row.
            on_error: How to handle invalid rows: "skip" keeps them with an error message, "raise"
                stops at the first.
            overwrite: True: a table that is written may replace columns of `data`.
            chunk_rows: Rows in memory at a time, from path to path.
            sheet: Name or number of a sheet, where `data` is an Excel workbook; None: the first.
            similarity: False: rows are not compared with the training rows, which saves time.
            interval: Share of new values that a prediction interval is to contain, such as 0.9: of
                numbers, the columns `NAME_low` and `NAME_high` are added; None: they are not.
            progress: True or False: with or without a bar; None: a bar in notebooks and terminals;
                or an object that receives progress.

        Returns:
            In memory, predictions in the order of the rows. "numpy": float64 `(rows,)`, or
            `(rows, targets)` of several targets, NaN where a row is invalid; multi-label:
            probabilities `(rows, labels)`; labels and texts: object `(rows,)`, None where a row is
            invalid. For a path: a `Written`, which says how many rows were written and failed.

        Raises:
            DataError: when a column is missing, or a row is invalid and `on_error` is "raise".
            ConfigError: when the predictor has no interval at that level, or the output is "numpy".

        Example:
            frame.join(predictor.predict(frame))
        """
        check_on_error(on_error)
        if interval is not None:
            self.check_interval(interval)
        bar = chosen_progress(progress)
        if output not in OUTPUTS and (is_path(output) and Path(output).suffix):
            return predict_file(
                self,
                data,
                Path(output),
                columns or {},
                fix=fix,
                on_error=on_error,
                overwrite=overwrite,
                chunk_rows=chunk_rows,
                similarity=similarity,
                interval=interval,
                sheet=sheet,
                progress=bar,
            )
        check_output(output)
        if interval is not None and output == "numpy":
            raise ConfigError(
                "output='numpy' cannot hold intervals. Use output='dict' or output='pandas'."
            )
        compares = similarity and output != "numpy"  # an array has no place for it
        made, index = self._predict_memory(data, columns, fix, on_error, bar, compares, sheet)
        predicted, similar = made.predicted, made.similar
        Unlike(self.similarity_limits).add(similar, made.numbers).warn()
        if output == "numpy":
            warn_invalid(predicted.errors)
            return array_of(predicted, self.task.target)
        own = {**predicted.columns, **self.interval(predicted, interval), **similar}
        if fix:
            changes = fixed_cells(made.numbers, predicted.fixed)
            own[FIXED] = [change or None for change in changes]
        columns_out = {**own, "error": predicted.errors}
        return as_output(columns_out, str(output), index)

    def predict_proba(
        self,
        data: Any,
        output: str = "pandas",
        *,
        columns: Mapping[str, str] | None = None,
        fix: bool = False,
        on_error: str = "skip",
        progress: Progress | bool | None = None,
    ) -> Any:
        """Return the probability of every class, or of every label when there are several.

        Args:
            data: As for `predict`.
            output: "pandas": a DataFrame with the index of `data` and a column for each class;
                "dict" and "arrow": the same columns; "numpy": float64 `(rows, classes)`. Invalid
                rows are NaN (None in dict and arrow), and a warning counts them.
            columns: As for `predict`.
            fix: As for `predict`.
            on_error: As for `predict`.
            progress: As for `predict`.

        Raises:
            ConfigError: when the task has no classes.
        """
        target = self.task.target
        if not isinstance(target, Classification):
            raise ConfigError(
                f"task {self.task.name} predicts {target.kind}, not classes, so it has no "
                "probabilities. Use predict."
            )
        check_on_error(on_error)
        check_output(output)
        bar = chosen_progress(progress)
        made, index = self._predict_memory(data, columns, fix, on_error, bar)
        predicted = made.predicted
        warn_invalid(predicted.errors)
        names = list(target.names if target.multi_label else self.task_model.classes)
        values = np.full((len(predicted.errors), len(names)), np.nan)
        if predicted.good:
            values[predicted.good] = predicted.values
        if output == "numpy":
            return values
        if output == "pandas":
            found_columns: dict[str, Any] = {n: values[:, k] for k, n in enumerate(names)}
            return as_output(found_columns, output, index)
        cells = {
            n: [None if v != v else v for v in values[:, k].tolist()] for k, n in enumerate(names)
        }
        return as_output(cells, output, index)

    def embed(
        self,
        data: Any,
        *,
        columns: Mapping[str, str] | None = None,
        fix: bool = False,
        on_error: str = "skip",
        progress: Progress | bool | None = None,
    ) -> np.ndarray:
        """Return the states that the head reads: a learned representation of every row.

        Args:
            data: As for `predict`.
            columns: As for `predict`.
            fix: As for `predict`.
            on_error: As for `predict`.
            progress: As for `predict`.

        Returns:
            float32 `(rows, width)`, width = hidden size of the backbone, times `tag_length` with
            `stages.task.pooling` = "all". Of a symmetric task the mean over both orders. Invalid
            rows are NaN, and a warning counts them.

        Raises:
            ConfigError: when the task writes text, so that no head reads a state.
        """
        if self.task_model.head is None:
            raise ConfigError(
                f"task {self.task.name} writes text and has no head, so its rows have no embedding."
            )
        check_on_error(on_error)
        bar = chosen_progress(progress)
        read = as_table(data, needed_columns(self.task_model.task), f"task {self.task.name}")
        if not read.table.num_rows:
            return np.zeros((0, self.task_model.width), dtype=np.float32)
        with reporting(bar), progress_bar("embedding", read.table.num_rows) as advance:
            rows = self.read(read.table, columns or {}, fix)
            states, errors = self.task_model.embed_fields(
                rows.fields, self.max_tokens, advance, rows.errors
            )
        check_errors(read.table, errors, on_error, needs_rows=False)
        warn_invalid(errors)
        return states

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write the predictor to a folder, which `taglm.load` and `taglm predict` read.

        Args:
            folder: Where; it must not exist, or hold a predictor.

        Returns:
            The folder.
        """
        assert self.artifact is not None, "made by load_predictor"
        readme = f"# {self.task.name}\n\nA taglm predictor.\n"
        own_readme = self.artifact.folder and self.artifact.folder / "README.md"
        if own_readme and own_readme.is_file():
            readme = own_readme.read_text(encoding="utf-8")
        save_artifact(Path(folder), self.artifact, readme)
        return Path(folder)

    def _predict_memory(
        self,
        data: Any,
        columns: Mapping[str, str] | None,
        fix: bool,
        on_error: str,
        progress: Progress,
        similarity: bool = False,
        sheet: str | None = None,
    ) -> tuple["_Made", Any]:
        """Predict data in any form; also return the index of a pandas object."""
        needed = needed_columns(self.task_model.task)
        read = as_table(data, needed, f"task {self.task.name}", sheet)
        with reporting(progress), progress_bar("predicting", read.table.num_rows) as advance:
            rows = self.read(read.table, columns or {}, fix)
            predicted = self.predict_rows(rows, advance)
        check_errors(read.table, predicted.errors, on_error, needs_rows=False)
        similar = self.similar(rows, predicted.errors) if similarity else {}
        return _Made(predicted, similar, read.table.rows), read.index
