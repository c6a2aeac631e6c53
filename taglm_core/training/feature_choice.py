"""Whether a head that is fitted in passes reads features beside the states: validation decides."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch

from taglm_core.errors import ConfigError
from taglm_core.model.ensemble import EnsembleMember
from taglm_core.model.feature_head import WEIGHTS_OF_STATES, FeatureHead
from taglm_core.model.features import (
    DESCRIPTORS,
    FEATURES,
    KINDS,
    FeatureReader,
    FeatureRecord,
    feature_reader,
)
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress, progress_bar, say_detail, shown_seconds
from taglm_core.training import processes
from taglm_core.training.head_fitter import HeadFitter, fit_seconds
from taglm_core.training.head_loss import HeadLoss, ReadRows
from taglm_core.training.head_settings import CHOSEN_LATER, LINEAR, why_no_features
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
    numbers and categories of text fields; the better one again with states of equal weight. Later
    members of an ensemble read what the first reads.

    Returns:
        What was compared, for the lineage; {} where there was no choice.
    """
    settings = plan.config.stages.task
    if not may_choose(plan) or not isinstance(objective, HeadObjective):
        return {}
    task_model, recipe = objective.task_model, _recipe(plan)
    if recipe is not None and recipe.get("chosen", STATES) == STATES:
        return dict(recipe)
    trial = _Trial(plan, objective, splits, progress)
    for reader, weight in candidates(plan, task_model, trial.fields["train"]):
        trial.fit(reader, weight, GAIN_OF_FEATURES)
    if trial.best.features is not None:
        for weight in other_weights(plan, task_model):
            trial.fit(trial.best.features, weight, 1.0)
    task_model.become(trial.best)
    if len(trial.costs) == 1:
        return {}
    progress.say(f"head: {settings.head} on {trial.chosen}")
    shown = "; ".join(f"{name} {cost:.4f}" for name, cost in trial.costs.items())
    say_detail(progress, f"loss on the valid split: {shown}")
    return dict(recipe) if recipe is not None else trial.record()


class _Trial:
    """Heads that are fitted to the same rows, and the best of them."""

    def __init__(
        self,
        plan: Plan,
        objective: HeadObjective,
        splits: Mapping[str, SplitData],
        progress: Progress,
    ) -> None:
        """Begin with the head on the states alone, which is fitted."""
        self.plan = plan
        self.loss = objective.head_loss
        self.task_model = objective.task_model
        recipe = _recipe(plan)
        # another run has chosen, and when to stop
        self._fixed = None if recipe is None else {"fit_pass": recipe["fit_pass"]}
        self._splits, self._progress = splits, progress
        self._sample, self._states, self._targets = objective.fitted_rows()
        self._counts = objective.weights_of(self._sample)
        self.fields = {
            "train": some_of(splits["train"].fields, self._sample),
            "valid": splits["valid"].fields,
        }
        self._valid = ReadRows(objective.valid_states(), objective.valid.targets)
        self.costs = {STATES: self.loss.of(self._valid)}
        self.fits: dict[str, dict[str, float]] = {STATES: {}}
        self.chosen, self.best = STATES, _kept(self.task_model)

    def fit(self, reader: FeatureReader, weight_of_states: float, gain: float) -> None:
        """Fit a head with features, if there is time, and keep it if it gains enough.

        Args:
            reader: The features.
            weight_of_states: Of a column of states.
            gain: Share of the cost of the best one that its cost must be below.
        """
        plan, settings = self.plan, self.plan.config.stages.task
        name = _name(reader, weight_of_states)
        is_asked = self.chosen == STATES and (settings.features == "on" or self._fixed is not None)
        if not (is_asked or self._is_in_time(reader, name)):
            return
        head = plan.seeded_head(sum(reader.blocks))
        assert isinstance(head, FeatureHead), "a head with features"
        head.weight_of_states.fill_(weight_of_states)
        self.task_model.set_head(head, reader)
        with progress_bar(f"fitting a head with {name}"):
            read = [
                torch.cat([own, reader.read(self.fields[split])], dim=1)
                for own, split in ((self._states, "train"), (self._valid.states, "valid"))
            ]
            fitter = HeadFitter(self.loss, plan.config.seed, settings.fit_epochs, self._fixed)
            rows = ReadRows(read[1], self._valid.targets)
            found = fitter.fit(read[0], self._targets, rows, self._counts)
        self.fits[name] = {key: value for key, value in found.items() if key in FIT_KEYS}
        self.costs[name] = self.loss.of(rows)
        if is_asked or self.costs[name] < gain * self.costs[self.chosen]:
            self.chosen, self.best = name, _kept(self.task_model)

    def _is_in_time(self, reader: FeatureReader, name: str) -> bool:
        """Return whether the time of the run allows a fit, and say where it does not."""
        plan, budget = self.plan, self.plan.budget
        if budget is None:
            return True
        seconds = candidate_seconds(plan, self.loss, self._splits, self._sample, reader)
        fit = f"{plan.task.name}, seed {plan.config.seed}: {name}"
        tag = f"<{plan.task.function_tag}>"
        is_in_time = processes.decided(lambda: budget.allows(tag, fit, seconds))
        if not is_in_time:
            is_first = self.chosen == STATES
            advice = ", or --set 'stages.task.features=\"on\"'" if is_first else ""
            self._progress.say(
                f"time {shown_seconds(budget.seconds)}: no head of {plan.task.name} with {name}, "
                f"whose fit takes about {shown_seconds(seconds)}. Give --time more{advice}"
            )
        return is_in_time

    def record(self) -> dict[str, Any]:
        """Return what was compared and chosen, for the lineage."""
        reads, weight = [], WEIGHTS_OF_STATES[0]
        if self.best.features is not None:
            reads, weight = self.best.features.sources, _weight_of(self.best)
        return {
            "chosen": self.chosen,
            "valid_losses": self.costs,
            "reads": reads,
            "weight_of_states": weight,
            **self.fits[self.chosen],
        }


