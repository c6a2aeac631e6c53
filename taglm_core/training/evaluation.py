"""The evaluation that ends a run: scores of every split, predictions, baselines."""

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from taglm_core.data.censoring import (
    HOW_COUNTED,
    censored_facts,
    exact_of,
    has_sides,
    values_of,
)
from taglm_core.data.measured import label_word
from taglm_core.data.rowkeys import row_keys
from taglm_core.data.weights import weight_facts
from taglm_core.data.writers import TableWriter
from taglm_core.inference.columns import field_columns, prediction_columns
from taglm_core.inference.groups import grouped, signatures
from taglm_core.inference.intervals import coverage_facts, fitted_intervals, undercovered
from taglm_core.inference.scores import known_rows, plain, score, scorer
from taglm_core.inference.truth import joined, residual_columns, significant, truth_columns
from taglm_core.model.precision import BF16
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import progress_bar
from taglm_core.specs import Classification, Evaluated, Regression, SplitData, TaskData
from taglm_core.store.runfolder import RunFolder
from taglm_core.training.baselines import BaselineScores, fit_baselines
from taglm_core.training.constant import worse_than_constant
from taglm_core.training.datacheck import feature_functions, group_functions
from taglm_core.training.plan import Plan
from taglm_core.training.schedule import MOST_TRAIN_SCORED
from taglm_core.training.splits import combinations

_MOST_TRAIN_WRITTEN = 200
"""The same for text, which takes a pass a token."""


def evaluate_task(plan: Plan, task_model: TaskModel, folder: RunFolder) -> dict[str, Any]:
    """Score every split, write predictions and split, and fit the baselines.

    Returns:
        What metrics.json says of the task.
    """
    rows, task = plan.rows, plan.task
    trained = combinations(plan)
    splits: dict[str, Any] = {}
    data: dict[str, SplitData] = {}
    numbers: dict[str, list[int]] = {}
    _write_splits(plan, folder)
    _write_rejected(plan, folder)
    for split in ("train", "valid", "test"):
        splits[split], data[split], scored = _score_split(plan, task_model, folder, split, trained)
        numbers[split] = [rows.numbers[i] for i in scored]
    warnings = [
        said
        for split in ("valid", "test")
        if (said := _worse_than_constant(plan, split, data[split])) is not None
    ]
    warnings += _add_intervals(task_model, splits, data)
    baselines: dict[str, Any] = {}
    if task.is_numeric:
        numbers["train"] = [rows.numbers[i] for i in rows.of_split("train")]
        whole = {**data, "train": _whole_train(plan)}
        baselines = _add_baselines(plan, folder, splits, whole, numbers)
    signed = signatures(task)
    return {
        "target": _target_facts(plan),
        "metric": {
            "name": task.metrics[0].name,
            "greater_is_better": task.metrics[0].greater_is_better,
        },
        "source": rows.source,
        "split": rows.rule,
        **({"remarks": list(plan.labels.remarks)} if plan.labels.remarks else {}),
        **_weights(plan),
        "rows_skipped": len(rows.rejected),
        "rows_fixed": len(rows.fixed),
        "splits": splits,
        **baselines,
        **({"signatures": signed} if signed else {}),
        **({"warnings": warnings} if warnings else {}),
    }


def _add_intervals(
    task_model: TaskModel, splits: dict[str, Any], data: Mapping[str, SplitData]
) -> list[str]:
    """Give a task model the intervals of the validation rows, and `splits` their coverage.

    Returns:
        A warning where test rows are covered less often than they should be.
    """
    target, valid, test = task_model.task.spec.target, data["valid"], data["test"]
    task_model.intervals = fitted_intervals(target, valid.truth, valid.prediction)
    splits["test"] |= coverage_facts(task_model.intervals, target, test.truth, test.prediction)
    said = undercovered(task_model.task.name, splits["test"])
    return [] if said is None else [said]


def _score_split(
    plan: Plan, task_model: TaskModel, folder: RunFolder, split: str, trained: Any
) -> tuple[dict[str, Any], SplitData, np.ndarray]:
    """Predict and score a split, and write its predictions.

    Returns:
        What metrics.json says of it, what baselines and plugins get, and the rows that were scored.
    """
    rows, task = plan.rows, plan.task
    chosen = rows.of_split(split)
    most = MOST_TRAIN_SCORED if task.is_numeric else _MOST_TRAIN_WRITTEN
    asked = _sampled(chosen, plan.config.seed, most) if split == "train" else chosen
    fields = {name: [values[i] for i in asked] for name, values in rows.fields.items()}
    budget = plan.config.stages.task.batch_tokens
    if plan.precision == BF16 and task_model.prefix_cache is not None:
        # a segment that another batch made is rounded otherwise; a loaded predictor has none
        task_model.prefix_cache = task_model.prefix_cache.emptied()
    with progress_bar(f"predicting the {split} split", len(asked)) as advance:
        prediction, errors = task_model.predict_fields(fields, budget, advance)
    fine = np.flatnonzero([error is None for error in errors])
    scored = asked[fine]
    if isinstance(rows.targets, np.ndarray):
        truth: Any = rows.targets[scored]
    else:
        truth = [rows.targets[i] for i in scored]
    exact = exact_of(truth)
    record = {"rows": len(chosen), "metrics": plain(score(task, exact, prediction))}
    record |= known_rows(task, exact)
    record |= censored_facts(getattr(task.spec.target, "names", ()), truth, prediction)
    if len(fine) < len(chosen):
        record["rows_scored"] = len(fine)
    if split != "train":
        named = {name: [fields[name][i] for i in fine] for name in task.prompt.tag_columns}
        record |= grouped(task, named, exact, prediction, trained)
        _write_predictions(plan, folder, split, scored, truth, prediction)
    return record, _split_data(plan, scored, exact, prediction), scored


