"""Choosing the head after the function tag is trained: linear, or a kernel head with features."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.data.censoring import has_sides
from taglm_core.data.masks import same_rows
from taglm_core.model.features import KINDS, FeatureReader, feature_reader
from taglm_core.model.kernel_head import KERNEL, KernelHead
from taglm_core.model.targets import ridge_targets
from taglm_core.progress import Progress, progress_bar, say_detail
from taglm_core.specs import Classification
from taglm_core.training import processes
from taglm_core.training.feature_choice import (
    GAIN_OF_FEATURES,
    choose_features,
    may_read_features,
    no_features,
    some_of,
    words,
)
from taglm_core.training.head_loss import ReadRows
from taglm_core.training.head_settings import AUTO, CHOSEN_LATER, LINEAR, why_not
from taglm_core.training.kernel_fit import (
    FEW_POINTS,
    MANY_MORE,
    Fitted,
    KernelFit,
    fit_kernel,
    fit_more_points,
    more_points_seconds,
)
from taglm_core.training.objectives import HeadObjective, TaskObjective
from taglm_core.training.plan import Plan
from taglm_core.training.ridge_fit import NUM_FOLDS, Errors, TargetRows, linear_solution
from taglm_core.training.splits import SplitData

MOST_ROWS = 20_000
"""Training rows to which heads are fitted here; each takes 8 bytes a point, several times."""
MOST_CROSS_VALIDATED = 3000
"""Training rows up to which heads are compared by cross-validation too."""
_LOGIT_SCALES = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
_GAIN = 0.99
"""A kernel head is taken if its cost is below this share of the linear head's,"""
_MOST_GROUPS = 16


@attrs.frozen(eq=False)
class Choice:
    """A head that was chosen."""

    facts: dict[str, Any]
    """What was compared, for the lineage; {} where there was no choice."""
    valid_errors: Tensor | None = None
    """float64 `(rows,)`: squared error of each validation row; None: there was no choice."""
    features_alone: Tensor | None = None
    """The same of the regression that reads features and no states, chosen or not; None: there are
    no features."""


def choose_head(
    plan: Plan,
    objective: TaskObjective,
    splits: Mapping[str, SplitData],
    progress: Progress,
    fitted: Fitted,
    is_trained: bool = True,
) -> Choice:
    """Give a task model the head that validates best, by the settings.

    Linear and kernel heads are ridge regressions on what they read; compared are their mean squared
    errors on the validation split, and of few rows by cross-validation in the training split.

    Args:
        plan: Of the task.
        objective: Holds the rows and the task model.
        splits: Rows of the splits, whose fields features are read from.
        progress: Hears of the choice.
        fitted: What was fitted before for this task.
        is_trained: Whether the tag was trained on these rows.

    Returns:
        What was compared.
    """
    settings, title = plan.config.stages.task, "head" if is_trained else "head of the untrained tag"
    if settings.head not in CHOSEN_LATER:
        return Choice(choose_features(plan, objective, splits, progress))
    if why_not(settings, plan.task.spec.target) is not None:
        return Choice({})
    assert isinstance(objective, HeadObjective), "the task does not write text"
    task_model = objective.task_model
    with progress_bar(f"{title}: reading states"):
        sample, states, targets = _drawn(objective.fitted_rows(), plan.config.seed)
    valid_states = objective.valid_states()
    rows = _rows(objective, sample, states, targets, valid_states)
    if len(rows.groups) > _MOST_GROUPS:
        return Choice({})
    recipe = plan.recipe.heads[plan.task.name].choice if plan.recipe is not None else None
    if recipe is not None and recipe.get("chosen", LINEAR) == LINEAR:
        return Choice(dict(recipe))
    found: dict[str, Errors] = {}
    heads: dict[str, _Candidate] = {}
    if recipe is None and settings.head == AUTO and settings.features != "on":
        found[LINEAR] = linear_solution(states, valid_states, rows).errors
    fields = (some_of(splits["train"].fields, sample), splits["valid"].fields)
    for name, reader in _candidates(plan, fields[0], recipe):
        with progress_bar(f"fitting a {name} head"):
            inputs, blocks = _read(reader, (states, valid_states), fields)
            fit = fit_kernel(inputs, blocks, rows, plan.config.seed, recipe, fitted, is_trained)
            heads[name] = _Candidate(fit, reader)
            found[name] = heads[name].fit.errors
    chosen, made = _choice(found), {}
    if chosen in heads:
        fit, reader = heads[chosen].fit, heads[chosen].reader
        task_model.set_head(fit.head, reader)
        scale = _set_offset(objective, rows, fit.inputs[1], recipe)
        made = _made(fit, reader, scale)
    if recipe is not None:
        progress.say(f"{title}: {chosen}, as in the predictor that was scored")
        return Choice(dict(recipe))
    progress.say(f"{title}: {chosen}{_beside(heads.get(chosen))}")
    say_detail(progress, _compared(found))
    costs = {
        name: {"valid": each.on_valid, "cross_validated": each.cross_validated}
        for name, each in found.items()
    }
    facts = {"chosen": chosen, "mean_squared_errors": costs, **made}
    alone = None
    for each in heads.values():
        if each.reader is not None:
            alone = _by_row(each.fit.features_alone.valid)
    return Choice(facts, _by_row(found[chosen].valid), alone)


