"""Heads fitted to what they read, at the start and at an evaluation: the linear one exactly."""

import copy
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from taglm_core.model.heads import LinearHead, impute, solve_censored, solve_ridge
from taglm_core.model.targets import ridge_targets
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Classification, Regression

if TYPE_CHECKING:
    from taglm_core.training.task_stage import TaskObjective

# of a head without closed form: AdamW on batches of this many rows, fewer where rows are few
_PASS_LR = 2e-3
_PASS_DECAY = 0.1
_MOST_ROWS, _FEWEST_ROWS, _FEWEST_STEPS = 256, 8, 16
_SPREAD_PACE = 0.02


def start_head(objective: "TaskObjective", how: str) -> dict[str, float]:
    """Give the head its start.

    Args:
        objective: Its task model holds the head.
        how: "fit": fitted to states of the untrained function tag; "mean_embedding": the paper's
            start of a linear head, another starts as its module does.

    Returns:
        What was found, for the log.
    """
    task_model = objective.task_model
    head = task_model.head
    if how == "mean_embedding":
        if not isinstance(head, LinearHead):
            return {}
        mean_row = task_model.model.backbone.embedding_rows().mean(dim=0)
        head.start_from_mean_embedding(mean_row.repeat(task_model.num_read) / task_model.num_read)
        return {}
    return resolve_head(objective)


def resolve_head(objective: "TaskObjective") -> dict[str, float]:
    """Fit the head to what it now reads and keep the solution if validation gains by it.

    The linear head is solved in closed form, any other by passes of gradient descent. For classes
    the squared loss on one-hot targets gives the direction of the closed form, and the scale of the
    logits is the one with the best validation result among a few. A head that follows the tag goes
    on from these rows, with the penalty that validated best.

    Returns:
        What was found, penalty or pass, and the validation cost when it was kept, else nothing.
    """
    task_model = objective.task_model
    head = task_model.head
    if head is None:
        return {}
    rng = np.random.default_rng([objective.seed, 77])
    count = len(objective.train.rows)
    sample = np.sort(rng.permutation(count)[: objective.fit_rows])
    states = objective.states_of(objective.train, sample)
    valid_states = objective.valid_states()
    if not isinstance(head, LinearHead):
        return fit_in_passes(objective, states, _labels(objective, sample), valid_states)
    target, classes = task_model.task.spec.target, len(task_model.classes)
    targets = ridge_targets(target, _labels(objective, sample), classes)
    is_new = bool((head.weight == 0).all())
    scaling = task_model.scaling
    held = (head.weight.detach().clone(), scaling.offset.clone(), _copy(scaling.sigma))
    # the head that gradient steps have found competes unless it was never set
    best = np.inf if is_new else _cost(objective, valid_states)
    kept: dict[str, float] = {}
    scales = (1.0,) if isinstance(task_model.task.spec.target, Regression) else (2.0, 5.0, 10.0)
    for alpha, weights, offsets, sigma in _solved(objective, states, targets):
        for scale in scales:
            set_head(task_model, weights * scale, offsets * scale, sigma)
            cost = _cost(objective, valid_states)
            if cost < best:
                best, held = cost, (weights * scale, offsets * scale, sigma)
                kept = {"ridge_strength": alpha, "cost": cost}
    set_head(task_model, *held)
    if objective.follows:
        objective.follow_from(states, targets, kept.get("ridge_strength"))
    return kept