def _weights(plan: Plan) -> dict[str, Any]:
    """Return what metrics.json says of sample weights; {} where all rows count the same."""
    weights, column = plan.rows.weights, plan.config.data.weights
    if weights is None or column is None:
        return {}
    return {"weights": weight_facts(column, weights[plan.rows.of_split("train")])}


def _worse_than_constant(plan: Plan, split: str, data: SplitData) -> str | None:
    if not plan.task.is_numeric or data.prediction is None:
        return None
    train = values_of(plan.rows.targets[plan.rows.of_split("train")])
    return worse_than_constant(plan.task, split, train, data.truth, data.prediction)


def _sampled(indices: np.ndarray, seed: int, most: int) -> np.ndarray:
    """Return at most some of the training rows; their score is a diagnostic only."""
    if len(indices) <= most:
        return indices
    rng = np.random.default_rng([seed, 3])
    return np.sort(rng.permutation(indices)[:most])


def _whole_train(plan: Plan) -> SplitData:
    """Return every training row, so that baselines are fitted on all of them, limits as values."""
    chosen = plan.rows.of_split("train")
    return _split_data(plan, chosen, values_of(plan.rows.targets[chosen]), None)


def _split_data(plan: Plan, chosen: np.ndarray, truth: Any, prediction: Any) -> SplitData:
    held = {name: [values[i] for i in chosen] for name, values in plan.rows.fields.items()}
    return SplitData(
        fields={name: held[name] for name in plan.task.span_fields},
        texts={name: held[name] for name in plan.task.prompt.text_fields},
        truth=truth,
        prediction=prediction,
    )


def _add_baselines(
    plan: Plan,
    folder: RunFolder,
    splits: dict[str, Any],
    data: Mapping[str, SplitData],
    numbers: Mapping[str, list[int]],
) -> dict[str, Any]:
    """Put the scores of the baselines into `splits`; return what else metrics.json says of them."""
    early = plan.baselines
    is_whole = all(len(data[s].truth) == len(plan.rows.of_split(s)) for s in ("valid", "test"))
    found = early if early is not None and is_whole else _fit_baselines(plan, data)
    for split in ("valid", "test"):
        _write_baselines(plan, folder, split, numbers[split], found)
    event = Evaluated(
        splits=data,
        numbers=numbers,
        groups=group_functions(plan.task, plan.registry),
        baselines=found.scores,
        fingerprints=feature_functions(plan.task, "fingerprint"),
        score=scorer(plan.task),
        folder=folder.path,
        **_facts(plan),
    )
    plan.registry.send("on_evaluated", event)
    for split, scores in found.scores.items():
        splits[split]["baselines"] = scores
    return {"baselines": found.facts, "feature_seconds": found.feature_seconds}


def _fit_baselines(plan: Plan, data: Mapping[str, SplitData]) -> BaselineScores:
    hidden = {split: attrs.evolve(rows, prediction=None) for split, rows in data.items()}
    descriptors = feature_functions(plan.task, "descriptors")
    rows = TaskData(splits=hidden, descriptors=descriptors, **_facts(plan))
    judged = {"train": exact_of(plan.rows.targets[plan.rows.of_split("train")])}
    names, until = plan.config.baselines, None
    if plan.budget is not None and names == ("default",):
        until = plan.budget.until_baselines()
    return fit_baselines(names, plan.registry, rows, scorer(plan.task), judged, until)


def _facts(plan: Plan) -> dict[str, Any]:
    """Return what baselines and plugins are told of a task."""
    target = plan.task.spec.target
    if isinstance(target, Classification):
        target = attrs.evolve(target, classes=plan.rows.classes)
    return {
        "task": plan.task.name,
        "target": target,
        "features": feature_functions(plan.task),
        "seed": plan.config.seed,
        "symmetric": plan.task.symmetric,
    }


