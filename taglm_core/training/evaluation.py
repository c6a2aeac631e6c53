"""The evaluation that ends a run: scores of every part, predictions, references by plugins."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from taglm_core import __version__
from taglm_core.data.writers import TableWriter
from taglm_core.inference.columns import prediction_columns
from taglm_core.inference.groups import grouped, signatures
from taglm_core.inference.scores import rounded, score, scorer
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Classification, Evaluated, Regression
from taglm_core.specs.events import Part
from taglm_core.specs.reference import resolve
from taglm_core.store.runfolder import RunFolder
from taglm_core.training.plan import Plan, combinations

_MOST_TRAIN_SCORED = 2000
"""Training rows whose score is a diagnostic only."""

_MOST_TRAIN_WRITTEN = 200
"""The same for text, which takes a pass a token."""


def evaluate_run(
    plan: Plan,
    task_model: TaskModel,
    folder: RunFolder,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Score every part, write predictions and split, and ask plugins for references.

    Returns:
        The contents of metrics.json.
    """
    rows, task = plan.rows, plan.task
    trained = combinations(plan)
    splits: dict[str, Any] = {}
    events: dict[str, Part] = {}
    _write_split(plan, folder)
    _write_rejected(plan, folder)
    for part in ("train", "valid", "test"):
        chosen = rows.of_part(part)
        most = _MOST_TRAIN_SCORED if task.is_numeric else _MOST_TRAIN_WRITTEN
        scored = _sampled(chosen, plan.config.seed, most) if part == "train" else chosen
        fields = {name: [values[i] for i in scored] for name, values in rows.fields.items()}
        assembled = task_model.assemble(fields)
        fine = assembled.good
        budget = plan.config.stages.task.batch_tokens
        prediction = task_model.predict(assembled.select(fine), budget, on_progress)
        if isinstance(rows.targets, np.ndarray):
            truth: Any = rows.targets[scored[fine]]
        else:
            truth = [rows.targets[i] for i in scored[fine]]
        splits[part] = {"rows": len(chosen), "metrics": rounded(score(task, truth, prediction))}
        if len(fine) < len(chosen):
            splits[part]["rows_scored"] = len(fine)
        named = {name: [fields[name][i] for i in fine] for name in task.wording.tag_columns}
        if part != "train":
            splits[part] |= grouped(task, named, truth, prediction, trained)
        if part != "train":
            _write_predictions(plan, folder, part, scored[fine], truth, prediction)
        spans = {field: [fields[field][i] for i in fine] for field in task.span_fields}
        events[part] = Part(fields=spans, truth=truth, prediction=prediction)
    if task.is_numeric:
        _add_references(plan, folder, splits, {**events, "train": _whole_train(plan)})
    facts = {
        "target": _target_facts(plan),
        "source": rows.source,
        "split": rows.rule,
        "rows_left_out": len(rows.rejected),
        "splits": splits,
    }
    if signed := signatures(task):
        facts["signatures"] = signed
    return {
        "taglm": __version__,
        "backbone": {"name": plan.backbone.name, "fingerprint": plan.fingerprint.key},
        "precision": plan.precision,
        "seed": plan.config.seed,
        "tasks": {task.name: facts},
    }


def _sampled(indices: np.ndarray, seed: int, most: int) -> np.ndarray:
    """Return at most some of the training rows; their score is a diagnostic only."""
    if len(indices) <= most:
        return indices
    rng = np.random.default_rng([seed, 3])
    return np.sort(rng.permutation(indices)[:most])


def _whole_train(plan: Plan) -> Part:
    """Return every training row, so that reference predictors are fitted on all of them."""
    chosen = plan.rows.of_part("train")
    fields = {f: [plan.rows.fields[f][i] for i in chosen] for f in plan.task.span_fields}
    return Part(fields=fields, truth=plan.rows.targets[chosen], prediction=None)


def _add_references(
    plan: Plan, folder: RunFolder, splits: dict[str, Any], parts: Mapping[str, Part]
) -> None:
    task = plan.task
    features = {}
    for field in task.span_fields:
        domain = task.domain_of_field(field)
        if domain is not None and domain.spec.features is not None:
            features[field] = resolve(domain.spec.features, f"domain {domain.name}, features")
    target = task.spec.target
    if isinstance(target, Classification):
        target = attrs.evolve(target, classes=plan.rows.classes)
    event = Evaluated(
        task=task.name,
        target=target,
        parts=parts,
        features=features,
        score=scorer(task),
        seed=plan.config.seed,
        folder=folder.path,
    )
    for source, result in plan.registry.send("on_evaluated", event):
        for part, found in (result.get("references") or {}).items():
            held = splits.setdefault(part, {}).setdefault("references", {})
            for name, metrics in found.items():
                unique = name if name not in held else f"{source.name}/{name}"
                held[unique] = rounded(metrics)


def _target_facts(plan: Plan) -> dict[str, Any]:
    target = plan.task.spec.target
    facts: dict[str, Any] = {"kind": target.kind}
    if isinstance(target, Regression):
        facts |= {"names": list(target.names), "unit": target.unit}
    if isinstance(target, Classification):
        facts |= {"names": list(target.names), "classes": list(plan.rows.classes)}
    return facts


def _write_split(plan: Plan, folder: RunFolder) -> None:
    with TableWriter(folder.path / "split.csv") as writer:
        writer.write({"row": plan.rows.numbers, "part": plan.rows.parts})


def _write_rejected(plan: Plan, folder: RunFolder) -> None:
    if plan.rows.rejected:
        with TableWriter(folder.path / "rejected.csv") as writer:
            rows, reasons = zip(*plan.rows.rejected, strict=True)
            writer.write({"row": list(rows), "reason": list(reasons)})


def _write_predictions(
    plan: Plan, folder: RunFolder, part: str, chosen: np.ndarray, truth: Any, prediction: Any
) -> None:
    rows = plan.rows
    columns: dict[str, list[Any]] = {"row": [rows.numbers[i] for i in chosen]}
    for name in [*plan.task.wording.tag_columns, *plan.task.span_fields]:
        columns[name] = [rows.fields[name][i] for i in chosen]
    target = plan.task.spec.target
    if isinstance(target, Regression) or (
        isinstance(target, Classification) and target.multi_label
    ):
        columns |= {f"{n}.measured": truth[:, k].tolist() for k, n in enumerate(target.names)}
    elif isinstance(target, Classification):
        columns["measured"] = [rows.classes[k] for k in truth]
    else:
        columns["measured"] = truth
    columns |= prediction_columns(plan.task, rows.classes, prediction)
    (folder.path / "predictions").mkdir(exist_ok=True)
    with TableWriter(folder.path / "predictions" / f"{part}.csv") as writer:
        writer.write(columns)
