"""How a predictor that was evaluated was trained, so that one on all rows is trained likewise.

Rows that are trained on cannot choose when to stop or which head to keep, so these choices are
taken from the run whose validation split made them.
"""

import math
from collections.abc import Mapping
from typing import Any

import attrs

UNTRAINED = "untrained"
"""Under `tag` of a choice of heads: the function tag stays as it began."""

FIT_KEYS = ("fit_alpha", "fit_scale", "fit_pass")
"""Keys of an evaluation's record that say how the head was fitted before it."""


@attrs.frozen(kw_only=True)
class HeadRecipe:
    """How one task's head is fitted."""

    fit: dict[str, float] = attrs.field(factory=dict)
    """Penalty and scale of the closed form, or number of passes, of the last fit that was kept."""
    ends_with_fit: bool = True
    """Whether the head was fitted after the last step that was kept; False: steps went on from an
    earlier fit."""
    choice: dict[str, Any] = attrs.field(factory=dict)
    """What the choice between heads gave; {}: there was none."""


@attrs.frozen(kw_only=True)
class Recipe:
    """How a function tag and the heads of its tasks are trained."""

    share: float
    """Share of the planned steps after which the validation split was best."""
    steps_a_row: float
    """Planned steps over training rows."""
    heads: dict[str, HeadRecipe]
    """Task -> its head."""

    def steps(self, planned: int) -> int:
        """Return how many of the planned steps are taken."""
        return min(planned, math.ceil(self.share * planned - 1e-9))


def recipe_of(record: Mapping[str, Any]) -> Recipe:
    """Read the recipe from what metrics.json says of a task's last stage.

    Args:
        record: The lineage of the function tag, as plain data.
    """
    planned, best = record.get("planned_steps", 0), record.get("best_step", 0)
    history = [each for each in record.get("history", ()) if each["step"] <= best]
    tasks = list(record["tasks"])
    heads = {}
    for task in tasks:
        before = f"{task}." if len(tasks) > 1 else ""
        fits = [
            {key: each[before + key] for key in FIT_KEYS if before + key in each}
            for each in history
        ]
        made = [found for found in fits if found]
        heads[task] = HeadRecipe(
            fit=made[-1] if made else {},
            ends_with_fit=bool(fits and fits[-1]),
            choice=dict(record.get("head_choice", {}).get(task, {})),
        )
    is_untrained = any(head.choice.get("tag") == UNTRAINED for head in heads.values())
    return Recipe(
        share=0.0 if is_untrained or not planned else best / planned,
        steps_a_row=planned / max(1, record.get("rows", 0)),
        heads=heads,
    )
