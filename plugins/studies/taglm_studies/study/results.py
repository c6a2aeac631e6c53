"""What a method of a study predicted, written in the form of a run."""

from pathlib import Path
from typing import Any

import numpy as np

from taglm_core.plugin import load_registry, write_json, write_table
from taglm_studies.report.bootstrap import Resampler, metric_functions
from taglm_studies.report.facts import TaskFacts
from taglm_studies.study.rows import Rows


def write_results(folder: Path, source: Path, rows: Rows, values: np.ndarray) -> None:
    """Write test predictions and metrics of a method in the form of a run.

    Args:
        folder: Of the method.
        source: The run whose rows it predicted.
        rows: Those rows.
        values: Predictions of the test rows as a run gives them.
    """
    held = TaskFacts.only(source)
    names = held.value_columns(held.name)
    own = {held.name, *names, *(f"{name}.residual" for name in names)}
    columns: dict[str, Any] = {k: v for k, v in held.predictions.items() if k not in own}
    if rows.has_classes:
        columns[held.name] = [rows.classes[k] for k in values.argmax(axis=1)]
    columns |= {name: values[:, k].tolist() for k, name in enumerate(names)}
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    write_table(folder / "predictions" / "test.csv", columns)
    baselines = source / "predictions" / "test.baselines.csv"
    if folder == source.parent and baselines.is_file():
        text = baselines.read_text(encoding="utf-8")
        (folder / "predictions" / "test.baselines.csv").write_text(text, encoding="utf-8")
    test = {**held.record["splits"]["test"], "metrics": {}}
    record = {**held.record, "splits": {"test": test}}
    test["metrics"] = dict.fromkeys(held.record["splits"]["test"]["metrics"])
    write_json(folder / "metrics.json", {"tasks": {held.name: record}})
    task = TaskFacts.only(folder)
    sampler = Resampler.of(task)
    test["metrics"] = {
        name: sampler.score(function, task.predicted())
        for name, function in metric_functions(task, load_registry()).items()
    }
    write_json(folder / "metrics.json", {"tasks": {held.name: record}})
