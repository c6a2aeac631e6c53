"""Whether a head that is fitted in passes reads features beside the states: validation decides."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch

from taglm_core.errors import ConfigError
from taglm_core.model.ensemble import EnsembleMember
from taglm_core.model.features import (
    DESCRIPTORS,
    FEATURES,
    KINDS,
    FeatureReader,
    FeatureRecord,
    feature_reader,
)
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress, progress_bar, say_detail
from taglm_core.training.head_fitter import HeadFitter
from taglm_core.training.head_loss import ReadRows
from taglm_core.training.head_settings import LINEAR, why_no_features
from taglm_core.training.objectives import HeadObjective, TaskObjective
from taglm_core.training.plan import Plan
from taglm_core.training.recipe import FIT_KEYS
from taglm_core.training.splits import SplitData

GAIN_OF_FEATURES = 0.98
"""A head with features is taken if its cost is below this share of the other's, since features
take time to compute."""
STATES = "states"
"""Name of the choice without features."""
_MOST_NUMBERS = 3 * 10**8
"""Rows times columns of the features that are held in memory while a head is fitted."""


def choose_features(
    plan: Plan, objective: TaskObjective, splits: Mapping[str, SplitData], progress: Progress
) -> dict[str, Any]:
    """Give a task model the head with features that validates best, if that gains enough.

    Tried are the descriptors of the domains, and their features in place of these, each with the
    numbers and categories of text fields. Later members of an ensemble read what the first reads.

    Returns:
        What was compared, for the lineage; {} where there was no choice.
    """
    settings = plan.config.stages.task
    if settings.head == LINEAR or not isinstance(objective, HeadObjective):
        return {}
    if not may_read_features(plan) or why_no_features(settings, plan.task.spec.target) is not None:
        return {}
    task_model, loss = objective.task_model, objective.head_loss
    recipe = plan.recipe.heads[plan.task.name].choice if plan.recipe is not None else None
    if recipe is not None and recipe.get("chosen", STATES) == STATES:
        return dict(recipe)
    sample, states, targets = objective.fitted_rows()
    fields = (some_of(splits["train"].fields, sample), splits["valid"].fields)
    valid = ReadRows(objective.valid_states(), objective.valid.targets)
    costs, best = {STATES: loss.of(valid)}, _kept(task_model)
    fits: dict[str, dict[str, float]] = {STATES: {}}
    chosen = STATES
    for name, reader in _candidates(plan, task_model, fields[0], recipe):
        task_model.set_head(plan.seeded_head(sum(reader.blocks)), reader)
        with progress_bar(f"fitting a head with {name}"):
            read = [
                torch.cat([own, reader.read(values)], dim=1)
                for own, values in zip((states, valid.states), fields, strict=True)
            ]
            fixed = {"fit_pass": recipe["fit_pass"]} if recipe is not None else None
            fitter = HeadFitter(loss, plan.config.seed, settings.fit_epochs, fixed)
            rows = ReadRows(read[1], valid.targets)
            found = fitter.fit(read[0], targets, rows, objective.weights_of(sample))
            fits[name] = {key: value for key, value in found.items() if key in FIT_KEYS}
            costs[name] = loss.of(rows)
        is_first = chosen == STATES and (settings.features == "on" or recipe is not None)
        if is_first or costs[name] < GAIN_OF_FEATURES * costs[chosen]:
            chosen, best = name, _kept(task_model)
    task_model.become(best)
    if len(costs) == 1:
        return {}
    progress.say(f"head: {settings.head} on {chosen}")
    shown = "; ".join(f"{name} {cost:.4f}" for name, cost in costs.items())
    say_detail(progress, f"loss on the valid split: {shown}")
    if recipe is not None:
        return dict(recipe)
    reads = best.features.sources if best.features is not None else []
    return {"chosen": chosen, "valid_losses": costs, "reads": reads, **fits[chosen]}


def _kept(task_model: TaskModel) -> EnsembleMember:
    """Return the present head with a scaling of its own, which a fit of another may change."""
    return attrs.evolve(task_model.member(), scaling=task_model.scaling.copy())


def _candidates(
    plan: Plan,
    task_model: TaskModel,
    train: Mapping[str, Sequence[Any]],
    recipe: Mapping[str, Any] | None,
) -> Iterator[tuple[str, FeatureReader]]:
    """Yield what a head may read beside the states, by name."""
    if task_model.others:
        given = task_model.others[0].features
        if given is not None:
            yield f"{STATES}, {words(given)}", given
        return
    if recipe is not None:
        reader = feature_reader(plan.task, plan.registry, KINDS, train, recipe["reads"])
        assert reader is not None, "the fields of the task are those of the run that was scored"
        yield recipe["chosen"], reader
        return
    num_rows, held = len(next(iter(train.values()), ())), set[tuple[FeatureRecord, ...]]()
    for kinds in (KINDS[:1], KINDS):
        reader = feature_reader(plan.task, plan.registry, kinds, train)
        reader = reader and _finer(reader, plan, train)
        if reader is None or reader.records in held:
            continue
        held.add(reader.records)
        if num_rows * sum(reader.blocks) <= _MOST_NUMBERS:
            yield f"{STATES}, {words(reader)}", reader
    if not held and plan.config.stages.task.features == "on":
        raise no_features(plan)


def _finer(reader: FeatureReader, plan: Plan, train: Mapping[str, Sequence[Any]]) -> FeatureReader:
    """Read the features of a field, where it has any, in place of its descriptors.

    Not where its values are so few that the descriptors tell them apart already.
    """
    widths = {r.field: r.width for r in reader.records if r.kind == DESCRIPTORS}
    finer = {
        r.field
        for r in reader.records
        if r.kind == FEATURES and len(set(train[r.field])) > widths.get(r.field, 0)
    }
    kept = [
        record
        for record in reader.records
        if record.kind not in KINDS
        or record.kind == (FEATURES if record.field in finer else DESCRIPTORS)
    ]
    return FeatureReader.of_records(kept, plan.registry)


def may_read_features(plan: Plan) -> bool:
    """Whether the settings and the target allow features beside the states."""
    features = plan.config.stages.task.features
    is_computed = getattr(plan.task.spec.target, "compute", None) is not None
    return not (features == "off" or (features == "auto" and is_computed))


def no_features(plan: Plan) -> ConfigError:
    """Return the error of a task that asks for features and has none."""
    return ConfigError(
        f"task {plan.task.name}: stages.task.features=on, but no domain of its fields computes "
        "descriptors and no text field holds numbers or categories. Leave features=auto."
    )


def words(reader: FeatureReader) -> str:
    """Return features in words, such as "descriptors of smiles, number of dose"."""
    return ", ".join(f"{record.kind} of {record.field}" for record in reader.records)


def some_of(fields: Mapping[str, Any], sample: np.ndarray) -> dict[str, list[Any]]:
    """Return the fields of some rows."""
    return {name: [values[i] for i in sample] for name, values in fields.items()}
