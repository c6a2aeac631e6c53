"""Choosing the head after the function tag is trained: linear, or a kernel head with features."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.data.censoring import has_sides
from taglm_core.data.masks import same_rows
from taglm_core.errors import ConfigError
from taglm_core.model.ensemble import EnsembleMember
from taglm_core.model.features import KINDS, FeatureReader, feature_reader
from taglm_core.model.kernel_head import KERNEL, KernelHead, squared_distances
from taglm_core.model.targets import ridge_targets
from taglm_core.model.taskmodel import TaskModel
from taglm_core.progress import Progress
from taglm_core.specs import Classification
from taglm_core.training.head_loss import ReadRows
from taglm_core.training.head_settings import AUTO, CHOSEN_LATER, why_not
from taglm_core.training.objectives import HeadObjective, TaskObjective
from taglm_core.training.plan import Plan
from taglm_core.training.splits import SplitData

MOST_POINTS = 1500
"""Training rows with which a kernel head compares; of more rows as many are drawn (Nystroem)."""
MOST_ROWS = 20_000
"""Training rows to which heads are fitted here; each takes 8 bytes a point, several times."""
MOST_CROSS_VALIDATED = 3000
"""Training rows up to which heads are compared by cross-validation too."""
_NUM_FOLDS = 5
_GAMMAS = (0.3, 1.0, 3.0)
"""Of the kernel, over the median squared distance of training rows."""
_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-2, 1, 7))
_LOGIT_SCALES = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
_GAIN = 0.99
"""A kernel head is taken if its cost is below this share of the linear head's,"""
_GAIN_OF_FEATURES = 0.98
"""and one with features below this share of the other's, since features take time to compute."""
_GAIN_OF_TRAINING = 0.98
"""A trained tag is kept if its error on valid is below this share of the untrained tag's."""
_MOST_GROUPS = 16
_LEAST_EIGENVALUE = 1e-6
_MEDIAN_ROWS = 500
_MOST_DIRECTIONS = 2000


@attrs.frozen
class Solution:
    """A map from a row's columns to centred targets."""

    weights: Tensor
    """`(columns, outputs)`."""
    valid: float
    """Mean squared error on the validation split, standardised targets."""
    cross_validated: float | None
    """The same by cross-validation in the training split; None: too many rows."""

    @property
    def cost(self) -> float:
        """What decides: the validation split's, or the mean of both."""
        if self.cross_validated is None:
            return self.valid
        return (self.valid + self.cross_validated) / 2


@attrs.frozen
class _Rows:
    """Targets of the rows that heads are fitted to and judged by."""

    train: Tensor
    """float64 `(rows, outputs)`, centred; NaN where one is missing."""
    valid: Tensor
    mean: Tensor
    """`(outputs,)` that was taken away."""
    groups: tuple[np.ndarray, ...]
    """Outputs that the same training rows know."""
    folds: Tensor | None
    """int64 `(rows,)`; None: no cross-validation."""


@attrs.frozen(eq=False)
class Start:
    """The kernel head of the untrained function tag, which the trained one has to beat."""

    member: EnsembleMember
    choice: dict[str, Any]
    """What `choose_head` gave."""


def start_of(
    plan: Plan, objective: TaskObjective, splits: Mapping[str, SplitData], progress: Progress
) -> Start | None:
    """Choose a head for the untrained tag and put everything back; None if that is linear.

    On few rows a trained tag may know its training rows rather than the task.
    """
    task_model = objective.task_model if isinstance(objective, HeadObjective) else None
    settings = plan.config.stages.task
    if task_model is None or settings.head not in CHOSEN_LATER:
        return None
    if settings.enrich or plan.given_function_tag is not None:
        return None  # a domain tag moves beside the function tag, or none of them does
    before, offset = task_model.member(), task_model.scaling.offset.clone()
    choice = choose_head(plan, objective, splits, progress, "head of the untrained tag")
    if not isinstance(task_model.head, KernelHead):
        return None
    member = attrs.evolve(task_model.member(), scaling=task_model.scaling.copy())
    task_model.become(before)
    task_model.scaling.offset.copy_(offset)
    return Start(member, choice)