def _copy(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.clone()


def _solved(
    objective: "TaskObjective", states: Tensor, targets: Tensor
) -> list[tuple[float, Tensor, Tensor, Tensor | None]]:
    """Return alpha, weights, offsets and standard deviations of the closed forms tried."""
    censored_below = objective.task_model.scaling.censored_below
    if censored_below is not None:
        return list(solve_censored(states, targets, censored_below))
    return [(*found, None) for found in solve_ridge(states, targets, delta=objective.delta)]


def set_head(
    task_model: TaskModel, weights: Tensor, offsets: Tensor, sigma: Tensor | None = None
) -> None:
    """Set a linear head: `(num_outputs, width)`, `(num_outputs,)` and, if censored, the spread."""
    assert isinstance(task_model.head, LinearHead), "only the linear head has a closed form"
    with torch.no_grad():
        task_model.head.weight.copy_(weights)
        task_model.scaling.offset.copy_(offsets)
        if sigma is not None and task_model.scaling.sigma is not None:
            task_model.scaling.sigma.copy_(sigma)


def _cost(objective: "TaskObjective", valid_states: Tensor) -> float:
    """Return the validation cost of the present head on states that are at hand."""
    if isinstance(objective.task_model.task.spec.target, Classification):
        # likelihood, since ranking metrics cannot tell the scales apart
        return objective.valid_loss(valid_states)
    return objective.cost(valid_states)[0]


def fit_in_passes(
    objective: "TaskObjective", states: Tensor, wanted: Tensor, valid_states: Tensor
) -> dict[str, float]:
    """Fit a head that has no closed form by passes over what it reads.

    The backbone is not run. The loss is the task's; where targets have a limit, their spread about
    the outputs is followed as the passes go. The pass that validates best is kept, or what the
    head was before if that is better still.

    Args:
        objective: Its task model holds the head.
        states: `(rows, width)`, what the head reads for training rows.
        wanted: Their targets as the loss takes them.
        valid_states: `(rows, width)` of the validation split.

    Returns:
        `fit_pass`, counted from 1, and the validation cost when a pass was kept, else nothing.
    """
    head, scaling = objective.task_model.head, objective.task_model.scaling
    assert head is not None, "a text task has no head"
    device = objective.task_model.model.backbone.device
    # what the head was before competes unless it was never fitted
    best = _cost(objective, valid_states) if objective.is_fitted else np.inf
    held, held_sigma = copy.deepcopy(head.state_dict()), _copy(scaling.sigma)
    adapt = getattr(head, "adapt_to", None)
    if adapt is not None:  # a tag that moved has moved its states
        adapt(states)
    free = [parameter.requires_grad for parameter in head.parameters()]
    kept: dict[str, float] = {}
    rows = max(_FEWEST_ROWS, min(_MOST_ROWS, len(states) // _FEWEST_STEPS))
    total = objective.fit_epochs * math.ceil(len(states) / rows)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_PASS_LR, weight_decay=_PASS_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PASS_LR, total_steps=total + 1)
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(objective.seed)
        head.requires_grad_(True)  # a run frees only what its present stage trains
        for number in range(1, objective.fit_epochs + 1):
            head.train()
            order = torch.randperm(len(states))
            for i in range(0, len(order), rows):
                chosen = order[i : i + rows]
                outputs = objective.task_model.outputs(states[chosen].to(device))
                batch = wanted[chosen].to(device)
                optimizer.zero_grad(set_to_none=True)
                objective.loss_of(outputs, batch).backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                _follow_spread(objective, outputs.detach().cpu(), batch.cpu())
            head.eval()
            cost = _cost(objective, valid_states)
            if cost < best:
                best, held_sigma = cost, _copy(scaling.sigma)
                held = copy.deepcopy(head.state_dict())
                kept = {"fit_pass": number, "cost": cost}
    for parameter, is_free in zip(head.parameters(), free, strict=True):
        parameter.requires_grad_(is_free)
    head.load_state_dict(held)
    if scaling.sigma is not None and held_sigma is not None:
        scaling.sigma.copy_(held_sigma)
    objective.is_fitted = True
    return kept


def _follow_spread(objective: "TaskObjective", outputs: Tensor, wanted: Tensor) -> None:
    """Let the standard deviation about the outputs follow a batch, where targets have a limit."""
    scaling = objective.task_model.scaling
    if scaling.censored_below is None or scaling.sigma is None:
        return
    filled, spread = impute(outputs, wanted, scaling.censored_below, scaling.sigma)
    variance = ((outputs - filled).square() + spread).mean(dim=0)
    scaling.sigma.copy_(torch.lerp(scaling.sigma.square(), variance, _SPREAD_PACE).sqrt())


def _labels(objective: "TaskObjective", sample: np.ndarray) -> Tensor:
    wanted = objective.labels(
        [objective.train.targets[i] for i in sample]
        if isinstance(objective.train.targets, list)
        else objective.train.targets[sample]
    )
    assert wanted is not None, "a text task has no head"
    return wanted
