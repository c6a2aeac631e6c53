"""The closed form of a task's linear head: its start, and its optimum at an evaluation."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from taglm_core.inference.scores import as_cost, score
from taglm_core.model.heads import LinearHead, solve_censored, solve_ridge
from taglm_core.model.taskmodel import TaskModel
from taglm_core.specs import Classification, Regression

if TYPE_CHECKING:
    from taglm_core.training.task_stage import TaskObjective


def start_head(
    objective: "TaskObjective", how: str, ridge_rows: int, seed: int
) -> dict[str, float]:
    """Give the head its start.

    Args:
        objective: Its task model holds the head.
        how: "ridge": solved in closed form on states of the untrained function tag;
            "mean_embedding": the paper's start.
        ridge_rows: Most training rows for the closed form.
        seed: Decides which.

    Returns:
        What was found, for the log.
    """
    task_model = objective.task_model
    head = task_model.head
    if not isinstance(head, LinearHead):
        return {}  # a plugin's head starts as its module does
    if how == "mean_embedding":
        mean_row = task_model.model.backbone.embedding_rows().mean(dim=0)
        head.start_from_mean_embedding(mean_row.repeat(task_model.num_read) / task_model.num_read)
        return {}
    return resolve_head(objective, ridge_rows, seed)


def resolve_head(objective: "TaskObjective", ridge_rows: int, seed: int) -> dict[str, float]:
    """Solve the linear head in closed form and keep the solution if validation gains by it.

    For classes the squared loss on one-hot targets gives the direction, and the scale of the
    logits is the one with the best validation result among a few. A head that follows the tag
    goes on from these rows, with the penalty that validated best.

    Returns:
        `strength` and the validation cost when the solution was kept, else nothing.
    """
    task_model = objective.task_model
    head = task_model.head
    if not isinstance(head, LinearHead):
        return {}
    rng = np.random.default_rng([seed, 77])
    count = len(objective.train.rows)
    sample = np.sort(rng.permutation(count)[:ridge_rows])
    states = objective.states_of(objective.train, sample)
    targets = _one_hot(objective, sample)
    valid_states = objective.valid_states()
    is_new = bool((head.weight == 0).all())
    scaling = task_model.scaling
    held = (head.weight.detach().clone(), scaling.offset.clone(), _copy(scaling.sigma))
    # the head that gradient steps have found competes unless it was never set
    best = np.inf if is_new else _cost(objective, valid_states)
    kept: dict[str, float] = {}
    scales = (1.0,) if isinstance(task_model.task.spec.target, Regression) else (2.0, 5.0, 10.0)
    for strength, weights, offsets, sigma in _solved(objective, states, targets):
        for scale in scales:
            set_head(task_model, weights * scale, offsets * scale, sigma)
            cost = _cost(objective, valid_states)
            if cost < best:
                best, held = cost, (weights * scale, offsets * scale, sigma)
                kept = {"ridge_strength": strength, "cost": round(cost, 5)}
    set_head(task_model, *held)
    if objective.follows:
        objective.follow_from(states, targets, kept.get("ridge_strength"))
    return kept


def _copy(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.clone()


def _solved(
    objective: "TaskObjective", states: Tensor, targets: Tensor
) -> list[tuple[float, Tensor, Tensor, Tensor | None]]:
    """Return strength, weights, offsets and standard deviations of the closed forms tried."""
    floor = objective.task_model.scaling.floor
    if floor is not None:
        return list(solve_censored(states, targets, floor))
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
    task_model = objective.task_model
    with torch.no_grad():
        outputs = task_model.outputs(valid_states.to(task_model.model.backbone.device))
    prediction = task_model.finish(outputs)
    target = task_model.task.spec.target
    if isinstance(target, Classification) and not target.multi_label:
        # likelihood, since ranking metrics cannot tell the scales apart
        picked = prediction[np.arange(len(prediction)), objective.valid.targets]
        return float(-np.log(np.maximum(picked, 1e-9)).mean())
    if isinstance(target, Classification):
        truth = objective.valid.targets
        chosen = np.where(truth == 1, prediction, 1 - prediction)
        return float(-np.log(np.maximum(chosen, 1e-9)).mean())
    return as_cost(task_model.task, score(task_model.task, objective.valid.targets, prediction))


def _one_hot(objective: "TaskObjective", sample: np.ndarray) -> Tensor:
    wanted = objective.labels(
        [objective.train.targets[i] for i in sample]
        if isinstance(objective.train.targets, list)
        else objective.train.targets[sample]
    )
    assert wanted is not None
    if wanted.dtype == torch.int64:
        classes = len(objective.task_model.classes)
        return torch.nn.functional.one_hot(wanted, classes).float() - 1.0 / classes
    if isinstance(objective.task_model.task.spec.target, Classification):
        return wanted - 0.5
    return wanted