def choose_tag(
    start: Start | None, choice: dict[str, Any], task_model: TaskModel, progress: Progress
) -> dict[str, Any]:
    """Go back to the untrained tag and its head if training gained too little.

    Only the validation split can tell: the trained tag has seen all rows of cross-validation.

    Args:
        start: What the untrained tag reaches; None: no kernel head.
        choice: What `choose_head` gave for the trained tag.
        task_model: With the trained tag and its head.
        progress: Hears what was chosen.

    Returns:
        The choice, for the lineage.
    """
    if start is None or not choice:
        return choice
    trained, untrained = (
        each["mean_squared_errors"][each["chosen"]]["valid"] for each in (choice, start.choice)
    )
    if trained < _GAIN_OF_TRAINING * untrained:
        return {**choice, "tag": "trained"}
    task_model.become(start.member)
    progress.say(
        "function tag: untrained, since training it gained too little (mean squared error on "
        f"valid {trained:.4f} trained, {untrained:.4f} untrained)"
    )
    return {**start.choice, "tag": "untrained"}


def choose_head(
    plan: Plan,
    objective: TaskObjective,
    splits: Mapping[str, SplitData],
    progress: Progress,
    title: str = "head",
) -> dict[str, Any]:
    """Give a task model the head that validates best, by the settings.

    Linear and kernel heads are ridge regressions on what they read; compared are their mean squared
    errors on the validation split, and of few rows by cross-validation in the training split.

    Returns:
        What was compared, for the lineage; {} where there was no choice.
    """
    settings = plan.config.stages.task
    if settings.head not in CHOSEN_LATER or why_not(settings, plan.task.spec.target) is not None:
        return {}
    assert isinstance(objective, HeadObjective), "the task does not write text"
    task_model = objective.task_model
    sample, states, targets = objective.fitted_rows()
    if len(sample) > MOST_ROWS:
        rng = np.random.default_rng([plan.config.seed, 80])
        kept = np.sort(rng.permutation(len(sample))[:MOST_ROWS])
        sample, states, targets = sample[kept], states[kept], targets[kept]
    valid_states = objective.valid_states()
    rows = _rows(objective, states, targets, valid_states)
    if len(rows.groups) > _MOST_GROUPS:
        return {}
    found: dict[str, Solution] = {}
    heads: dict[str, tuple[KernelHead, FeatureReader | None, Tensor]] = {}
    if settings.head == AUTO and settings.features != "on":
        found["linear"] = _linear(states, valid_states, rows)
    for name, reader in _candidates(plan, splits["train"], sample):
        inputs, valid_inputs = states, valid_states
        if reader is not None:
            inputs = torch.cat([states, reader.read(_of(splits["train"].fields, sample))], dim=1)
            valid_inputs = torch.cat([valid_states, reader.read(splits["valid"].fields)], dim=1)
        blocks = (states.shape[1], *(reader.blocks if reader is not None else ()))
        head, found[name] = _fit_kernel(inputs, valid_inputs, blocks, rows, plan.config.seed)
        heads[name] = (head, reader, valid_inputs)
    chosen = _choice(found)
    if chosen in heads:
        head, reader, valid_inputs = heads[chosen]
        task_model.head = head.to(task_model.model.backbone.device)
        task_model.features = reader
        task_model.model.heads[plan.task.name] = task_model.head
        _set_offset(objective, rows, valid_inputs)
    progress.say(f"{title}: {_said(found, chosen)}")
    costs = {
        name: {"valid": each.valid, "cross_validated": each.cross_validated}
        for name, each in found.items()
    }
    return {"chosen": chosen, "mean_squared_errors": costs}


def _candidates(
    plan: Plan, train: SplitData, sample: np.ndarray
) -> Iterator[tuple[str, FeatureReader | None]]:
    """Yield the kernel heads to try: by name, what they read beside the states."""
    settings = plan.config.stages.task
    if settings.features != "on":
        yield KERNEL, None
    is_computed = getattr(plan.task.spec.target, "compute", None) is not None
    if settings.features == "off" or (settings.features == "auto" and is_computed):
        return
    reader = feature_reader(plan.task, plan.registry, KINDS[:1], _of(train.fields, sample))
    if reader is not None:
        yield f"{KERNEL} with {_words(reader)}", reader
    elif settings.features == "on":
        raise ConfigError(
            f"task {plan.task.name}: stages.task.features=on, but no domain of its fields computes "
            "descriptors and no text field holds numbers. Leave features=auto."
        )


def _words(reader: FeatureReader) -> str:
    return ", ".join(f"{record.kind} of {record.field}" for record in reader.records)