def compare_with_more(
    plan: Plan,
    objective: TaskObjective,
    splits: Mapping[str, SplitData],
    facts: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Let a kernel head that was chosen compare with more training rows, if it validates better.

    Args:
        plan: Of the task.
        objective: Holds the rows, and the task model with the head.
        splits: Rows of the splits, whose fields features are read from.
        facts: How the head was chosen.
        progress: Hears of it.

    Returns:
        The facts, with the penalties and the number of points of the head that is kept.
    """
    if not isinstance(objective, HeadObjective) or "kernels" not in facts:
        return facts
    task_model = objective.task_model
    head = task_model.head
    if not isinstance(head, KernelHead) or _num_rows(objective) < MANY_MORE * len(head.points):
        return facts
    with progress_bar("fitting the head to more rows"):
        sample, states, targets = _drawn(objective.fitted_rows(), plan.config.seed)
        valid_states = objective.valid_states()
        fields = (some_of(splits["train"].fields, sample), splits["valid"].fields)
        inputs, _ = _read(task_model.features, (states, valid_states), fields)
        rows = _rows(objective, sample, inputs[0], targets, inputs[1])
        before, offset = task_model.member(), task_model.scaling.offset.clone()
        valid = ReadRows(inputs[1], objective.valid.targets)
        loss = objective.head_loss.of(valid)
        fit = fit_more_points(head, inputs, rows, plan.config.seed, facts)
        if head.trees is not None:
            trees, share = copy.deepcopy(head.trees), facts["trees"]["share"]
            with torch.no_grad():
                trees.weight.div_(share * facts.get("scale", 1.0))
            fit.head.add_trees(trees, share)
        task_model.set_head(fit.head, before.features)
        scale = _set_offset(objective, rows, inputs[1])
        lower = objective.head_loss.of(valid)
    say_detail(
        progress,
        f"loss on the valid split: {loss:.4f} where the head compares with {len(head.points):,} "
        f"training rows, {lower:.4f} with {len(fit.head.points):,}",
    )
    if not processes.decided(lambda: lower < loss):
        task_model.become(before)
        task_model.scaling.offset.copy_(offset)
        return facts
    return {**facts, **_made(fit, before.features, scale), "points": len(fit.head.points)}


def seconds_of_more(objective: TaskObjective, facts: Mapping[str, Any]) -> float:
    """Return about what `compare_with_more` takes, for a head that was chosen so."""
    num_kernels = len(facts.get("kernels", ()))
    if not isinstance(objective, HeadObjective) or not num_kernels:
        return 0.0
    num_rows = _num_rows(objective)
    if num_rows < MANY_MORE * FEW_POINTS:
        return 0.0
    return more_points_seconds(num_rows, num_kernels)


def _num_rows(objective: HeadObjective) -> int:
    """Return the training rows that kernel heads are fitted to."""
    return min(MOST_ROWS, objective.fit_rows, len(objective.train.rows))


def _by_row(errors: Tensor) -> Tensor:
    """Return the mean of the squared errors `(rows, outputs)` of each row."""
    return errors.square().nanmean(dim=1)


@attrs.frozen
class _Candidate:
    """A kernel head that may be chosen."""

    fit: KernelFit
    reader: FeatureReader | None


def _read(
    reader: FeatureReader | None,
    states: tuple[Tensor, Tensor],
    fields: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> tuple[tuple[Tensor, Tensor], tuple[int, ...]]:
    """Return states with features of the training and the validation split, and their blocks."""
    train, valid = states
    blocks = (train.shape[1], *(reader.blocks if reader is not None else ()))
    if reader is not None:
        train = torch.cat([train, reader.read(fields[0])], dim=1)
        valid = torch.cat([valid, reader.read(fields[1])], dim=1)
    return (train, valid), blocks


def _drawn(rows: tuple[np.ndarray, Tensor, Tensor], seed: int) -> tuple[np.ndarray, Tensor, Tensor]:
    """Return the rows that a kernel head is fitted to: all, or a random choice of many."""
    sample, states, targets = rows
    if len(sample) <= MOST_ROWS:
        return rows
    kept = np.sort(np.random.default_rng([seed, 80]).permutation(len(sample))[:MOST_ROWS])
    return sample[kept], states[kept], targets[kept]


def _made(fit: KernelFit, reader: FeatureReader | None, scale: float | None) -> dict[str, Any]:
    """Return how a kernel head was fitted, for a head on other rows."""
    kernels = [{"width": each.width, "alphas": list(each.alphas)} for each in fit.solutions]
    reads = reader.sources if reader is not None else []
    made: dict[str, Any] = {"kernels": kernels, "reads": reads}
    if fit.rounds:
        made["rounds"] = [list(each) for each in fit.rounds]
    if len(fit.head.points) > FEW_POINTS:
        made["points"] = len(fit.head.points)  # a head on other rows has as many
    if fit.trees is not None and fit.share:
        made["trees"] = {"count": fit.trees.count, "share": fit.share}
    if scale is not None:
        made["scale"] = scale
    return made


def _candidates(
    plan: Plan, train: Mapping[str, list[Any]], recipe: Mapping[str, Any] | None
) -> Iterator[tuple[str, FeatureReader | None]]:
    """Yield the kernel heads to try, or that of a recipe: by name, what they read beside states."""
    settings = plan.config.stages.task
    if recipe is not None:
        # an older record does not name the sources: then it was all of them, or none
        reads = recipe.get("reads", [] if recipe["chosen"] == KERNEL else None)
        is_read, kinds = reads != [], KINDS[:1]
        found = feature_reader(plan.task, plan.registry, kinds, train, reads) if is_read else None
        yield recipe["chosen"], found
        return
    if settings.features != "on":
        yield KERNEL, None
    if not may_read_features(plan):
        return
    reader = feature_reader(plan.task, plan.registry, KINDS[:1], train)
    if reader is not None:
        yield f"{KERNEL} with {words(reader)}", reader
    elif settings.features == "on":
        raise no_features(plan)


def _rows(
    objective: HeadObjective,
    sample: np.ndarray,
    read: Tensor,
    targets: Tensor,
    valid_read: Tensor,
) -> TargetRows:
    """Return targets as numbers; a limit is replaced by the present head's mean beyond it."""
    task_model, loss = objective.task_model, objective.head_loss
    target, count = task_model.task.spec.target, len(task_model.classes)
    wanted = loss.targets(objective.valid.targets)
    if has_sides(targets):
        targets, _ = loss.as_squares(read, targets)
    if has_sides(wanted):
        wanted, _ = loss.as_squares(valid_read, wanted)
    train = ridge_targets(target, targets, count).double()
    valid = ridge_targets(target, wanted, count).double()
    weights, roots = objective.weights_of(sample), None
    if weights is None:
        mean = train.nanmean(dim=0).nan_to_num()
    else:
        roots = weights.double().sqrt().unsqueeze(1)  # (rows, 1)
        counts = torch.where(train.isnan(), 0.0, roots.square())
        total = counts.sum(dim=0).clamp_min(1e-12)
        mean = (counts * train.nan_to_num()).sum(dim=0) / total
    folds = None
    if 2 * NUM_FOLDS <= len(train) <= MOST_CROSS_VALIDATED:
        rng = np.random.default_rng([objective.seed, 78])
        folds = torch.from_numpy(rng.permutation(len(train)) % NUM_FOLDS)
    groups = tuple(same_rows(~train.isnan().numpy()))
    return TargetRows(train - mean, valid - mean, mean, groups, folds, roots)


def _choice(found: Mapping[str, Errors]) -> str:
    """Return the name of the simplest head that none beats by more than it costs."""
    names = list(found)
    chosen = names[0]
    for name in names[1:]:
        gain = GAIN_OF_FEATURES if " with " in name else _GAIN
        if found[name].cost < gain * found[chosen].cost:
            chosen = name
    return chosen


def _set_offset(
    objective: HeadObjective,
    rows: TargetRows,
    valid_inputs: Tensor,
    recipe: Mapping[str, Any] | None = None,
) -> float | None:
    """Add the mean of the targets; scale the logits of classes by the validation likelihood.

    Returns:
        The scale, or that of the recipe; None: numbers are not scaled.
    """
    task_model = objective.task_model
    head = task_model.head
    assert isinstance(head, KernelHead), "the head that was just fitted"
    with torch.no_grad():
        task_model.scaling.offset.copy_(rows.mean.float())
        if not isinstance(task_model.task.spec.target, Classification):
            return None
        weights = [parameter.clone() for parameter in head.parameters()]
        offset = task_model.scaling.offset.clone()

        def scale_by(scale: float) -> None:
            for parameter, weight in zip(head.parameters(), weights, strict=True):
                parameter.copy_(weight * scale)
            task_model.scaling.offset.copy_(offset * scale)

        losses = {}
        valid = ReadRows(valid_inputs, objective.valid.targets)
        given = recipe or {}
        for scale in (given["scale"],) if "scale" in given else _LOGIT_SCALES:
            scale_by(scale)
            losses[scale] = objective.head_loss.of(valid)
        scale = min(losses, key=lambda each: losses[each])
        scale_by(scale)
    return scale


def _beside(head: _Candidate | None) -> str:
    """Return words on the trees of a head, "" without."""
    if head is None or not head.fit.share:
        return ""
    return f", and boosted trees on these ({head.fit.share:.0%} of each prediction)"


def _compared(found: Mapping[str, Errors]) -> str:
    """Return a line that compares the heads, in mean squared errors of standardized targets."""
    parts = []
    for name, each in found.items():
        cross = each.cross_validated
        more = "" if cross is None else f", {cross:.4f} by cross-validation"
        parts.append(f"{name} {each.on_valid:.4f} on valid{more}")
    return f"mean squared errors of the heads: {'; '.join(parts)}"
