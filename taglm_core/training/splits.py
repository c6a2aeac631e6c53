"""The rows of a run's splits, assembled, drawn and with the constant part of each kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.data.rowerrors import raise_rows
from taglm_core.data.weights import scaled_weights
from taglm_core.errors import RowError, counted
from taglm_core.model.assembly import Rows, join_rows
from taglm_core.model.prefix_cache import CachedRows, CachedStates, PrefixCache
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress, say_detail
from taglm_core.specs.reference import resolve
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.training import processes
from taglm_core.training.plan import Plan


@attrs.define
class SplitData:
    """The rows of one split, assembled."""

    rows: Rows
    targets: Any
    """float64 `(rows, targets)`, int64 class indices, or texts."""
    fields: dict[str, list[Any]] = attrs.field(factory=dict)
    """Field -> values of these rows, for what is computed of them beside the states."""
    cached: CachedStates | None = None
    """Cached segments of the rows; None: whole rows are run."""
    weights: np.ndarray | None = None
    """float64 `(rows,)`, mean 1: what each row counts; None: all count the same."""
    num_rows: int = 0
    """Rows of the data that these are; more spellings and orders of them do not count."""


def assemble_splits(plan: Plan, task_model: TaskModel) -> dict[str, SplitData]:
    """Assemble each split; rows that are too long for the backbone follow the policy."""
    splits: dict[str, SplitData] = {}
    bad: list[tuple[int, str]] = []
    for split in ("train", "valid", "test"):
        splits[split], errors = _assembled(plan, task_model, split)
        bad += errors
    _check_usable(plan, splits, sorted(bad))
    return splits


def _assembled(
    plan: Plan, task_model: TaskModel, split: str
) -> tuple[SplitData, list[tuple[int, str]]]:
    """Assemble the rows of a split.

    Returns:
        Those that are used, and number and reason of each row that cannot be.
    """
    rows, with_output = plan.rows, not plan.task.is_numeric
    chosen = plan.train_rows if split == "train" else rows.of_split(split)
    fields = {name: [values[i] for i in chosen] for name, values in rows.fields.items()}
    targets: Any = (
        rows.targets[chosen]
        if isinstance(rows.targets, np.ndarray)
        else [rows.targets[i] for i in chosen]
    )
    if with_output and plan.task.prompt.output is not None:
        fields[plan.task.prompt.output.field] = targets
    assembled = task_model.assemble(fields, with_output)
    good = assembled.good
    # rows of another file are numbered by themselves
    other = f"{rows.test_source}: " if rows.test_source and split == "test" else ""
    bad = [(rows.numbers[chosen[i]], other + e) for i, e in enumerate(assembled.errors) if e]
    weights = None
    if split == "train" and rows.weights is not None:
        weights = scaled_weights(rows.weights[chosen], rows.source)
    made = _chosen(SplitData(assembled, targets, fields, weights=weights), good)
    if split == "train":
        made = _limit_and_augment(plan, task_model, made, fields, good)
    elif split == "valid":
        made = _limit_valid(plan, task_model, made, fields, good)
    return made, bad


def _limit_valid(
    plan: Plan, task_model: TaskModel, split: SplitData, fields: Mapping[str, Any], good: np.ndarray
) -> SplitData:
    """Draw the validation rows asked for, and add the other order of them.

    Early stopping judges both orders, each as a row of its own.
    """
    keep = _drawn(plan, len(good), plan.config.stages.task.valid_rows)
    drawn = _chosen(split, keep)
    kept = {name: [values[good[i]] for i in keep] for name, values in fields.items()}
    return _joined([drawn, *_other_orders(task_model, kept, drawn.targets)])


def _check_usable(
    plan: Plan, splits: Mapping[str, SplitData], bad: Sequence[tuple[int, str]]
) -> None:
    """Note the rows that cannot be used.

    Args:
        plan: Whose settings say whether there may be any.
        splits: With the others.
        bad: Number and reason of each, in order.

    Raises:
        RowError: when there may be none, or when no row of a split is left.
    """
    data, rows = plan.config.data, plan.rows
    if bad and (data.on_long == "error" and data.on_error == "raise"):
        fix = "Shorten or remove the rows, or skip them with --on-long skip."
        if plan.config.stages.task.few_shot:
            fix = f"{fix} Fewer demonstrations (stages.task.few_shot) make each prompt shorter."
        raise_rows(rows.source, bad, len(rows), fix)
    rows.rejected.extend(bad)
    for split, held in splits.items():
        if not len(held.rows):
            first = f", the first is row {bad[0][0]}: {bad[0][1]}" if bad else ""
            raise RowError(
                f"{rows.source}: no usable rows are left in the {split} split. "
                f"{counted(len(bad), 'row')} cannot be used{first}."
            )


def _limit_and_augment(
    plan: Plan, task_model: TaskModel, split: SplitData, fields: Mapping[str, Any], good: np.ndarray
) -> SplitData:
    """Draw the training rows asked for, and add other spellings and the other order of them."""
    settings = plan.config.stages.task
    rng = np.random.default_rng([plan.config.seed, 2])
    keep = _drawn(plan, len(split.rows), settings.rows)
    made = [_chosen(split, keep)]
    kept = {name: [values[good[i]] for i in keep] for name, values in fields.items()}
    same = (made[0].targets, made[0].weights)
    made += _other_orders(task_model, kept, *same)
    for _ in range(settings.augment):
        other = dict(kept)
        for field in plan.task.span_fields:
            domain = plan.task.domain_of_field(field)
            if domain is not None and domain.spec.augment is not None:
                augment = resolve(domain.spec.augment, f"domain {domain.name}, augment")
                other[field] = augment(other[field], rng)
        assembled = task_model.assemble(other, not plan.task.is_numeric, like=kept)
        made.append(_chosen(SplitData(assembled, same[0], other, weights=same[1]), assembled.good))
        made += _other_orders(task_model, other, *same, like=kept)
    return attrs.evolve(_joined(made), num_rows=len(keep))


def _other_orders(
    task_model: TaskModel,
    fields: Mapping[str, Any],
    targets: Any,
    weights: np.ndarray | None = None,
    like: Mapping[str, Any] | None = None,
) -> list[SplitData]:
    """Assemble the rows of a symmetric task in their other order; [] for any other task."""
    made = []
    for order in task_model.task.orders(fields)[1:]:
        assembled = task_model.assemble(order, like=like)
        held = SplitData(assembled, targets, dict(order), weights=weights)
        made.append(_chosen(held, assembled.good))
    return made


def _drawn(plan: Plan, count: int, most: int | None) -> np.ndarray:
    """Return the sorted indices of at most `most` of `count` rows, by the seed."""
    if most is None or most >= count:
        return np.arange(count)
    rng = np.random.default_rng([plan.config.seed, 4])
    return np.sort(rng.permutation(count)[:most])


def _chosen(split: SplitData, keep: np.ndarray) -> SplitData:
    fields = {name: [values[i] for i in keep] for name, values in split.fields.items()}
    weights = None if split.weights is None else split.weights[keep]
    targets: Any = split.targets
    if isinstance(targets, np.ndarray):
        targets = targets[keep]
    else:
        targets = [targets[i] for i in keep]
    return SplitData(split.rows.select(keep), targets, fields, weights=weights)


def _joined(splits: list[SplitData]) -> SplitData:
    rows = join_rows([split.rows for split in splits])
    fields = {
        name: [value for split in splits for value in split.fields[name]]
        for name in splits[0].fields
    }
    held = [split.weights for split in splits if split.weights is not None]
    targets = _joined_targets([split.targets for split in splits])
    return SplitData(rows, targets, fields, weights=np.concatenate(held) if held else None)


def _joined_targets(targets: list[Any]) -> Any:
    if isinstance(targets[0], np.ndarray):
        return np.concatenate(targets)
    return [t for held in targets for t in held]


def prepare_cache(
    plans: Sequence[Plan], task_models: Sequence[TaskModel], folder: Path, progress: Progress
) -> None:
    """Give task models of one tagged model a cache, and say what the backbone does not allow.

    They share it: rows of one task may hold what rows of another do.

    Args:
        plans: Of the tasks; the settings are the same for all.
        task_models: One for each plan.
        folder: Where a file of segments may lie.
        progress: Hears the remarks.
    """
    plan, model = plans[0], task_models[0].model
    key = fingerprint_of([plan.is_isolated, {t: d.fingerprint for t, d in plan.domains.items()}])
    held = plan.caches.get(key)
    if held is not None:  # of a run before this one on the same backbone and domain tags
        cache: PrefixCache | None = attrs.evolve(held, model=model)
    else:
        cache, remarks = PrefixCache.open(model, plan.config.stages.task.cache, folder)
        for line in remarks:
            say_detail(progress, line)
    if cache is None:
        return
    plan.caches[key] = cache
    for task_model in task_models:
        task_model.prefix_cache = cache
    is_wanted = any(plan.is_isolated and len(plan.task.prompt.spans) > 1 for plan in plans)
    if cache.reason and is_wanted:
        say_detail(progress, f"spans are not shared between rows on this backbone: {cache.reason}")


def cached_rows(
    plan: Plan, task_model: TaskModel, splits: dict[str, SplitData], progress: Progress
) -> dict[str, CachedRows]:
    """Divide training and validation rows into segments; {} where no cache of them is worth it."""
    settings, cache = plan.config.stages.task, task_model.prefix_cache
    if cache is None or not all(cache.fits(splits[split].rows) for split in ("valid", "train")):
        return {}
    cached = {
        split: cache.rows(splits[split].rows, plan.is_isolated, settings.batch_tokens)
        for split in ("valid", "train")
    }
    reckoned = cache.training_plan(list(cached.values()), settings.epochs)
    say_detail(progress, reckoned.line())
    return cached if reckoned.is_worth else {}


def fill_cache(
    plan: Plan,
    task_model: TaskModel,
    splits: dict[str, SplitData],
    cached: Mapping[str, CachedRows],
    progress: Progress,
) -> None:
    """Compute what stands before the function tags once, for training and validation rows.

    Whatever the cache holds, the results are the same; only the time differs.

    Args:
        plan: Of the task.
        task_model: Its model.
        splits: Its rows, which get what is kept of them.
        cached: As `cached_rows` gives it.
        progress: Shows how far it is.
    """
    cache = task_model.prefix_cache
    if cache is None:
        return
    if not all(cache.fits(splits[split].rows) for split in ("valid", "train")):
        _keep_whole_prefixes(plan, cache, splits, progress)
        return
    for split, rows in cached.items():
        progress.start(f"segments of the {split} split", len(rows.segments.keys))
        own = processes.is_own(np.arange(len(rows.rows)))
        rows.fill(progress.advance, only=None if own.all() else own)
        progress.finish()
        splits[split].cached = rows


def _keep_whole_prefixes(
    plan: Plan, cache: PrefixCache, splits: dict[str, SplitData], progress: Progress
) -> None:
    """Keep whole prefixes where attention cannot read segments in place."""
    limit = cache.device_bytes
    for split in ("valid", "train"):
        rows = splits[split].rows
        progress.start(f"prefixes of the {split} split", len(rows))
        max_tokens = plan.config.stages.task.batch_tokens
        kept = cache.whole_prefixes(rows, plan.is_isolated, max_tokens, limit, progress.advance)
        progress.finish()
        splits[split].cached = kept
        limit -= kept.num_bytes
        if kept.num_cached < len(rows):
            progress.say(
                f"{kept.num_cached} of {len(rows)} prefixes of the {split} split fit the memory "
                "limit of the cache; the others are computed again at each use (--cache)"
            )


def combinations(plan: Plan) -> list[tuple[str, ...]]:
    """Return the tags that columns name together in training rows, in the order of the columns."""
    rows = plan.rows
    columns = [rows.fields[name] for name in plan.task.prompt.tag_columns]
    if not columns:
        return []
    return sorted({tuple(str(column[i]) for column in columns) for i in rows.of_split("train")})
