"""Prediction intervals of predictors: their columns, and how many measured values they contain."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taglm_core.data.censoring import exact_of
from taglm_core.errors import ConfigError, counted
from taglm_core.model.intervals import Intervals, check_level, least_rows, used_rank
from taglm_core.specs import Regression, Target, Task

logger = logging.getLogger(__name__)

LEVEL = 0.9
"""Level of the interval that runs and reports name."""
LEVELS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
"""Levels whose coverage metrics.json holds."""
LOW, HIGH = "_low", "_high"
"""Behind the name of a prediction column."""

_DOUBT = 0.01
"""Probability below which a coverage as low as that of the test split is no chance."""


def fitted_intervals(target: Target, truth: Any, prediction: Any) -> Intervals | None:
    """Return the intervals that validation rows give; None of a target that is not a number.

    Args:
        target: What the task predicts.
        truth: Its measured values in the validation split, `(rows, targets)`, with or without
            sides.
        prediction: `(rows, targets)`.
    """
    if not isinstance(target, Regression):
        return None
    return Intervals.of_rows(target.names, uncensored(target, truth), prediction)


def uncensored(target: Regression, truth: np.ndarray) -> np.ndarray:
    """Return the exact values, NaN where one is missing, a limit, or at the limit of all rows."""
    exact: np.ndarray = exact_of(truth)
    if target.censored_below is None:
        return exact
    return np.where(exact <= target.censored_below, np.nan, exact)


def usable_intervals(
    intervals: Intervals | None, target: Target, name: str, level: float
) -> Intervals:
    """Return the intervals of a predictor, if it has one at a level for some target.

    Args:
        intervals: Those of the predictor.
        target: What it predicts.
        name: Of its task.
        level: Share of new values that an interval is to contain.

    Raises:
        ConfigError: saying in one line why it has none.
    """
    check_level(level)
    if not isinstance(target, Regression):
        have = "its classes have probabilities" if target.kind == "classification" else ""
        why = f"it predicts {target.kind}" + (f"; {have}" if have else "")
        raise ConfigError(
            f"task {name} has no prediction intervals: {why}. Leave the interval out."
        )
    if intervals is None:
        raise ConfigError(
            f"task {name}: the predictor holds no residuals of validation rows, so it has no "
            "prediction intervals. Run the task again, or leave the interval out."
        )
    if not np.isfinite(intervals.half_widths(level)).any():
        most = max(record.rows for record in intervals.records)
        raise ConfigError(f"task {name}: {too_few(level, most)}. Ask for a lower level.")
    return intervals


def too_few(level: float, rows: int) -> str:
    """Return why there is no interval at a level."""
    need = counted(least_rows(level), "exact validation row")
    return f"no {100 * level:.10g} % interval: it needs {need} and has {rows}"


def check_intervals(intervals: Intervals | None, spec: Task, level: float) -> None:
    """Demand intervals at a level for some target, and warn of the others.

    Args:
        intervals: Those of the predictor.
        spec: Its task.
        level: Share of new values that an interval is to contain.

    Raises:
        ConfigError: see `usable_intervals`.
    """
    for record in usable_intervals(intervals, spec.target, spec.name, level).records:
        if used_rank(level, record.rows) is None:
            logger.warning("%s: %s", record.target, too_few(level, record.rows))


def interval_names(names: Sequence[str]) -> list[str]:
    """Return the columns of the intervals of prediction columns, in order."""
    return [f"{name}{end}" for name in names for end in (LOW, HIGH)]


def interval_columns(
    intervals: Intervals,
    names: Sequence[str],
    values: Any,
    good: Sequence[int],
    count: int,
    level: float,
) -> dict[str, list[float | None]]:
    """Return the columns of intervals, None where a row is invalid or a target has too few rows.

    Args:
        intervals: Of the predictor.
        names: Its prediction columns.
        values: Predictions of the good rows, `(good rows, targets)`; None where no row is good.
        good: Indices of the good rows.
        count: Number of rows.
        level: Share of new values that an interval is to contain.
    """
    columns: dict[str, list[float | None]] = {n: [None] * count for n in interval_names(names)}
    if values is None or not len(good):
        return columns
    for end, bound in zip((LOW, HIGH), intervals.bounds(values, level), strict=True):
        for k, name in enumerate(names):
            for place, value in zip(good, bound[:, k].tolist(), strict=True):
                columns[f"{name}{end}"][place] = value if math.isfinite(value) else None
    return columns


def coverage_facts(
    intervals: Intervals | None, target: Target, truth: Any, prediction: Any
) -> dict[str, Any]:
    """Return what metrics.json says of the intervals on rows whose values are measured.

    Args:
        intervals: Of the predictor.
        target: What it predicts.
        truth: `(rows, targets)`, with or without sides.
        prediction: `(rows, targets)`.

    Returns:
        `intervals`: target -> `valid_rows` that the intervals rest on, `rows` with an exact value,
        and `levels` with `level`, `covered` rows, `coverage` and `width`; {} where there are none.
    """
    if intervals is None or not isinstance(target, Regression) or not len(truth):
        return {}
    exact = uncensored(target, truth)
    known = np.isfinite(exact)
    facts: dict[str, Any] = {
        record.target: {"valid_rows": record.rows, "rows": int(known[:, k].sum()), "levels": []}
        for k, record in enumerate(intervals.records)
    }
    for level in LEVELS:
        low, high = intervals.bounds(prediction, level)
        inside = known & (exact >= low) & (exact <= high)
        for k, (record, half) in enumerate(
            zip(intervals.records, intervals.half_widths(level), strict=True)
        ):
            held = facts[record.target]
            if not held["rows"] or math.isnan(half):
                continue
            covered = int(inside[:, k].sum())
            held["levels"].append(
                {
                    "level": level,
                    "covered": covered,
                    "coverage": covered / held["rows"],
                    "width": 2 * float(half),
                }
            )
    return {"intervals": facts}


def pooled_coverage(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the coverage over the rows of several runs, and the mean of their widths.

    Args:
        found: `intervals` of the same split of each run.
    """
    pooled: dict[str, Any] = {}
    for target in found[0]:
        held = [each[target] for each in found]
        levels = [{entry["level"]: entry for entry in each["levels"]} for each in held]
        rows = sum(each["rows"] for each in held)
        pooled[target] = {
            "valid_rows": round(sum(each["valid_rows"] for each in held) / len(held)),
            "rows": rows,
            "levels": [
                {
                    "level": level,
                    "covered": (covered := sum(each[level]["covered"] for each in levels)),
                    "coverage": covered / rows,
                    "width": sum(each[level]["width"] for each in levels) / len(levels),
                }
                for level in LEVELS
                if all(level in each for each in levels)
            ],
        }
    return pooled


