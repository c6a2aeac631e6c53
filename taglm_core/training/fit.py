"""The training loop: AdamW over named parameter groups, early stopping, exact resumption."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from taglm_core.errors import DataError
from taglm_core.model.batching import batches_by_tokens
from taglm_core.progress import Progress, progress_bar
from taglm_core.training import processes
from taglm_core.training.budget import Speed, measured_speed
from taglm_core.training.checkpoint import load_checkpoint, save_checkpoint
from taglm_core.training.interrupts import StopAfterStep, Stopped
from taglm_core.training.loggers import is_logging, log_values
from taglm_core.training.objectives import Objective
from taglm_core.training.recipe import FIT_KEYS

_MOST_PADDING = 0.05


@attrs.frozen
class Group:
    """Parameters with one learning rate."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    lr: float
    is_head: bool = False
    """Whether they stand behind the states of all rows, so that every process of a run finds
    their whole gradient."""


@attrs.frozen(kw_only=True)
class FitSettings:
    """How long and how a fit goes."""

    steps: int
    batch_size: int
    batch_tokens: int
    schedule: str
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    num_evaluations: int
    patience: int
    seed: int
    checkpoint_seconds: float = 60.0
    remark: str = ""
    """What is shown behind each score."""
    series: str = ""
    """Name of the stage for loggers, such as "QED"."""
    beside: Mapping[str, float] = attrs.field(factory=dict[str, float])
    """What is logged beside each score, such as that of the best baseline."""
    keeps: int | None = None
    """Step at which the fit ends and is kept, of a schedule of `steps`; None: the step with the
    best evaluation is kept."""

    @property
    def last(self) -> int:
        """Step at which the fit ends at the latest."""
        return self.steps if self.keeps is None else self.keeps


@attrs.define
class FitResult:
    """What a fit did."""

    steps: int
    """Optimizer steps taken, those of earlier processes included."""
    best_score: float
    history: list[dict[str, Any]]
    """One record for each evaluation."""
    best_step: int
    """Step whose parameters were kept."""
    seconds: float
    """Wall time of this process's share."""
    step_seconds: float | None = None
    """Wall time of an optimizer step, evaluations left out; None: this process took none."""


def fit(
    objective: Objective,
    groups: Sequence[Group],
    settings: FitSettings,
    folder: Path,
    progress: Progress,
    description: str,
) -> FitResult:
    """Minimize an objective; leave the parameters at their best evaluation.

    Resumes from `folder` when it holds a checkpoint; the same process unbroken ends with the same
    numbers.

    Args:
        objective: Loss on training rows, score on held-out ones.
        groups: Trained parameters.
        settings: Steps, batches, schedule.
        folder: Where checkpoints go.
        progress: Hears about steps.
        description: Title of the progress bar.

    Raises:
        Stopped: after Ctrl-C, once the present step is taken and a checkpoint holds it.
    """
    began = time.monotonic()
    parameters = [p for group in groups for p in group.parameters]
    kept: list[Tensor] = [*parameters, *objective.buffers]
    optimizer = _optimizer(groups, settings.weight_decay)
    every = max(1, math.ceil(settings.steps / settings.num_evaluations))
    if settings.keeps is not None:
        every = max(1, settings.keeps)
    loaded = _restored(folder, kept, optimizer)
    if loaded is None:
        state = _first_state(objective, settings, description)
        best = [p.detach().clone() for p in kept]
    else:
        best, state = loaded
        objective.moved()
        progress.say(f"{description}: continuing at step {state['step']}")
    saved = time.monotonic()
    times: list[float] = []
    progress.start(description, settings.last)
    progress.advance(state["step"])
    batches = _steps(objective, settings, state["step"])
    with StopAfterStep() as interrupt:
        for step, batch in zip(range(state["step"], settings.last), batches, strict=False):
            if state["bad"] >= settings.patience:
                break
            before = time.monotonic()
            loss = _take_step(objective, optimizer, parameters, batch, step, settings)
            times.append(time.monotonic() - before)
            state["step"] = step + 1
            if is_logging():
                rate_now = optimizer.param_groups[0]["lr"]
                values = {"train_loss": float(loss), "learning_rate": rate_now}
                log_values(settings.series, step + 1, values)
            if state["step"] % every == 0 or state["step"] == settings.last:
                best = _evaluate(objective, state, kept, best, settings)
            note = ", ".join(f"{k} {v:.4g}" for k, v in _shown(state["history"][-1]))
            note += f" ({settings.remark})" if settings.remark else ""
            progress.advance(state["step"], note)
            is_due = time.monotonic() - saved > settings.checkpoint_seconds
            is_asked = processes.any_of(interrupt.is_asked)
            if (is_due or is_asked) and processes.is_first():
                save_checkpoint(folder, kept, optimizer, best, state)
                saved = time.monotonic()
            if is_asked:
                progress.finish()
                raise Stopped(state["step"], settings.last)
    progress.finish()
    with torch.no_grad():
        for tensor, value in zip(kept, best, strict=True):
            tensor.copy_(value)
    objective.moved()
    return FitResult(
        steps=state["step"],
        best_score=state["best"],
        history=state["history"],
        best_step=state["best_step"],
        seconds=round(time.monotonic() - began, 2),
        step_seconds=round(statistics.median(times), 5) if times else None,
    )


