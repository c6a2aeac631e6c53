"""Runs of several members, one for each fold and seed: driven in turn, summarized in one folder."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.config import SplitConfig
from taglm_core.data.readers import read_table
from taglm_core.data.writers import TableWriter
from taglm_core.errors import ConfigError
from taglm_core.inference.intervals import pooled_coverage
from taglm_core.model.prefix_cache import PrefixCache
from taglm_core.progress import Progress, outer_bar, shown_seconds
from taglm_core.specs.fields import seconds_of
from taglm_core.store.runfolder import MEMBERS, RunFolder
from taglm_core.training.config import RunConfig
from taglm_core.training.plan import Plan

OnPlans = Callable[[Sequence[Plan]], None]


@attrs.define
class Shared:
    """What the members of a run share: backbone and cached prompt segments."""

    plan: Plan | None = None
    """A plan of the first member that was trained in this process."""
    caches: dict[str, PrefixCache] = attrs.field(factory=dict)
    """Domain tags and their use -> the cache of what stands before function tags."""


@attrs.frozen(kw_only=True)
class Member:
    """One run of several."""

    name: str
    """Its folder, such as `fold-2` or `seed-1-fold-2`."""
    config: RunConfig
    facts: dict[str, int]
    """`seed`, and of a cross-validation `fold` and `repeat`."""


RunMember = Callable[[Member, RunFolder, Shared, OnPlans | None], dict[str, Any]]


def members_of(config: RunConfig) -> list[Member]:
    """Return the members of a run, one for each seed, repetition and fold; [] for a single run.

    Stage 1 of all members has the first seed, so that they share their domain tags.

    Raises:
        ConfigError: when several tasks ask for different folds.
    """
    split = _split(config)
    has_folds = split.folds is not None and split.fold is None
    if not has_folds and not config.seeds:
        return []
    seeds = [int(seed) for seed in config.seeds] or [config.seed]
    places: list[tuple[int, int]] = [(0, 0)]
    if has_folds:
        counts = range(1, (split.folds or 0) + 1)
        places = [(repeat, fold) for repeat in range(1, split.repeats + 1) for fold in counts]
    seconds = seconds_of(config.time)
    count = len(seeds) * len(places) + config.refit
    time = None if seconds is None else f"{seconds / count:.1f}s"
    made = []
    for seed in seeds:
        for repeat, fold in places:
            facts = {"seed": seed}
            facts |= {"repeat": repeat} if split.repeats > 1 else {}
            facts |= {"fold": fold} if has_folds else {}
            shown = [k for k in facts if k != "seed" or len(seeds) > 1 or not has_folds]
            name = "-".join(f"{key}-{facts[key]}" for key in shown)
            made.append(
                Member(name=name, config=_of(config, seed, repeat, fold, time), facts=facts)
            )
    return made


def _split(config: RunConfig) -> SplitConfig:
    """Return what the tasks of a run say of folds, which must be the same."""
    rules = [job.data.split for job in config.jobs()]
    if len({(rule.folds, rule.repeats, rule.fold, rule.repeat) for rule in rules}) > 1:
        raise ConfigError(
            "data.split: the tasks of a run have the same folds and repeats. Give them once, in "
            "the data of the run."
        )
    return rules[0]


def _of(config: RunConfig, seed: int, repeat: int, fold: int, time: str | None) -> RunConfig:
    """Return the settings of one member; a fold of 0 leaves the splits as they are."""
    stages = config.stages
    first = int(config.seeds[0]) if config.seeds else config.seed
    if seed != first and stages.domain.seed is None:
        stages = attrs.evolve(stages, domain=attrs.evolve(stages.domain, seed=first))
    made = attrs.evolve(config, seed=seed, seeds=(), refit=False, stages=stages, time=time)
    if not fold:
        return made

    def data(given: Any) -> Any:
        return attrs.evolve(given, split=attrs.evolve(given.split, fold=fold, repeat=repeat))

    jobs = tuple(attrs.evolve(job, data=data(job.data)) for job in config.tasks)
    return attrs.evolve(made, data=data(config.data), tasks=jobs)


def execute_members(
    run: RunMember,
    folder: RunFolder,
    members: Sequence[Member],
    progress: Progress,
    on_plans: OnPlans | None,
) -> dict[str, Any]:
    """Run each member that has not finished, and summarize them.

    Args:
        run: Runs one member and returns its metrics.
        folder: Of the whole run, open.
        members: As `members_of` gives them.
        progress: Receives progress.
        on_plans: Is shown the plans of the first member.

    Returns:
        The contents of metrics.json, which is written.
    """
    shared = Shared()
    found: list[dict[str, Any]] = []
    with outer_bar(progress, f"{len(members)} runs", len(members)) as advance:
        for i, member in enumerate(members):
            left = _left(found, len(members))
            progress.say(f"{member.name}, {i + 1} of {len(members)}{left}")
            advance(i, f"{member.name}{left}")
            own = RunFolder(folder.path / MEMBERS / member.name)
            found.append(run(member, own, shared, on_plans if not i else None))
    metrics = summarize(members, found)
    _write_predictions(folder.path, members, list(metrics["tasks"]))
    folder.write_json("metrics.json", metrics)
    return metrics


def _left(found: Sequence[Mapping[str, Any]], count: int) -> str:
    """Say how long the runs that are left will take, by the last one; "" before that is known.

    Those before it may have trained tags that the others share.
    """
    seconds = found[-1].get("seconds") if found else None
    if not seconds:
        return ""
    return f"; about {shown_seconds(seconds * (count - len(found)))} left"


def summarize(members: Sequence[Member], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean and the standard deviation of what the members gave.

    Args:
        members: The members.
        found: Contents of metrics.json of each.

    Returns:
        As metrics.json of a single run, with means as metrics; `deviations` and
        `baseline_deviations` beside them, and `members` with the results of each.
    """
    first = found[0]
    records = []
    for member, metrics in zip(members, found, strict=True):
        test = {name: _own(task["splits"]["test"]) for name, task in metrics["tasks"].items()}
        folder = f"{MEMBERS}/{member.name}"
        record = {"name": member.name, "folder": folder, **member.facts}
        records.append({**record, "seconds": metrics.get("seconds"), "test": test})
    warnings = [
        f"{member.name}: {line}"
        for member, metrics in zip(members, found, strict=True)
        for line in metrics.get("warnings", [])
    ]
    return {
        **{name: first[name] for name in ("taglm", "backbone", "precision")},
        "seeds": sorted({member.facts["seed"] for member in members}),
        "members": records,
        "warnings": warnings,
        "tasks": {
            name: _task([metrics["tasks"][name] for metrics in found]) for name in first["tasks"]
        },
        "seconds": round(sum(metrics.get("seconds") or 0.0 for metrics in found), 1),
    }