def at_level(facts: Mapping[str, Any], level: float = LEVEL) -> Mapping[str, Any] | None:
    """Return what is said of a target's intervals at a level, None where there are none."""
    return next((entry for entry in facts["levels"] if entry["level"] == level), None)


def coverage_sentences(
    split: Mapping[str, Any], where: str = "test row", unit: str = ""
) -> list[str]:
    """Return a sentence about the intervals of each target on a split.

    Args:
        split: What metrics.json says of the split.
        where: What its rows are called.
        unit: Unit of the values.
    """
    said = []
    intervals = split.get("intervals", {})
    for target, facts in intervals.items():
        before = f"{target}: " if len(intervals) > 1 else ""
        if not facts["rows"]:
            continue
        entry = at_level(facts)
        if entry is None:
            said.append(before + too_few(LEVEL, facts["valid_rows"]))
            continue
        said.append(
            f"{before}{percent(LEVEL)} intervals contain {percent(entry['coverage'])} of "
            f"{counted(facts['rows'], where)}; width {entry['width']:.3g}"
            + (f" {unit}" if unit not in ("", "1") else "")
        )
    return said


def undercovered(task: str, split: Mapping[str, Any]) -> str | None:
    """Return a warning where intervals contain fewer test values than chance explains.

    If test rows were exchangeable with the validation rows, the number of covered ones would have
    a beta-binomial distribution (Vovk 2012); with several targets each is judged by its share.

    Args:
        task: Its name.
        split: What metrics.json says of the test split.
    """
    intervals = split.get("intervals", {})
    low = []
    for target, facts in intervals.items():
        entry, rank = at_level(facts), used_rank(LEVEL, facts["valid_rows"])
        if entry is None or rank is None:
            continue
        chance = _chance(entry["covered"], facts["rows"], rank, facts["valid_rows"])
        if chance < _DOUBT / len(intervals):
            name = f"{target} " if len(intervals) > 1 else ""
            low.append(f"{name}{percent(entry['coverage'])} of {facts['rows']:,}")
    if not low:
        return None
    return (
        f"the {percent(LEVEL)} intervals of {task} contain only {', '.join(low)} test rows, fewer "
        "than chance explains: the test rows are less similar to the training rows than the "
        "validation rows are, or the predictor was selected on the validation rows. Expect the "
        "same for similar new rows"
    )


def _chance(covered: int, rows: int, rank: int, valid_rows: int) -> float:
    """Return the probability that at most so many of exchangeable rows are covered."""
    a, b = rank, valid_rows + 1 - rank

    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    logs = (
        -math.log(rows + 1)
        - log_beta(rows - x + 1, x + 1)
        + log_beta(x + a, rows - x + b)
        - log_beta(a, b)
        for x in range(covered + 1)
    )
    return min(1.0, math.fsum(math.exp(value) for value in logs))


def percent(share: float) -> str:
    """Return a share as a percentage with at most one decimal; more where that says 0 or 100."""
    decimals = 1
    while round(100 * share, decimals) in (0, 100) and share not in (0, 1) and decimals < 9:
        decimals += 1
    return f"{round(100 * share, decimals):.10g} %"
