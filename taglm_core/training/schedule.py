"""The settings of a fit: its steps come from epochs, or from the time of the run."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from taglm_core.model.assembly import Rows
from taglm_core.model.precision import BF16
from taglm_core.model.prefix_cache import is_worth_holding
from taglm_core.model.tagged import TaggedModel
from taglm_core.progress import Progress
from taglm_core.training import processes
from taglm_core.training.budget import Speed, TimeBudget
from taglm_core.training.config import RunConfig
from taglm_core.training.fit import FitSettings, Group, speed_of
from taglm_core.training.member import Member
from taglm_core.training.objectives import Objective
from taglm_core.training.splits import SplitData

MOST_TRAIN_SCORED = 500
"""Training rows that are scored in the end."""


def num_steps(rows: int, epochs: float, batch_size: int, most: int | None) -> int:
    """Return the steps of some epochs, at most so many."""
    steps = max(1, math.ceil(rows * epochs / batch_size))
    return min(steps, most) if most is not None else steps


def fit_settings(settings: Any, steps: int, config: RunConfig) -> FitSettings:
    """Return the settings of a fit of a stage."""
    return FitSettings(
        steps=steps,
        batch_size=settings.batch_size,
        batch_tokens=settings.batch_tokens,
        schedule=settings.schedule,
        warmup_ratio=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        num_evaluations=settings.num_evaluations,
        patience=settings.patience,
        seed=config.seed,
        checkpoint_seconds=config.checkpoint_seconds,
    )


def in_time(
    budget: TimeBudget,
    stage: str,
    settings: FitSettings,
    objective: Objective,
    groups: Sequence[Group],
    model: TaggedModel,
    progress: Progress,
    share: float,
    kept: Callable[[Speed], float] | None = None,
    head_fits: Sequence[float] = (),
) -> FitSettings:
    """Return the settings of a fit with as many steps as the time allows."""

    def measure() -> Speed:
        model.train_only([p for group in groups for p in group.parameters])
        try:
            return speed_of(objective, groups, settings)
        finally:
            model.train_only([])

    is_planned = processes.decided(lambda: stage in budget.plan)
    speed = None if is_planned else measure()  # in every process: its steps are taken together
    steps, evaluations = processes.decided(
        lambda: budget.steps(
            stage,
            settings.steps,
            settings.num_evaluations,
            speed,
            progress,
            share=share,
            kept=kept,
            head_fits=head_fits,
        )
    )
    return attrs.evolve(settings, steps=steps, num_evaluations=evaluations)


def evaluation_seconds(
    members: Sequence[Member], speed: Speed, choosing: float, fitting: float = 0.0
) -> float:
    """Return what choosing heads and scoring every split takes.

    Args:
        members: The tasks, with their rows.
        speed: As measured.
        choosing: Seconds of the choice of a head.
        fitting: Seconds of an evaluation that fit heads in passes and read no rows.
    """
    cached = [member.splits["valid"].cached is not None for member in members]
    pairs = list(zip(members, cached, strict=True))
    read = sum(read_tokens(member, is_cached) for member, is_cached in pairs)
    scored = sum(scored_tokens(member, is_cached) for member, is_cached in pairs)
    reading = max(0.0, speed.evaluation - fitting)
    return choosing + reading * scored / max(1.0, read)


def run_tokens(split: SplitData, is_cached: bool) -> np.ndarray:
    """Return int64 `(rows,)`: the tokens that are computed for each row at each use."""
    return split.rows.lengths - (split.rows.suffix if is_cached else 0)


def read_tokens(member: Member, is_cached: bool) -> float:
    """Return the tokens of an evaluation: rows that the head is fitted to, and the valid split.

    Args:
        member: The task.
        is_cached: Whether training reads cached segments.
    """
    train = run_tokens(member.splits["train"], is_cached)
    fitted = min(len(train), member.plan.config.stages.task.fit_rows)
    return float(train.mean() * fitted + run_tokens(member.splits["valid"], is_cached).sum())


def scored_tokens(member: Member, is_cached: bool) -> float:
    """Return the tokens that are computed for the rows that are predicted in the end."""
    train, *others = (member.splits[name] for name in ("train", "valid", "test"))
    scored = min(MOST_TRAIN_SCORED, len(train.rows))
    whole = float(train.rows.lengths.mean())
    # segments of training rows are there still, except in bf16, which computes them again
    is_held = is_cached and member.plan.precision != BF16
    is_held = is_held and is_worth_holding(scored * whole, member.plan.backbone)
    if is_held:
        own = scored * float(run_tokens(train, is_cached).mean())
    else:
        own = _predicted_tokens(member, train.rows.select(np.arange(scored)))
    return own + sum(_predicted_tokens(member, split.rows) for split in others)


def _predicted_tokens(member: Member, rows: Rows) -> float:
    cache = member.task_model.prefix_cache
    if cache is None or not len(rows):
        return float(rows.lengths.sum())
    return float(cache.screened_tokens(rows, member.task_model.is_isolated))