def _weight_of(member: EnsembleMember) -> float:
    assert isinstance(member.head, FeatureHead), "a head with features"
    return round(float(member.head.weight_of_states), 6)  # held in fp32


def _name(reader: FeatureReader, weight_of_states: float) -> str:
    """Return what a head reads in words, such as "states, descriptors of smiles"."""
    states = STATES if weight_of_states == WEIGHTS_OF_STATES[0] else f"{STATES} in full"
    return f"{states}, {words(reader)}"


def _kept(task_model: TaskModel) -> EnsembleMember:
    """Return the present head with a scaling of its own, which a fit of another may change."""
    return attrs.evolve(task_model.member(), scaling=task_model.scaling.copy())


def candidate_seconds(
    plan: Plan,
    loss: HeadLoss,
    splits: Mapping[str, SplitData],
    sample: np.ndarray,
    reader: FeatureReader,
) -> float:
    """Return what it takes to read features of all splits and to fit a head with them.

    Args:
        plan: Of the task.
        loss: Of the task.
        splits: Its rows.
        sample: Training rows that the head is fitted to.
        reader: Reads the features.
    """
    train, valid = splits["train"], splits["valid"]
    columns = [some_of(train.fields, sample), valid.fields, splits["test"].fields]
    fields = {
        record.field: [value for each in columns for value in each[record.field]]
        for record in reader.records
    }
    targets = loss.targets(train.targets)[torch.from_numpy(sample)]
    num_features = sum(reader.blocks)
    width = loss.task_model.width + num_features
    recipe, epochs = _recipe(plan), plan.config.stages.task.fit_epochs
    epochs = epochs if recipe is None else int(recipe.get("fit_pass", epochs))
    head = plan.seeded_head(num_features)
    fit = fit_seconds(loss, head, width, targets, valid.targets, epochs)
    return reader.reading_seconds(fields) + fit


def _recipe(plan: Plan) -> Mapping[str, Any] | None:
    """Return the choice that a run on all rows takes over; None: there is one to make."""
    return plan.recipe.heads[plan.task.name].choice if plan.recipe is not None else None


def candidates(
    plan: Plan, task_model: TaskModel, train: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[FeatureReader, float]]:
    """Yield what a head may read beside the states, and what a column of states weighs.

    Args:
        plan: Of a task that may choose.
        task_model: Its earlier members of an ensemble read the same.
        train: Fields of the rows that the head is fitted to.
    """
    recipe = _recipe(plan)
    if recipe is not None and recipe.get("chosen", STATES) == STATES:
        return
    if task_model.others:
        first = task_model.others[0]
        if first.features is not None:
            yield first.features, _weight_of(first)
        return
    if recipe is not None:
        reader = feature_reader(plan.task, plan.registry, KINDS, train, recipe["reads"])
        assert reader is not None, "the fields of the task are those of the run that was scored"
        yield reader, recipe.get("weight_of_states", WEIGHTS_OF_STATES[0])
        return
    num_rows, held = len(next(iter(train.values()), ())), set[tuple[FeatureRecord, ...]]()
    for kinds in (KINDS[:1], KINDS):
        reader = feature_reader(plan.task, plan.registry, kinds, train)
        reader = reader and _finer(reader, plan, train)
        if reader is None or reader.records in held:
            continue
        held.add(reader.records)
        if num_rows * sum(reader.blocks) <= _MOST_NUMBERS:
            yield reader, WEIGHTS_OF_STATES[0]
    if not held and plan.config.stages.task.features == "on":
        raise no_features(plan)


def other_weights(plan: Plan, task_model: TaskModel) -> tuple[float, ...]:
    """Return what a column of states may weigh beside the first choice; (): that is given.

    Args:
        plan: Of the task.
        task_model: Its earlier members of an ensemble have chosen for all.
    """
    is_given = plan.recipe is not None or bool(task_model.others)
    return () if is_given else WEIGHTS_OF_STATES[1:]


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


def may_choose(plan: Plan) -> bool:
    """Whether the head of the settings is fitted in passes and may read features."""
    settings = plan.config.stages.task
    if settings.head in (LINEAR, *CHOSEN_LATER) or not may_read_features(plan):
        return False
    return why_no_features(settings, plan.task.spec.target) is None


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