def _optimizer(groups: Sequence[Group], weight_decay: float) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(
        [
            {"params": list(group.parameters), "lr": group.lr, "is_head": group.is_head}
            for group in groups
        ],
        weight_decay=weight_decay,
        betas=(0.9, 0.98),
    )
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]
    return optimizer


def _first_state(objective: Objective, settings: FitSettings, description: str) -> dict[str, Any]:
    """Evaluate before the first step, and return the counters of a fit."""
    with progress_bar(f"{description}: first score"):
        score, record = _scored(objective)
    _log_scores(0, record, settings)
    history = [{"step": 0, **record}]
    return {"step": 0, "best": score, "best_step": 0, "bad": 0, "history": history}


def _evaluate(
    objective: Objective,
    state: dict[str, Any],
    kept: Sequence[Tensor],
    best: list[Tensor],
    settings: FitSettings,
) -> list[Tensor]:
    """Evaluate after a step, put the score into `state`, and return the best parameters so far."""
    objective.refine()
    processes.make_equal(kept)
    score, record = _scored(objective)
    state["history"].append({"step": state["step"], **record})
    _log_scores(state["step"], record, settings)
    if score < state["best"] or settings.keeps is not None:
        state |= {"best": score, "best_step": state["step"], "bad": 0}
        return [p.detach().clone() for p in kept]
    state["bad"] += 1
    return best


def _scored(objective: Objective) -> tuple[float, dict[str, float]]:
    """Evaluate in every process; what the first one found counts."""
    found = objective.evaluate()
    return processes.decided(lambda: found)


