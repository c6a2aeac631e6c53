"""The table of a study: a row for each group, with its spread, cost, and paired difference."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.plugin import Registry
from taglm_studies.report.bootstrap import Interval, Resampler, interval_of, metric_functions
from taglm_studies.report.facts import TaskFacts
from taglm_studies.study.folder import Member, StudyFolder

BASELINE = "baseline "
"""Before the name of a baseline in the table."""

Predicted = Mapping[int, np.ndarray]


@attrs.frozen(kw_only=True)
class Row:
    """A group of a study."""

    group: str
    values: list[float]
    """First metric on the test split, one value a seed."""
    difference: Interval | None
    """First metric minus that of the group that all are held against; None for that group."""
    costs: list[dict[str, Any]]
    valid: list[float] = attrs.field(factory=list)
    """First metric on the validation split, as far as it is known."""

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds, None of a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def cost(self, key: str) -> float | None:
        """Return the mean of what the members cost, None where it is not known."""
        known = [float(cost[key]) for cost in self.costs if cost.get(key) is not None]
        return statistics.fmean(known) if known else None


@attrs.frozen(kw_only=True)
class StudyTable:
    """The results of a study."""

    task: TaskFacts
    metric: str
    greater_is_better: bool
    first: str
    """Group that all others are held against."""
    rows: list[Row]
    """Best first."""

    def verdict(self, row: Row) -> str:
        """Return whether a group differs from the first one by more than chance."""
        if row.difference is None or math.isnan(row.difference.low):
            return ""
        if not row.difference.excludes_zero:
            return "within chance"
        return "better" if (row.difference.value > 0) == self.greater_is_better else "worse"


def study_table(
    members: Sequence[Member], study: StudyFolder, registry: Registry, first: str
) -> StudyTable:
    """Compute the table of the members that have finished, and of their baselines.

    The test rows are resampled; every group is scored on the same draws, and the mean over its
    seeds is compared.

    Args:
        members: All members; those of the first group must have finished.
        study: Their folder.
        registry: Where the metric is looked up.
        first: Group that all others are held against.
    """
    groups, costs = _finished(members, study)
    held = groups[first]
    task = next(iter(held.values()))
    metric = str(task.record["metric"]["name"])
    function = metric_functions(task, registry)[metric]
    own = {group: _predictions(facts) for group, facts in groups.items()}
    for baseline in task.baseline_names():
        known = _predictions(held, baseline)
        if len(known) == len(held):
            own[BASELINE + baseline] = known
    samplers = {seed: Resampler.of(facts) for seed, facts in held.items()}
    rows = []
    for group, predicted in own.items():
        seeds = [
            s for s in predicted if s in held and groups.get(group, held)[s].has_rows_of(held[s])
        ]
        if not seeds:
            continue
        values = [samplers[s].score(function, predicted[s]) for s in seeds]
        difference = None
        if group != first:
            pairs = [(samplers[s], predicted[s], own[first][s]) for s in seeds]
            difference = _difference(metric, function, float(np.mean(values)), pairs)
        valid = [_valid(groups[group][s], metric) for s in seeds] if group in groups else []
        rows.append(
            Row(
                group=group,
                values=values,
                difference=difference,
                costs=costs.get(group, _baseline_costs(held, group)),
                valid=[v for v in valid if v is not None],
            )
        )
    greater = bool(task.record["metric"]["greater_is_better"])
    rows.sort(key=lambda row: row.mean, reverse=greater)
    return StudyTable(task=task, metric=metric, greater_is_better=greater, first=first, rows=rows)


def _finished(
    members: Sequence[Member], study: StudyFolder
) -> tuple[dict[str, dict[int, TaskFacts]], dict[str, list[dict[str, Any]]]]:
    """Return facts by group and seed, and costs by group, of the members that have finished."""
    groups: dict[str, dict[int, TaskFacts]] = {}
    costs: dict[str, list[dict[str, Any]]] = {}
    for member in members:
        facts, cost = study.facts_of(member), study.cost_of(member)
        if facts is not None and cost is not None:
            groups.setdefault(member.group, {})[member.seed] = facts
            costs.setdefault(member.group, []).append(cost)
    return groups, costs


def _difference(
    metric: str, function: Any, mean: float, pairs: Sequence[tuple[Resampler, Any, Any]]
) -> Interval:
    """Return the mean difference of a group from the first one, with its interval.

    Args:
        metric: Name of the metric.
        function: The metric.
        mean: That of the group.
        pairs: Of each seed the draws of its test rows, and what both predict of these.
    """
    draws = [sampler.paired(metric, function, own, other) for sampler, own, other in pairs]
    others = [sampler.score(function, other) for sampler, _, other in pairs]
    return _mean_interval(mean - float(np.mean(others)), draws)


def best_on_valid(members: Sequence[Member], study: StudyFolder) -> str | None:
    """Return the group with the best mean first metric on the validation split, None for none."""
    values: dict[str, list[float]] = {}
    greater = False
    for member in members:
        facts = study.facts_of(member)
        if facts is None or "metric" not in facts.record:
            continue
        greater = bool(facts.record["metric"]["greater_is_better"])
        value = _valid(facts, str(facts.record["metric"]["name"]))
        if value is not None:
            values.setdefault(member.group, []).append(value)
    if not values:
        return None
    choose = max if greater else min
    return choose(values, key=lambda group: statistics.fmean(values[group]))


def _mean_interval(value: float, draws: Sequence[np.ndarray]) -> Interval:
    """Return the interval of a mean over seeds, whose draws are paired one with another."""
    few = min(map(len, draws))
    return interval_of(value, np.mean([draw[:few] for draw in draws], axis=0))


def _predictions(
    facts: Mapping[int, TaskFacts], baseline: str | None = None
) -> dict[int, np.ndarray]:
    """Return the predictions for the test rows of each seed that has some."""
    made = {seed: task.predicted(baseline) for seed, task in facts.items()}
    return {seed: np.asarray(values) for seed, values in made.items() if values is not None}


def _valid(task: TaskFacts, metric: str) -> float | None:
    value = task.record["splits"].get("valid", {}).get("metrics", {}).get(metric)
    return None if value is None else float(value)


def _baseline_costs(held: Mapping[int, TaskFacts], group: str) -> list[dict[str, Any]]:
    name = group.removeprefix(BASELINE)
    found = [task.record.get("baselines", {}).get(name, {}) for task in held.values()]
    return [{"seconds": f.get("fit_seconds", 0.0) + f.get("feature_seconds", 0.0)} for f in found]