def _of(fields: Mapping[str, Any], sample: np.ndarray) -> dict[str, list[Any]]:
    return {name: [values[i] for i in sample] for name, values in fields.items()}


def _rows(objective: HeadObjective, states: Tensor, targets: Tensor, valid_states: Tensor) -> _Rows:
    """Return targets as numbers; a limit is replaced by the linear head's mean beyond it."""
    task_model, loss = objective.task_model, objective.head_loss
    target, count = task_model.task.spec.target, len(task_model.classes)
    wanted = loss.targets(objective.valid.targets)
    if has_sides(targets):
        targets, _ = loss.as_squares(states, targets)
    if has_sides(wanted):
        wanted, _ = loss.as_squares(valid_states, wanted)
    train = ridge_targets(target, targets, count).double()
    valid = ridge_targets(target, wanted, count).double()
    mean = train.nanmean(dim=0).nan_to_num()
    folds = None
    if 2 * _NUM_FOLDS <= len(train) <= MOST_CROSS_VALIDATED:
        rng = np.random.default_rng([objective.seed, 78])
        folds = torch.from_numpy(rng.permutation(len(train)) % _NUM_FOLDS)
    groups = tuple(same_rows(~train.isnan().numpy()))
    return _Rows(train - mean, valid - mean, mean, groups, folds)


def _linear(states: Tensor, valid_states: Tensor, rows: _Rows) -> Solution:
    """Return what the linear head costs on centred states, their mean square scaled to 1."""
    mean = states.mean(dim=0)
    train, valid = (states - mean).double(), (valid_states - mean).double()
    if min(train.shape) > _MOST_DIRECTIONS:  # random directions keep distances, and cost less
        generator = torch.Generator().manual_seed(0)
        shape = (train.shape[1], _MOST_DIRECTIONS)
        directions = torch.randn(shape, generator=generator, dtype=torch.float64)
        train, valid = train @ directions, valid @ directions
    size = train.square().sum(dim=1).mean().sqrt().clamp_min(1e-12)
    return _ridge(train / size, valid / size, rows)


def _fit_kernel(
    inputs: Tensor, valid_inputs: Tensor, blocks: tuple[int, ...], rows: _Rows, seed: int
) -> tuple[KernelHead, Solution]:
    """Return the kernel head of the best width of kernel, fitted, and its costs."""
    rng = np.random.default_rng([seed, 79])
    drawn = torch.from_numpy(np.sort(rng.permutation(len(inputs))[:MOST_POINTS]))
    head = KernelHead(inputs.shape[1], rows.train.shape[1], len(drawn)).eval()
    head.scale_by(inputs, blocks)
    head.points.copy_(head.scaled(inputs[drawn]))
    points = head.points.double()
    distances = squared_distances(head.scaled(inputs).double(), points)
    valid_distances = squared_distances(head.scaled(valid_inputs).double(), points)
    own = squared_distances(points, points)
    median = max(float(distances[:_MEDIAN_ROWS].median()), 1e-6)
    best: tuple[float, Tensor, Solution] | None = None
    for gamma in (ratio / median for ratio in _GAMMAS):
        root = _inverse_root(torch.exp(-gamma * own))
        train, valid = (torch.exp(-gamma * d) @ root for d in (distances, valid_distances))
        solution = _ridge(train, valid, rows)
        if best is None or solution.cost < best[2].cost:
            best = (gamma, (root @ solution.weights).T, solution)
    assert best is not None, "several widths are tried"
    with torch.no_grad():
        head.gamma.fill_(best[0])
        head.weight.copy_(best[1])
    return head, best[2]


def _inverse_root(kernel: Tensor) -> Tensor:
    """Return a matrix `(points, rank)` whose product with its transpose inverts a kernel."""
    values, vectors = torch.linalg.eigh(kernel)
    is_kept = values > _LEAST_EIGENVALUE * values[-1]
    found: Tensor = vectors[:, is_kept] / values[is_kept].sqrt()
    return found