def _restored(
    folder: Path, kept: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> tuple[list[Tensor], dict[str, Any]] | None:
    """Put a checkpoint back that the first process may have, in every process."""
    loaded = load_checkpoint(folder, kept, optimizer) if processes.is_first() else None
    loaded = processes.decided(lambda: loaded)
    if loaded is None or processes.size() == 1:
        return loaded
    processes.make_equal([tensor.detach() for tensor in kept])
    held = processes.decided(optimizer.state_dict)
    if not processes.is_first():
        optimizer.load_state_dict(held)
    return loaded


def _log_scores(step: int, record: Mapping[str, Any], settings: FitSettings) -> None:
    """Send the scores of an evaluation to loggers, as those of the validation split."""
    names = [k for k in record if k != "step" and k.split(".")[-1] not in FIT_KEYS]
    scores = {f"valid_{name}": record[name] for name in names}
    log_values(settings.series, step, {**scores, **settings.beside})


def _shown(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the first two scores of an evaluation."""
    scores = [(k, v) for k, v in record.items() if k != "step" and k.split(".")[-1] not in FIT_KEYS]
    return scores[:2]


def speed_of(objective: Objective, groups: Sequence[Group], settings: FitSettings) -> Speed:
    """Return what steps and evaluations of a fit take, measured on some that are taken back."""
    parameters = [p for group in groups for p in group.parameters]

    def take_step(
        held: Any, optimizer: torch.optim.Optimizer, tensors: Any, batch: np.ndarray
    ) -> None:
        for group in optimizer.param_groups:
            group["base_lr"] = 0.0  # the numbers do not matter
        _take_step(held, optimizer, tensors, batch, 0, settings)

    return measured_speed(objective, take_step, parameters, settings.batch_size)


def _take_step(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    batch: np.ndarray,
    step: int,
    settings: FitSettings,
) -> Tensor:
    """Take a step; return the mean loss of its rows, without gradient."""
    share = rate(step, settings)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * share
    optimizer.zero_grad(set_to_none=True)
    total = objective.weight(batch)
    # gradients of the pieces add up to that of the mean over the whole batch
    pieces = step_batches(objective.lengths[batch], settings)
    objective.begin(batch, len(pieces))
    losses = []
    for piece in pieces:
        loss, _ = objective.loss(batch[piece])
        if loss.requires_grad or processes.size() == 1:  # this process may own none of the rows
            (loss / total).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach() / total)
    for group in optimizer.param_groups:
        if not group.get("is_head", False):
            processes.sum_gradients(group["params"])
    norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
    if not bool(torch.isfinite(norm)):
        raise DataError(
            f"step {step + 1}: the loss or its gradient is NaN or infinite. Lower the learning "
            "rate (--set stages.task.tag_lr=0.01 or stages.domain.tag_lr=0.01), try --set "
            "precision=fp32, and check the targets for extreme values."
        )
    optimizer.step()
    objective.moved()
    return torch.stack(losses).sum()


def step_batches(lengths: np.ndarray, settings: FitSettings) -> list[np.ndarray]:
    """Cut a step into forward batches of little padding.

    Args:
        lengths: int64 `(rows,)`: tokens of the step's rows.
        settings: Token budget.

    Returns:
        int64 indices of rows for each batch; every row comes once.
    """
    tokens = settings.batch_tokens
    return list(batches_by_tokens(lengths, tokens, most_padding=_MOST_PADDING))


def rate(step: int, settings: FitSettings) -> float:
    """Return the learning rate of a step as a share of its largest value.

    After the warm-up it is the one of transformers' schedules. Theirs begin at 0, so that the first
    step of a fit would learn nothing; and a function of the step needs no state to resume.
    """
    warmup = max(1, round(settings.warmup_ratio * settings.steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if settings.schedule == "linear" else 1.0


def _steps(objective: Objective, settings: FitSettings, start: int) -> Iterator[np.ndarray]:
    """Yield the row indices of each step from `start` on; each epoch has its own order."""
    per_epoch = math.ceil(len(objective.lengths) / settings.batch_size)
    epoch = start // per_epoch
    while True:
        order = step_rows(objective.lengths, objective.sorts_batches, settings, epoch)
        yield from order[start - epoch * per_epoch :]
        epoch += 1
        start = epoch * per_epoch


def step_rows(
    lengths: np.ndarray, sorts_batches: bool, settings: FitSettings, epoch: int
) -> list[np.ndarray]:
    """Return the rows of each step of an epoch.

    Args:
        lengths: int64 `(rows,)`: tokens of each training row.
        sorts_batches: Whether rows of like length meet in a step.
        settings: Rows of a step, seed.
        epoch: Each has its own order.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    order = rng.permutation(len(lengths))
    rows = settings.batch_size
    if sorts_batches:
        # sorted within pools of many batches: little padding, yet other neighbors each epoch
        pool = 32 * rows
        pools = [order[i : i + pool] for i in range(0, len(order), pool)]
        order = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in pools])
    cuts = [order[i : i + rows] for i in range(0, len(order), rows)]
    return [cuts[i] for i in rng.permutation(len(cuts))]
