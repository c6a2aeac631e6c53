"""`taglm.evaluate`: the results of a run, or of its predictor on other labeled rows."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import attrs

from taglm_core.api.loading import load
from taglm_core.data.memory import as_frame, as_table
from taglm_core.errors import CheckpointError, counted, no_results
from taglm_core.inference.columns import needed_columns
from taglm_core.inference.evaluate import evaluate_table
from taglm_core.inference.predictor import Predictor
from taglm_core.inference.report import html_report, html_results
from taglm_core.progress import Progress, chosen_progress
from taglm_core.store.artifact import check_is_folder
from taglm_core.store.runfolder import RunFolder


@attrs.frozen(repr=False)
class Evaluation:
    """Results of a predictor."""

    metrics: dict[str, Any]
    """As in metrics.json; rows that were given are its split `input`."""
    skipped: list[tuple[int, str]] = attrs.field(factory=list)
    """Row number, from 1, and reason of each row that was skipped."""
    columns: dict[str, list[Any]] = attrs.field(factory=dict)
    """The scored rows: columns of the data, then predictions and residuals. A column of the truth
    that has the name of a prediction is `TARGET.measured`."""

    @property
    def frame(self) -> Any:
        """The scored rows as a DataFrame."""
        return as_frame(self.columns)

    def __repr__(self) -> str:
        skipped = counted(len(self.skipped), "row")
        return f"Evaluation of {', '.join(self.metrics['tasks'])}, {skipped} skipped"

    def _repr_html_(self) -> str:
        facts = {"skipped rows": len(self.skipped) or None}
        return html_report("Evaluation", facts, html_results(self.metrics["tasks"]))


def evaluate(
    run: "str | PathLike[str] | Predictor | Any",
    data: Any = None,
    *,
    columns: Mapping[str, str] | None = None,
    fix: bool = False,
    on_error: str = "raise",
    limit: int | None = None,
    labels: str = "auto",
    progress: Progress | bool | None = None,
    **options: Any,
) -> Evaluation:
    """Show the results of a run, or score its predictor on labeled rows.

    Where columns name the tags, results are also given for each combination of tags.

    Args:
        run: Folder of a run or predictor, a `Run` or a `Predictor`.
        data: Rows with the task's fields and targets: a DataFrame, a dict of columns, a
            `datasets.Dataset` or the path of a table; None: the run's own results.
        columns: Field or target -> column that holds it.
        fix: True: rows are first standardized by the rules of their domains.
        on_error: How to handle invalid rows: "raise" stops at the first, "skip" skips and lists
            them.
        limit: Most rows, the first ones; None: all.
        labels: Of a task that computes its target: "computed", or "measured" in a column; "auto":
            computed, and an error if the data have a column of that name.
        progress: True or False: with or without a bar; None: a bar in notebooks and terminals.
        **options: Further arguments of `taglm.load`.

    Raises:
        RowError: naming invalid rows when `on_error` is "raise".
        CheckpointError: when a run without results is asked for its own.
    """
    if data is None:
        return Evaluation(_own_metrics(run))
    predictor = run if isinstance(run, Predictor) else load(run, **options)
    task = predictor.task_model.task
    table = as_table(data, needed_columns(task), f"task {task.name}").table
    bar = chosen_progress(progress)
    bar.start("predicting", None)
    try:
        scored = evaluate_table(
            predictor, table, columns or {}, on_error, fix, limit, bar.advance, labels
        )
    finally:
        bar.finish()
    return Evaluation(scored.metrics, scored.skipped, scored.columns)


def _own_metrics(run: Any) -> dict[str, Any]:
    if isinstance(run, Predictor):
        metrics = run.metrics and {"tasks": {run.task.name: run.metrics}}
        folder = run.artifact and run.artifact.folder
    else:
        folder = Path(getattr(run, "folder", run))
        check_is_folder(folder)
        metrics = RunFolder(folder).metrics
    if not metrics:
        raise CheckpointError(
            no_results(
                folder,
                "Finish the run, or score its predictor on a labeled file with --input FILE "
                "(data=...).",
            )
        )
    return metrics