def _own(split: Mapping[str, Any]) -> dict[str, Any]:
    return {name: split[name] for name in ("rows", "metrics", "baselines") if name in split}


def _task(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the members say of one task."""
    first = found[0]
    splits = {}
    for split in first["splits"]:
        held = [task["splits"][split] for task in found]
        means, deviations = _statistics([each["metrics"] for each in held])
        rows = [each["rows"] for each in held]
        made: dict[str, Any] = {"rows": round(statistics.fmean(rows)), "metrics": means}
        made["deviations"] = deviations
        if all("target_rows" in each for each in held):
            counted = [each["target_rows"] for each in held]
            made["target_rows"] = {
                n: round(statistics.fmean(c[n] for c in counted)) for n in counted[0]
            }
        if all("intervals" in each for each in held):
            made["intervals"] = pooled_coverage([each["intervals"] for each in held])
        names = [n for n in held[0].get("baselines", {}) if all(n in h["baselines"] for h in held)]
        if names:
            both = {n: _statistics([each["baselines"][n] for each in held]) for n in names}
            made["baselines"] = {name: pair[0] for name, pair in both.items()}
            made["baseline_deviations"] = {name: pair[1] for name, pair in both.items()}
        splits[split] = made
    rule, _, fold = str(first["split"]).partition(", fold 1 of ")
    return {
        "target": first["target"],
        **({"metric": first["metric"]} if "metric" in first else {}),
        "source": first["source"],
        "split": f"{rule}, {fold.partition(',')[0]} folds" if fold else rule,
        "num_members": len(found),
        "splits": splits,
    }


def _statistics(
    found: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return mean and standard deviation of each metric, None where fewer than 1 or 2 have it."""
    means: dict[str, float | None] = {}
    deviations: dict[str, float | None] = {}
    for name in found[0]:
        values = [each[name] for each in found if each.get(name) is not None]
        means[name] = statistics.fmean(values) if values else None
        deviations[name] = statistics.stdev(values) if len(values) > 1 else None
    return means, deviations


def _write_predictions(folder: Path, members: Sequence[Member], tasks: Sequence[str]) -> None:
    """Put the test predictions of the members into one table a task."""
    for task in tasks:
        inside = Path("tasks") / task if len(tasks) > 1 else Path()
        target = folder / inside / "predictions"
        target.mkdir(parents=True, exist_ok=True)
        with TableWriter(target / "test.csv") as writer:
            for member in members:
                table = read_table(folder / MEMBERS / member.name / inside / "predictions/test.csv")
                names = [member.name] * table.num_rows
                writer.write({"member": names, **table.columns})
