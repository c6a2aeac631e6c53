"""What only the running process knows of a run, kept for its report in details.json.

How near each test row is to the training split, what the function tag attends to in a few of them,
and where the tags lie. Everything else of the report stands in the other files of the run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taglm_core import Evaluated, RunFinished
from taglm_core.errors import TaglmError
from taglm_core.plugin import process_peak, to_json, write_json
from taglm_studies.features import sample_rows
from taglm_studies.report.facts import DETAILS, TaskFacts, read_details, task_folder
from taglm_studies.report.page import REPORT, write_report
from taglm_studies.report.rank import best_and_worst
from taglm_studies.similarity import nearest_similarity

MOST_TEST, MOST_TRAIN = 1000, 5000
"""Rows of each split that are compared by their features."""


def keep_rows(event: Evaluated) -> None:
    """Write the size of each test row and its similarity to the nearest training row."""
    test, train = event.splits.get("test"), event.splits.get("train")
    if test is None or train is None or not len(test.truth):
        return
    chosen = sample_rows(len(test.truth), MOST_TEST, event.seed)
    numbers = event.numbers.get("test", range(1, len(test.truth) + 1))
    rows: dict[str, Any] = {"row": [int(numbers[i]) for i in chosen], "fields": {}}
    for field, values in test.fields.items():
        own = [values[i] for i in chosen]
        known: dict[str, Any] = {"size": [_size(value) for value in own]}
        if field in event.features or field in event.fingerprints:
            known |= _similarities(event, field, own, list(dict.fromkeys(train.fields[field])))
        if field in event.groups:
            known["group"] = [str(key) for key in event.groups[field](own)]
        rows["fields"][field] = known
    rows["test_rows"] = len(test.truth)
    write_json(event.folder / DETAILS, to_json({"rows": rows}))


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else sum(len(str(part)) for part in value)


def _similarities(
    event: Evaluated, field: str, test: Sequence[str], train: Sequence[str]
) -> dict[str, Any]:
    """Return the similarity of each test value to the nearest training value."""
    sampled = [train[i] for i in sample_rows(len(train), MOST_TRAIN, event.seed)]
    distinct = list(dict.fromkeys(test))
    function = event.fingerprints.get(field) or event.features[field]
    values, _ = nearest_similarity(function, distinct, sampled)
    known = {v: round(float(s), 4) for v, s in zip(distinct, values, strict=True)}
    return {"similarity": [known[value] for value in test], "train_values": len(sampled)}


def finish(event: RunFinished) -> None:
    """Add what the predictors in memory can tell, and write the report of the run."""
    for name, predictor in event.predictors.items():
        add_insight(event.folder, name, predictor, event.metrics["tasks"][name])
    write_report([event.folder], event.folder / REPORT)


def add_insight(folder: Path, name: str, predictor: Any, facts: Mapping[str, Any]) -> None:
    """Add what a predictor in memory can tell: attention in a few test rows, and its tags.

    Args:
        folder: The run folder.
        name: The task.
        predictor: A `taglm.Predictor`.
        facts: What metrics.json says of the task.
    """
    own = task_folder(folder, name)
    details = read_details(own)
    peak = process_peak()
    details["peak_memory_mib"] = None if peak is None else round(peak / 1024**2, 1)
    try:
        details["attention"] = _attention(own, name, predictor, facts)
        details["geometry"] = predictor.insight.tag_geometry()
    except TaglmError as error:  # a backbone without attention weights: the report says so
        details["attention_error"] = str(error)
    write_json(own / DETAILS, to_json(details))


def _attention(
    folder: Path, name: str, predictor: Any, facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the attention in the test rows that are predicted best and worst."""
    task = TaskFacts.read(folder, name, facts)
    chosen = best_and_worst(task)
    if not chosen:
        return []
    columns = {key: [cells[i] for i, _ in chosen] for key, cells in task.predictions.items()}
    found = predictor.insight.attention(columns)
    return [
        {"index": int(i), "row": task.predictions["row"][i], "kind": kind, **_rounded(record)}
        for (i, kind), record in zip(chosen, found, strict=True)
        if record is not None
    ]


def _rounded(record: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        name: {**field, "weights": [round(weight, 6) for weight in field["weights"]]}
        for name, field in record["fields"].items()
    }
    return {**record, "fields": fields}
