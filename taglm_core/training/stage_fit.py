"""What stages of both kinds share: where the checkpoint is, and the fit of what is trained."""

from collections.abc import Sequence
from pathlib import Path

from taglm_core.model.tagged import TaggedModel
from taglm_core.progress import Progress
from taglm_core.store.runfolder import RunFolder
from taglm_core.training.fit import FitResult, FitSettings, Group, fit
from taglm_core.training.objectives import Objective
from taglm_core.training.plan import Plan


def checkpoint_folder(folder: RunFolder, plan: Plan, name: str) -> Path:
    """Return where a stage's checkpoint is; the other precision does not go on from it."""
    return folder.path / "checkpoints" / f"{name}-{plan.precision}"


def fit_stage(
    objective: Objective,
    groups: Sequence[Group],
    settings: FitSettings,
    checkpoint: Path,
    progress: Progress,
    name: str,
    model: TaggedModel,
) -> FitResult:
    """Fit with gradients for the groups alone; without any, solve what has a closed form."""
    if not groups:
        objective.refine()
        return untrained_fit(objective)
    model.train_only([p for group in groups for p in group.parameters])
    result = fit(objective, groups, settings, checkpoint, progress, name)
    model.train_only([])
    return result


def untrained_fit(objective: Objective) -> FitResult:
    """Return what a fit without any step gives: the score of what is there."""
    score, record = objective.evaluate()
    return FitResult(0, score, [{"step": 0, **record}], 0, 0.0)
