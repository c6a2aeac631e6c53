"""The rows of tables on their way through a trained task: read, predicted, compared."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.doubt import check_fields
from taglm_core.data.fields import canonical_fields, read_fields
from taglm_core.data.fixing import fix_fields
from taglm_core.data.mapping import check_mapping
from taglm_core.data.readers import read_table
from taglm_core.data.table import Table
from taglm_core.inference.columns import needed_columns, prediction_columns, prediction_names
from taglm_core.inference.intervals import check_intervals, interval_columns
from taglm_core.inference.predicted import Predicted, ReadRows
from taglm_core.inference.truth import read_splits
from taglm_core.model.similarity import UNLIKE
from taglm_core.model.taskmodel import TaskModel
from taglm_core.plugins import Registered
from taglm_core.specs import Classification, Domain, Task, Text


@attrs.define
class RowPredictor:
    """A trained task that reads and predicts the rows of tables."""

    task_model: TaskModel
    columns: Mapping[str, str]
    """Field -> column that the run read; tried first when a table has it."""
    max_tokens: int = 8192
    domains: Mapping[str, Registered[Domain]] = attrs.field(factory=dict)
    """Tag as a column may name it -> domain."""
    on_doubt: str = "raise"
    """How to handle data most of whose rows look like another kind of data: raise or warn."""
    splits_file: Path | None = None
    """split.csv of the run; None: it was loaded without its run."""
    metrics: dict[str, Any] | None = None
    """What metrics.json of the run says of this task; None: it was loaded without its run."""

    @cached_property
    def splits(self) -> dict[str, str]:
        """Key of a row of the run (`data.rowkeys`) -> its split; empty without the run."""
        if self.splits_file is None:
            return {}
        splits = read_splits(read_table(self.splits_file).columns)
        if self.metrics is not None and "refit" in self.metrics:  # it has seen every row
            return dict.fromkeys(splits, "train")
        return splits

    @property
    def names(self) -> list[str]:
        """The columns that predictions fill."""
        return prediction_names(self.task_model.task, self.task_model.classes)

    @property
    def fields(self) -> list[str]:
        """The columns that the task needs."""
        return needed_columns(self.task_model.task)

    @property
    def task(self) -> Task:
        """The task: name, template, target with its classes, metrics."""
        spec = self.task_model.task.spec
        if isinstance(spec.target, Classification) and self.task_model.classes:
            target = attrs.evolve(spec.target, classes=self.task_model.classes)
            return attrs.evolve(spec, target=target)
        return spec

    def tag_columns(self) -> dict[str, str]:
        """Return names, in lower case, under which a file's column may hold a tag's rows."""
        names: dict[str, str] = {}
        for written in self.task_model.assembler.domain_of:
            names.setdefault(written.lower(), written)
            names.setdefault(written.rpartition("/")[2].lower(), written)
        return names

    def mapping(self, table: Table, columns: Mapping[str, str]) -> dict[str, str]:
        """Return the columns that the user names, and those that the run read and a table has."""
        remembered = {
            field: column
            for field, column in self.columns.items()
            if field not in columns and column in table.columns
        }
        return {**remembered, **columns}

    def read(self, table: Table, mapping: Mapping[str, str], fix: bool = False) -> ReadRows:
        """Read the fields of a table and make them canonical; arguments as for `predict_table`."""
        task = self.task_model.task
        check_mapping(mapping, [task])
        raw, _ = read_fields(table, task, self.mapping(table, mapping))
        changed: list[tuple[int, str]] = []
        if fix:
            raw, changed = fix_fields(raw, task, table)
        fields, errors = canonical_fields(raw, task)
        check_fields(fields, errors, task, self.domains, table.source, self.on_doubt)
        return ReadRows(fields, errors, changed)

    def predict_rows(
        self, rows: ReadRows, on_progress: Callable[[int], None] | None = None
    ) -> Predicted:
        """Predict rows that have been read; those with an error are not run."""
        values, errors = None, rows.errors
        if errors:
            values, errors = self.task_model.predict_fields(
                rows.fields, self.max_tokens, on_progress, errors
            )
        return self.predicted(values, errors, rows.fixed)

    def write_rows(
        self, rows: ReadRows, watch: Callable[[int, Callable[[], str]], bool]
    ) -> Predicted:
        """Predict rows of a task that writes text, and tell of each text as it grows.

        Args:
            rows: As read; those with an error are not run.
            watch: Called at each token with the index of a row and what gives its text so far;
                False ends the row there. Beam search does not call it.
        """
        target = self.task_model.task.spec.target
        assert isinstance(target, Text), "the caller asks a text task"
        prepared = self.task_model.prepare(rows.fields, rows.errors)
        if prepared.rows is None:
            return self.predicted(None, prepared.errors, rows.fixed)
        texts = self.task_model.write(
            prepared.rows,
            target.max_new_tokens,
            self.max_tokens,
            watch=lambda k, text: watch(prepared.good[k % len(prepared.good)], text),
        )
        return self.predicted(prepared.merged(texts), prepared.errors, rows.fixed)

    def predict_table(
        self,
        table: Table,
        mapping: Mapping[str, str] | None = None,
        on_progress: Callable[[int], None] | None = None,
        fix: bool = False,
    ) -> Predicted:
        """Predict the rows of a table.

        Args:
            table: Rows with the columns of the task's fields.
            mapping: Field -> column given by the user.
            on_progress: Called with the number of rows done.
            fix: True: rows are first standardized by the rules of their domains.

        Raises:
            DataError: when a column is missing.
        """
        return self.predict_rows(self.read(table, mapping or {}, fix), on_progress)

    def predicted(
        self, values: Any, errors: list[str | None], fixed: list[tuple[int, str]]
    ) -> Predicted:
        """Return predictions as columns.

        Args:
            values: Predictions of the rows without an error, in order, as
                `TaskModel.predict_fields` gives them; None when no row is good.
            errors: One entry a row.
            fixed: (row number, what was changed) of each row that was fixed.
        """
        task = self.task_model.task
        good = [i for i, error in enumerate(errors) if error is None]
        columns: dict[str, list[Any]] = {name: [None] * len(errors) for name in self.names}
        if not good:
            return Predicted(columns, errors, None, good, fixed)
        for name, filled in prediction_columns(task, self.task_model.classes, values).items():
            for place, value in zip(good, filled, strict=True):
                columns[name][place] = value
        return Predicted(columns, errors, values, good, fixed)

    def similar(self, rows: ReadRows, errors: Sequence[str | None]) -> dict[str, list[Any]]:
        """Return the columns of the similarity of rows to the training rows.

        Args:
            rows: As read.
            errors: One entry a row, as the prediction gave them; None where a row is good.

        Returns:
            Column -> values, None where a row has an error; {} where no domain has fingerprints.
        """
        reader = self.task_model.similarity
        if reader is None or not errors:
            return {name: [] for name in self.similarity_names}
        return reader.read(rows.fields, [i for i, error in enumerate(errors) if error is None])

    def check_interval(self, level: float) -> None:
        """Demand intervals at a level, and warn of targets that have none there.

        Args:
            level: Share of new values that an interval is to contain.

        Raises:
            ConfigError: when the level is not between 0 and 1, or no target has an interval there.
        """
        check_intervals(self.task_model.intervals, self.task_model.task.spec, level)

    def interval(self, predicted: Predicted, level: float | None) -> dict[str, list[Any]]:
        """Return the columns of prediction intervals, `_low` and `_high` of each prediction.

        Args:
            predicted: Predictions of this predictor.
            level: As for `check_interval`, which has been called; None: no columns.
        """
        intervals = self.task_model.intervals
        if level is None or intervals is None:
            return {}
        count = len(predicted.errors)
        return interval_columns(
            intervals, self.names, predicted.values, predicted.good, count, level
        )

    @property
    def max_interval(self) -> float | None:
        """Highest level that `interval` may have; None: the predictor has no intervals."""
        intervals = self.task_model.intervals
        return (intervals.max_level or None) if intervals is not None else None

    @property
    def similarity_names(self) -> list[str]:
        """The columns of the similarity of rows to the training rows, in order."""
        reader = self.task_model.similarity
        return [] if reader is None else [*reader.columns, UNLIKE]

    @property
    def similarity_limits(self) -> dict[str, float]:
        """Column of similarities -> value below which a row is unlike the training rows."""
        reader = self.task_model.similarity
        columns = {} if reader is None else reader.columns
        return {column: record.threshold for column, (_, record) in columns.items()}
