"""Predicting into a file, chunk by chunk: every input row kept in order, whole or not at all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from taglm_core.data.formats import writable_format
from taglm_core.data.memory import as_table, is_path
from taglm_core.data.readers import iter_tables
from taglm_core.data.rowerrors import check_errors
from taglm_core.data.table import Table
from taglm_core.data.writers import TableWriter
from taglm_core.errors import DataError, counted
from taglm_core.inference.columns import needed_columns
from taglm_core.inference.predicted import Predicted, Unlike
from taglm_core.inference.truth import beside_truth, found_truth, significant, splits_of
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress, progress_bar, reporting

_SKIP = "write them with an error message: --on-error skip (on_error='skip')"


class RowPredictor(Protocol):
    """What predicting into a file needs of a predictor; see `Predictor`."""

    @property
    def task_model(self) -> TaskModel:
        """Task and model."""
        ...

    @property
    def names(self) -> list[str]:
        """The columns that predictions fill."""
        ...

    @property
    def splits(self) -> dict[str, str]:
        """Key of a row of the run -> its split."""
        ...

    @property
    def similarity_names(self) -> list[str]:
        """The columns of the similarity of rows to the training rows."""
        ...

    def similar(self, rows: Any, errors: Sequence[str | None]) -> dict[str, list[Any]]:
        """Return those columns."""
        ...

    def mapping(self, table: Table, given: Mapping[str, str]) -> dict[str, str]:
        """Return the columns of the fields, as far as they are known."""
        ...

    def read(self, table: Table, mapping: Mapping[str, str], fix: bool = False) -> Any:
        """Read the fields of a table and make them canonical."""
        ...

    def predict_rows(
        self, rows: Any, on_progress: Callable[[int], None] | None = None
    ) -> Predicted:
        """Predict rows that have been read."""
        ...


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
    task = predictor.task_model.task
    done = failed = 0
    first_error = ""
    own = [*predictor.names, *(predictor.similarity_names if similarity else ())]
    unlike = Unlike(predictor.task_model.similarity)
    writing = TableWriter(path, reads=[data] if is_path(data) else [])
    with writing as writer, reporting(progress), progress_bar("predicting") as advance:
        for table in _tables(predictor, data, chunk_rows):
            truth = found_truth(table, task, predictor.mapping(table, columns), columns)
            table, truth = _with_truth_aside(table, truth, predictor.names)
            _check_clash(table, own, overwrite)
            rows = predictor.read(table, columns, fix)
            predicted = predictor.predict_rows(rows, _advance(advance, done))
            bad = check_errors(table, predicted.errors, on_error, _SKIP, needs_rows=False)
            failed += len(bad)
            first_error = first_error or (f"row {bad[0][0]}: {bad[0][1]}" if bad else "")
            columns_out = {
                **predicted.columns,
                **beside_truth(table, task, truth, predicted.columns),
            }
            if truth and "split" not in table.columns and predictor.splits:
                columns_out["split"] = splits_of(task, rows.fields, predictor.splits)
            similar = predictor.similar(rows, predicted.errors) if similarity else {}
            unlike.add(similar, table.rows)
            columns_out |= similar
            columns_out = {name: significant(values) for name, values in columns_out.items()}
            columns_out["error"] = [e or "" for e in predicted.errors]
            writer.write({**table.columns, **columns_out})
            done += table.num_rows
    unlike.warn()
    return Written(path, done, failed, first_error)


def _tables(predictor: RowPredictor, data: Any, chunk_rows: int) -> Iterator[Table]:
    if is_path(data):
        return iter_tables(data, chunk_rows)
    task = predictor.task_model.task
    return iter([as_table(data, needed_columns(task), f"task {task.name}").table])


def _with_truth_aside(
    table: Table, truth: Mapping[str, str], names: Sequence[str]
) -> tuple[Table, dict[str, str]]:
    """Rename columns of the truth that have the name of a prediction to `TARGET.measured`.

    Returns:
        The table, and target -> column as renamed.
    """
    new = {c: f"{target}.measured" for target, c in truth.items() if c in names}
    renamed = {new.get(name, name): values for name, values in table.columns.items()}
    if len(renamed) < len(table.columns):
        return table, dict(truth)
    return (
        attrs.evolve(table, columns=renamed),
        {target: new.get(column, column) for target, column in truth.items()},
    )


def _advance(advance: Callable[..., None], base: int) -> Callable[[int], None]:
    return lambda done: advance(base + done)


def _check_clash(table: Table, names: Sequence[str], overwrite: bool) -> None:
    clash = [name for name in [*names, "error"] if name in table.columns]
    if clash and not overwrite:
        raise DataError(
            f"{table.source}: already has the column '{clash[0]}', which the prediction would "
            "fill. Rename it, or replace it with --overwrite-column (overwrite=True)."
        )
