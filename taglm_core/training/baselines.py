"""Fitting the baselines of a task: which ones, what they predict, their scores and seconds."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.data.masks import is_known, same_rows
from taglm_core.errors import ConfigError, PluginError, ShapeError, listed
from taglm_core.inference.scores import plain
from taglm_core.plugins import Registered, Registry
from taglm_core.progress import progress_bar
from taglm_core.specs import (
    Baseline,
    BaselineResult,
    Classification,
    Regression,
    SplitData,
    Target,
    TaskData,
)
from taglm_core.specs.baselines import BASELINE_WORDS
from taglm_core.specs.isolation import call_plugin, shown
from taglm_core.specs.reference import resolve
from taglm_core.training.peak_memory import peak_memory

logger = logging.getLogger(__name__)

_MOST_REMEMBERED_BYTES = 1 << 29
"""Memory for the features of rows that several groups of targets share."""

_SLOW_SECONDS = 1.0
"""From which on the time of a baseline is shown."""

Score = Callable[[np.ndarray, np.ndarray], dict[str, float]]


@attrs.frozen
class BaselineScores:
    """What the baselines of a task reach."""

    scores: dict[str, dict[str, dict[str, Any]]]
    """Split -> baseline -> metric -> value."""
    facts: dict[str, dict[str, float]]
    """Baseline -> `fit_seconds` (fitting and predicting), `feature_seconds` (the features that it
    reads, which baselines share), `peak_bytes` (largest resident memory of the process meanwhile)
    and what bounded it."""
    feature_seconds: float
    """Time spent in all feature functions."""
    predictions: dict[str, dict[str, np.ndarray]] = attrs.field(factory=dict)
    """Baseline -> split -> what it predicts for valid and test."""


def choose_baselines(names: Sequence[str], registry: Registry) -> list[Registered[Baseline]]:
    """Look up the baselines of a run.

    Args:
        names: Registered names, or "default", "all" or "none" alone.
        registry: Where they are looked up.

    Raises:
        UnknownNameError: for a name that no plugin registers.
        ConfigError: when "default", "all" or "none" stands beside names.
    """
    words = [name for name in names if name in BASELINE_WORDS]
    if words and len(names) > 1:
        raise ConfigError(
            f"baselines: '{words[0]}' cannot be combined with names ({listed(names)})."
        )
    if words == ["default"]:
        return [item for item in registry.baselines if item.spec.in_default]
    if words:
        return list(registry.baselines) if words == ["all"] else []
    return [registry.baselines.get(name, where="baselines") for name in dict.fromkeys(names)]


def fit_baselines(
    names: Sequence[str],
    registry: Registry,
    data: TaskData,
    score: Score,
    judged: Mapping[str, np.ndarray] | None = None,
    until: float | None = None,
) -> BaselineScores:
    """Fit and score the baselines of a task, one after the other.

    One that fails is recorded in the registry, charged to its plugin, and left out. One that does
    not apply is left out; it is logged when the run names it.

    Args:
        names: Names of baselines, "default", "all" or "none".
        registry: Where they are looked up.
        data: The rows.
        score: The task's metrics of (truth, prediction).
        judged: Split -> truth that predictions are scored against where it is another than that of
            `data`, as where limits are fitted as values.
        until: Seconds of `time.monotonic` after which no baseline but the first is begun; what is
            left out is logged. None: no limit.
    """
    groups = groups_of_targets(data)
    clocks = _Clocks.of(data, len(groups) > 1)
    data = clocks.put_into(data)
    for group in groups:
        group.data = clocks.put_into(group.data)
    chosen = choose_baselines(names, registry)
    shorts = [item.short for item in chosen]
    found = BaselineScores({}, {}, 0.0)
    late: list[str] = []
    with progress_bar(f"fitting the baselines of {data.task}", len(chosen)) as advance:
        for done, item in enumerate(chosen, start=1):
            if until is not None and done > 1 and time.monotonic() > until:
                late += [item.short] if item.spec.why_not(data) is None else []
                continue
            with progress_bar(item.short):
                result, facts, reason = _fit_one(item, registry, data, groups, clocks)
            if result is not None:
                name = item.short if shorts.count(item.short) == 1 else item.name
                _add(found, name, result, facts, data, score, judged or {})
            elif reason and (item.short in names or item.name in names):
                said = f"{data.task}: baseline '{item.short}' does not apply: {reason}"
                logger.warning("%s", said)
            advance(done, _slowest(found, clocks.seconds) if done == len(chosen) else "")
    if late:
        logger.warning(
            "%s: the time limit of the run (--time) skips the baselines %s, since reading and "
            "other baselines used up their share. Name them with --baselines to fit them.",
            data.task,
            listed(late),
        )
    return attrs.evolve(found, feature_seconds=round(clocks.seconds, 3))


def _fit_one(
    item: Registered[Baseline],
    registry: Registry,
    data: TaskData,
    groups: Sequence["TargetGroup"],
    clocks: "_Clocks",
) -> tuple[BaselineResult | None, dict[str, float], str]:
    """Fit a baseline that applies.

    Returns:
        Its result, what it cost, and why there is none; "" where it failed, which is recorded.
    """
    reason = item.spec.why_not(data)
    if reason is not None:
        return None, {}, reason
    try:
        resolve(item.spec.function, f"baseline {item.name}")  # an import is no fit
        before, in_features = time.perf_counter(), clocks.seconds
        with peak_memory() as peak:
            result = _fit_groups(item, data, groups)
    except PluginError as error:
        registry.fail(item.source, "register_baselines", str(error))
        return None, {}, ""
    spent = time.perf_counter() - before - (clocks.seconds - in_features)
    if result is None:
        return None, {}, "it finds nothing to fit in these rows"
    facts = {"fit_seconds": spent, "feature_seconds": clocks.seconds_of(item.spec)}
    memory = peak.num_bytes if result.peak_bytes is None else result.peak_bytes
    return result, facts | {"peak_bytes": memory}, ""


def _slowest(found: BaselineScores, feature_seconds: float) -> str:
    """Return what took a second or more, the longest first; "" where nothing did."""
    spent = {name: facts["fit_seconds"] for name, facts in found.facts.items()}
    spent["features"] = feature_seconds
    slow = sorted((s, name) for name, s in spent.items() if s >= _SLOW_SECONDS)
    return ", ".join(f"{name} {seconds:.0f} s" for seconds, name in reversed(slow))


@attrs.define
class TargetGroup:
    """Targets that are known in the same rows, as a task of its own."""

    columns: np.ndarray
    """int64: which targets."""
    rows: dict[str, np.ndarray]
    """Split -> int64 indices of the rows that have them."""
    data: TaskData
    """These targets and these rows alone."""


def groups_of_targets(data: TaskData) -> list[TargetGroup]:
    """Cut a task with gaps into tasks without: each has targets that the same rows have.

    Baselines are then fitted to each target's own rows and need to know nothing of gaps.

    Returns:
        One group of the task as it is where no target is missing; a group whose targets no
        training row has is left out.
    """
    truth = {split: np.asarray(held.truth) for split, held in data.splits.items()}
    known = {split: is_known(values) for split, values in truth.items()}
    if all(held.all() for held in known.values()):
        every = {split: np.arange(len(values)) for split, values in truth.items()}
        return [TargetGroup(np.arange(len(getattr(data.target, "names", ()))), every, data)]
    found = []
    for columns in same_rows(np.concatenate(list(known.values()))):
        rows = {split: np.flatnonzero(held[:, columns[0]]) for split, held in known.items()}
        rows = {split: places for split, places in rows.items() if len(places)}
        if "train" in rows:
            splits = {s: _picked(data.splits[s], places, columns) for s, places in rows.items()}
            target = _some_of(data.target, columns)
            found.append(
                TargetGroup(columns, rows, attrs.evolve(data, target=target, splits=splits))
            )
    return found


def _some_of(target: Target, columns: np.ndarray) -> Target:
    assert isinstance(target, Regression | Classification), "text has no columns"
    names = tuple(target.names[k] for k in columns)
    held = None if target.columns is None else tuple(target.columns[k] for k in columns)
    return attrs.evolve(target, names=names, columns=held)


def _picked(split: SplitData, rows: np.ndarray, columns: np.ndarray) -> SplitData:
    return SplitData(
        fields={name: [values[i] for i in rows] for name, values in split.fields.items()},
        texts={name: [values[i] for i in rows] for name, values in split.texts.items()},
        truth=np.asarray(split.truth)[np.ix_(rows, columns)],
    )


def _fit_groups(
    item: Registered[Baseline], data: TaskData, groups: Sequence[TargetGroup]
) -> BaselineResult | None:
    """Fit a baseline to each group; NaN where a row lacks the target.

    Raises:
        PluginError: whatever it raises, or when its answer has another form.
    """
    if len(groups) == 1 and groups[0].data.splits.keys() == data.splits.keys():
        if all(len(groups[0].rows[s]) == len(held.truth) for s, held in data.splits.items()):
            return _fit(item, groups[0].data)
    predictions: dict[str, np.ndarray] = {}
    limits: dict[str, float] = {}
    peaks: list[int] = []
    for group in groups:
        result = _fit(item, group.data)
        if result is None:
            return None
        peaks += [] if result.peak_bytes is None else [result.peak_bytes]
        for split, values in result.predictions.items():
            shape = np.asarray(data.splits[split].truth).shape
            made = predictions.setdefault(split, np.full(shape, np.nan))
            made[np.ix_(group.rows[split], group.columns)] = values
        limits |= result.limits
    return BaselineResult(predictions, limits, max(peaks, default=None))


def _fit(item: Registered[Baseline], data: TaskData) -> BaselineResult | None:
    """Call one baseline and check the shapes of what it gives.

    Raises:
        PluginError: whatever it raises, or when its answer has another form.
    """
    where = f"baseline {item.name}"
    result = call_plugin(lambda: resolve(item.spec.function, where)(data))
    if result is None:
        return None
    if not isinstance(result, BaselineResult):
        raise PluginError(f"{where} gave {shown(result)}, expected a BaselineResult or None")
    predictions = {}
    for split, values in result.predictions.items():
        if split not in data.splits:
            raise PluginError(f"{where} predicts the split {shown(split)}, which the task lacks")
        try:
            predictions[split] = checked_prediction(values, data, split)
        except ShapeError as error:
            raise PluginError(f"{where}, {split}: {error}") from error
    return attrs.evolve(result, predictions=predictions)


def checked_prediction(values: Any, data: TaskData, split: str) -> np.ndarray:
    """Return a prediction as float64 of the shape that the metrics take.

    Raises:
        ShapeError: when it has another shape, or holds what is no number.
    """
    truth = data.splits[split].truth
    try:
        made = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{shown(values)} is not an array of numbers") from error
    wanted = truth.shape
    if isinstance(data.target, Classification) and not data.target.multi_label:
        width = len(data.target.classes or ())
        wanted = (len(truth), max(width, made.shape[1] if made.ndim == 2 else 0))
    if made.shape != wanted:
        raise ShapeError(f"the prediction has the shape {made.shape}, expected {wanted}")
    if not np.isfinite(made).all():
        raise ShapeError(f"{int((~np.isfinite(made)).sum())} predictions are not finite numbers")
    return made


def _add(
    found: BaselineScores,
    name: str,
    result: BaselineResult,
    facts: Mapping[str, float],
    data: TaskData,
    score: Score,
    judged: Mapping[str, np.ndarray],
) -> None:
    for split, values in result.predictions.items():
        metrics = plain(score(judged.get(split, data.splits[split].truth), values))
        found.scores.setdefault(split, {})[name] = metrics
    found.predictions[name] = {s: v for s, v in result.predictions.items() if s != "train"}
    found.facts[name] = {k: round(value, 3) for k, value in facts.items()} | dict(result.limits)
    if result.limits:
        limits = ", ".join(f"{key} {value:,}" for key, value in result.limits.items())
        logger.info("%s: baseline '%s' uses a part of the data: %s", data.task, name, limits)


class _Clock:
    """A feature function that adds up the seconds spent in it.

    Where several groups of targets ask for the same rows it remembers their features.
    """

    def __init__(self, function: Callable[[Sequence[str]], np.ndarray], remembers: bool) -> None:
        self._function = function
        self._remembers = remembers
        self._held: dict[str, np.ndarray] = {}
        self.seconds = 0.0

    def __call__(self, rows: Sequence[str]) -> np.ndarray:
        begin = time.perf_counter()
        try:
            return self._remembered(rows) if self._remembers else self._function(rows)
        finally:
            self.seconds += time.perf_counter() - begin

    def _remembered(self, rows: Sequence[str]) -> np.ndarray:
        new = [row for row in dict.fromkeys(rows) if row not in self._held]
        made = dict(zip(new, self._function(new), strict=True)) if new else {}
        features = np.stack([made[row] if row in made else self._held[row] for row in rows])
        room = _MOST_REMEMBERED_BYTES - len(self._held) * features[0].nbytes
        for row, values in list(made.items())[: max(0, room // max(1, features[0].nbytes))]:
            self._held[row] = values
        return features


@attrs.frozen
class _Clocks:
    """The feature functions of a task, each with a clock."""

    features: dict[str, _Clock]
    descriptors: dict[str, _Clock]

    @classmethod
    def of(cls, data: TaskData, remembers: bool) -> "_Clocks":
        """Return clocks for the functions of a task."""
        made = (
            {field: _Clock(function, remembers) for field, function in functions.items()}
            for functions in (data.features, data.descriptors)
        )
        return cls(*made)

    def put_into(self, data: TaskData) -> TaskData:
        """Return a task with these functions, and with nothing shared yet."""
        return attrs.evolve(data, features=self.features, descriptors=self.descriptors, shared={})

    @property
    def seconds(self) -> float:
        """Time spent in all functions."""
        return _seconds(self.features) + _seconds(self.descriptors)

    def seconds_of(self, spec: Baseline) -> float:
        """Return the time that the features which a baseline needs took."""
        features = _seconds(self.features) if spec.needs_features else 0.0
        return features + (_seconds(self.descriptors) if spec.needs_descriptors else 0.0)


def _seconds(clocks: Mapping[str, _Clock]) -> float:
    return sum(clock.seconds for clock in clocks.values())