def _ridge(train: Tensor, valid: Tensor, rows: _Rows) -> Solution:
    """Solve a ridge regression of each group of targets, with the penalty that costs least.

    Args:
        train: float64 `(rows, columns)`.
        valid: The same of the validation split.
        rows: Targets.
    """
    weights = torch.zeros(train.shape[1], rows.train.shape[1], dtype=torch.float64)
    valid_sum, valid_count, cross_sum, cross_count = 0.0, 0, 0.0, 0
    for group in rows.groups:
        columns = torch.from_numpy(group)
        known = ~rows.train[:, columns[0]].isnan()
        x, y = train[known], rows.train[known][:, columns]
        folds = None if rows.folds is None else rows.folds[known]
        best: tuple[float, Tensor, Tensor, Tensor | None] | None = None
        for solved, left_out in _penalties(x, y, folds):
            errors = (valid @ solved - rows.valid[:, columns]).square()
            errors = errors[~errors.isnan()]
            # a validation split without this target leaves cross-validation to decide
            parts = [errors.mean()] if len(errors) else []
            parts += [left_out.square().mean()] if left_out is not None else []
            cost = float(torch.stack(parts).mean()) if parts else 0.0
            if best is None or cost < best[0]:
                best = (cost, solved, errors, left_out)
        assert best is not None, "several penalties are tried"
        weights[:, columns] = best[1]
        valid_sum, valid_count = valid_sum + float(best[2].sum()), valid_count + len(best[2])
        if best[3] is not None:
            cross_sum += float(best[3].square().sum())
            cross_count += best[3].numel()
    cross = cross_sum / cross_count if cross_count else None
    return Solution(weights, valid_sum / max(valid_count, 1), cross)


def _penalties(
    x: Tensor, y: Tensor, folds: Tensor | None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield for each penalty the weights `(columns, outputs)` and the errors of rows left out.

    The errors of a fold follow from the whole fit: `(I - H_kk)^-1 r_k`, where `H` maps targets to
    predictions and `r` are the residuals.
    """
    if x.shape[1] <= x.shape[0]:
        values, vectors = torch.linalg.eigh(x.T @ x)
        turned = x @ vectors  # (rows, columns), orthogonal columns
    else:  # the same space from the other side: at most as many directions as rows
        values, left = torch.linalg.eigh(x @ x.T)
        values = values.clamp_min(0.0)
        turned = left * values.sqrt()
        vectors = x.T @ (left / values.sqrt().clamp_min(1e-12))
    for alpha in _ALPHAS:
        shrink = 1.0 / (values.clamp_min(0.0) + alpha)
        solved = shrink.unsqueeze(1) * (turned.T @ y)
        left_out = None
        if folds is not None:
            residuals = y - turned @ solved
            left_out = torch.empty_like(y)
            for fold in range(_NUM_FOLDS):
                own = folds == fold
                part = turned[own]
                hat = (part * shrink) @ part.T
                eye = torch.eye(len(part), dtype=x.dtype)
                left_out[own] = torch.linalg.solve(eye - hat, residuals[own])
        yield vectors @ solved, left_out


def _choice(found: Mapping[str, Solution]) -> str:
    """Return the name of the simplest head that none beats by more than it costs."""
    names = list(found)
    chosen = names[0]
    for name in names[1:]:
        gain = _GAIN_OF_FEATURES if " with " in name else _GAIN
        if found[name].cost < gain * found[chosen].cost:
            chosen = name
    return chosen


def _set_offset(objective: HeadObjective, rows: _Rows, valid_inputs: Tensor) -> None:
    """Add the mean of the targets; scale the logits of classes by the validation likelihood."""
    task_model = objective.task_model
    head = task_model.head
    assert isinstance(head, KernelHead), "the head that was just fitted"
    with torch.no_grad():
        task_model.scaling.offset.copy_(rows.mean.float())
        if not isinstance(task_model.task.spec.target, Classification):
            return
        weight, offset = head.weight.clone(), task_model.scaling.offset.clone()
        losses = {}
        valid = ReadRows(valid_inputs, objective.valid.targets)
        for scale in _LOGIT_SCALES:
            head.weight.copy_(weight * scale)
            task_model.scaling.offset.copy_(offset * scale)
            losses[scale] = objective.head_loss.of(valid)
        scale = min(losses, key=lambda each: losses[each])
        head.weight.copy_(weight * scale)
        task_model.scaling.offset.copy_(offset * scale)


def _said(found: Mapping[str, Solution], chosen: str) -> str:
    """Return a line that compares the heads, in mean squared errors of standardised targets."""
    parts = []
    for name, each in found.items():
        cross = each.cross_validated
        more = "" if cross is None else f", {cross:.4f} by cross-validation"
        parts.append(f"{name} {each.valid:.4f} on valid{more}")
    return f"{chosen} (mean squared errors: {'; '.join(parts)})"