def early_baselines(plan: Plan) -> str:
    """Fit the baselines of a task before it is trained, so that training can be seen beside them.

    Returns:
        The best one on the validation split and its first metric, "" where there is none.
    """
    if not plan.task.is_numeric:
        return ""
    rows = plan.rows
    data = {"train": _whole_train(plan)}
    data |= {
        split: _split_data(plan, chosen, exact_of(rows.targets[chosen]), None)
        for split in ("valid", "test")
        if len(chosen := rows.of_split(split))
    }
    plan.baselines = _fit_baselines(plan, data)
    metric = plan.task.metrics[0]
    scores = plan.baselines.scores.get("valid", {})
    values = {n: s[metric.name] for n, s in scores.items() if s.get(metric.name) is not None}
    if not values:
        return ""
    best = (max if metric.greater_is_better else min)(values, key=lambda name: values[name])
    plan.baseline_scores = {f"valid_{metric.name}_of_best_baseline": values[best]}
    return f"best baseline {best} {values[best]:.4g}"


def _target_facts(plan: Plan) -> dict[str, Any]:
    target = plan.task.spec.target
    facts: dict[str, Any] = {"kind": target.kind, "labels": label_word(plan.task)}
    if isinstance(target, Regression):
        facts |= {"names": list(target.names), "unit": target.unit}
        if has_sides(plan.rows.targets):
            facts["censored"] = HOW_COUNTED
    if isinstance(target, Classification):
        facts |= {"names": list(target.names), "classes": list(plan.rows.classes)}
    return facts


def _write_splits(plan: Plan, folder: RunFolder) -> None:
    rows = plan.rows
    keys = row_keys(plan.task, rows.fields)
    columns: dict[str, list[Any]] = {"row": rows.numbers, "split": rows.splits, "key": keys}
    if rows.test_source is not None:  # its rows are numbered by themselves
        columns["file"] = [rows.test_source if p == "test" else rows.source for p in rows.splits]
    with TableWriter(folder.path / "split.csv") as writer:
        writer.write(columns)


def _write_rejected(plan: Plan, folder: RunFolder) -> None:
    """Write which rows were skipped and why, and which were fixed and how."""
    rows = plan.rows
    files = {"rejected.csv": ("reason", rows.rejected), "fixed.csv": ("change", rows.fixed)}
    for name, (what, listed) in files.items():
        if not listed:
            continue
        if not rows.test_source:  # rows too long are found later than the others
            listed = sorted(listed, key=lambda item: item[0])
        numbers, texts = zip(*listed, strict=True)
        lines = rows.lines_of(listed)
        columns: dict[str, list[Any]] = {"row": list(numbers)}
        columns |= {} if lines is None else {"line": lines}
        with TableWriter(folder.path / name) as writer:
            writer.write(joined({**columns, what: list(texts)}, rows.cells_of(listed), {}))


def _write_baselines(
    plan: Plan, folder: RunFolder, split: str, numbers: list[int], found: BaselineScores
) -> None:
    """Write what the baselines predict for the rows of a split, beside the predictions."""
    columns: dict[str, list[Any]] = {"row": numbers}
    for baseline, by_split in found.predictions.items():
        if split in by_split:
            made = prediction_columns(plan.task, plan.rows.classes, by_split[split])
            for name, values in made.items():
                known = [None if isinstance(v, float) and v != v else v for v in values]
                columns[baseline + name.removeprefix(plan.task.name)] = significant(known)
    if len(columns) > 1 and numbers:
        with TableWriter(folder.path / "predictions" / f"{split}.baselines.csv") as writer:
            writer.write(columns)


def _write_predictions(
    plan: Plan, folder: RunFolder, split: str, chosen: np.ndarray, truth: Any, prediction: Any
) -> None:
    rows, task = plan.rows, plan.task
    before: dict[str, list[Any]] = {"row": [rows.numbers[i] for i in chosen]}
    read = rows.as_read(chosen.tolist()) if len(chosen) else None
    if read is not None and read.lines is not None:
        before["line"] = read.lines
    before["split"] = [split] * len(chosen)
    inputs = dict(read.columns) if read is not None else {}
    for name in task.fields:
        held = field_columns(task, name, [rows.fields[name][i] for i in chosen])
        inputs |= {column: values for column, values in held.items() if column not in inputs}
    truths = truth_columns(task, rows.classes, truth)
    made = prediction_columns(task, rows.classes, prediction)
    ending = f".{label_word(task)}"
    by_target = {name.removesuffix(ending): values for name, values in truths.items()}
    if has_sides(truth):  # a limit has no residual
        exact = truth_columns(task, rows.classes, exact_of(truth))
        by_target = {name.removesuffix(ending): values for name, values in exact.items()}
    after = {**truths, **made, **residual_columns(task, by_target, made)}
    after = {
        name: values if name in truths else significant(values) for name, values in after.items()
    }
    (folder.path / "predictions").mkdir(exist_ok=True)
    with TableWriter(folder.path / "predictions" / f"{split}.csv") as writer:
        writer.write(joined(before, inputs, after))
