"""Predicting into a file, chunk by chunk: every input row kept in order, whole or not at all."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.columns import FIXED
from taglm_core.data.formats import writable_format
from taglm_core.data.memory import as_table, is_path
from taglm_core.data.readers import iter_tables
from taglm_core.data.rowerrors import check_errors
from taglm_core.data.table import Table
from taglm_core.data.writers import TableWriter
from taglm_core.errors import DataError, counted
from taglm_core.inference.columns import needed_columns
from taglm_core.inference.intervals import interval_names
from taglm_core.inference.predicted import Unlike, fixed_cells, unlike_rows
from taglm_core.inference.rowpredictor import RowPredictor
from taglm_core.inference.truth import (
    beside_truth,
    found_truth,
    significant,
    splits_of,
    truth_aside,
)
from taglm_core.progress import Progress, progress_bar, reporting

_SKIP = "write them with an error message: --on-error skip (on_error='skip')"


@attrs.frozen
class Written:
    """What predicting into a file gave."""

    path: Path
    rows: int
    """Rows written."""
    failed: int = 0
    """Rows that could not be predicted; column `error` says why."""
    first_error: str = ""
    """Row number and reason of the first of them."""

    @property
    def is_useless(self) -> bool:
        """Whether no row could be predicted."""
        return 0 < self.rows == self.failed

    def __str__(self) -> str:
        text = f"{counted(self.rows, 'row')} written to {self.path}"
        if self.failed:
            text += (
                f"; {self.failed:,} could not be predicted (column 'error'), the first is "
                f"{self.first_error}"
            )
        return text


def check_target_format(path: Path) -> None:
    """Demand a file format that can hold predictions.

    Raises:
        DataError: for an extension that tables are not written in.
    """
    writable_format(path)


def predict_file(
    predictor: RowPredictor,
    data: Any,
    path: Path,
    columns: Mapping[str, str],
    *,
    fix: bool,
    on_error: str,
    overwrite: bool,
    chunk_rows: int,
    similarity: bool,
    interval: float | None,
    sheet: str | None,
    progress: Progress,
) -> Written:
    """Predict rows and write them: all input columns, predictions, similarities and `error`.

    Where the truth stands beside the rows, residuals follow the predictions, and the split that
    each row's input had in the run. Predictions have six significant digits.

    The file appears when all rows are predicted. Arguments as for `Predictor.predict`.

    Raises:
        DataError: when an input column has the name of a prediction and `overwrite` is False, a
            row is invalid and `on_error` is "raise", or the file is the one that is read.
    """
    check_target_format(path)
    how = PartOptions(
        columns=columns,
        fix=fix,
        on_error=on_error,
        overwrite=overwrite,
        similarity=similarity,
        interval=interval,
        sheet=sheet,
    )
    writing = TableWriter(path, reads=[data] if is_path(data) else [])

    def parts(advance: Callable[..., None]) -> "Iterator[tuple[Table, PredictedPart]]":
        done = 0
        for table in _tables(predictor, data, chunk_rows, sheet):
            yield table, predict_part(predictor, table, how, _advance(advance, done))
            done += table.num_rows

    with reporting(progress), progress_bar("predicting") as advance:
        return write_parts(writing, parts(advance), predictor.similarity_limits)


def write_parts(
    writing: TableWriter,
    parts: "Iterable[tuple[Table, PredictedPart]]",
    similarity_limits: Mapping[str, float],
) -> Written:
    """Write predictions beside the rows of their tables; the file appears with the last part.

    Args:
        writing: Not yet opened.
        parts: Tables and what was predicted of them, in the order of the rows.
        similarity_limits: See `RowPredictor`.
    """
    done = failed = 0
    first_error = ""
    unlike = Unlike(similarity_limits)
    with writing as writer:
        for table, part in parts:
            writer.write(part.beside(table))
            failed += part.failed
            first_error = first_error or part.first_error
            unlike.count(part.unlike, part.compared)
            done += table.num_rows
    unlike.warn()
    return Written(writing.path, done, failed, first_error)


@attrs.frozen(kw_only=True)
class PartOptions:
    """How a part of a table is predicted; see `Predictor.predict`."""

    columns: Mapping[str, str]
    fix: bool
    on_error: str
    overwrite: bool
    similarity: bool
    interval: float | None = None
    sheet: str | None = None
    """Of a workbook that is read."""


@attrs.frozen(kw_only=True)
class PredictedPart:
    """What predicting a part of a table gave: plain data."""

    columns: dict[str, list[Any]]
    """Columns that are written behind those of the table."""
    renamed: dict[str, str]
    """Column of the table -> name under which it is written."""
    failed: int
    """Rows that could not be predicted."""
    first_error: str
    """Row number and reason of the first of them."""
    unlike: list[int]
    """Numbers of the rows that are unlike the training rows."""
    compared: int
    """Rows that were compared with the training rows."""

    def beside(self, table: Table) -> dict[str, list[Any]]:
        """Return the columns that are written, those of the table first."""
        own = {self.renamed.get(name, name): values for name, values in table.columns.items()}
        return {**own, **self.columns}


def predict_part(
    predictor: RowPredictor,
    table: Table,
    how: PartOptions,
    on_progress: Callable[[int], None] | None = None,
) -> PredictedPart:
    """Predict some rows of a table that is written part by part.

    Args:
        predictor: Predicts them.
        table: The rows.
        how: How.
        on_progress: Called with the number of rows done.

    Raises:
        DataError: as `predict_file`.
    """
    task = predictor.task_model.task
    truth = found_truth(table, task, predictor.mapping(table, how.columns), how.columns)
    renamed = truth_aside(table, truth, predictor.names)
    shown = {renamed.get(name, name): values for name, values in table.columns.items()}
    table = attrs.evolve(table, columns=shown)
    truth = {target: renamed.get(column, column) for target, column in truth.items()}
    own = [*predictor.names, *(predictor.similarity_names if how.similarity else ())]
    own += interval_names(predictor.names) if how.interval is not None else []
    own += [FIXED] if how.fix else []
    _check_clash(table, own, how.overwrite)
    rows = predictor.read(table, how.columns, how.fix)
    predicted = predictor.predict_rows(rows, on_progress)
    bad = check_errors(table, predicted.errors, how.on_error, _SKIP, needs_rows=False)
    columns = {**predicted.columns, **predictor.interval(predicted, how.interval)}
    columns |= beside_truth(table, task, truth, predicted.columns)
    if truth and "split" not in {*table.columns, *predictor.names} and predictor.splits:
        columns["split"] = splits_of(task, rows.fields, predictor.splits)
    similar = predictor.similar(rows, predicted.errors) if how.similarity else {}
    columns = {name: significant(values) for name, values in {**columns, **similar}.items()}
    if how.fix:
        columns[FIXED] = fixed_cells(table.rows, predicted.fixed)
    columns["error"] = [e or "" for e in predicted.errors]
    return PredictedPart(
        columns=columns,
        renamed=renamed,
        failed=len(bad),
        first_error=f"row {bad[0][0]}: {bad[0][1]}" if bad else "",
        unlike=unlike_rows(similar, table.rows),
        compared=table.num_rows if similar else 0,
    )


def _tables(
    predictor: RowPredictor, data: Any, chunk_rows: int, sheet: str | None
) -> Iterator[Table]:
    if is_path(data):
        return iter_tables(data, chunk_rows, sheet=sheet)
    task = predictor.task_model.task
    return iter([as_table(data, needed_columns(task), f"task {task.name}", sheet).table])


def _advance(advance: Callable[..., None], base: int) -> Callable[[int], None]:
    return lambda done: advance(base + done)


def _check_clash(table: Table, names: Sequence[str], overwrite: bool) -> None:
    clash = [name for name in [*names, "error"] if name in table.columns]
    if clash and not overwrite:
        raise DataError(
            f"{table.source} already has the column '{clash[0]}', which the prediction would fill. "
            "Rename it, or replace it with --overwrite-column (overwrite=True)."
        )
