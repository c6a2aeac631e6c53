"""What a predictor that was scored tells the one that is trained on all rows."""

import numpy as np
import pytest
import torch

from taglm_core.progress import Silent
from taglm_core.training.fit import FitSettings, Group, fit
from taglm_core.training.recipe import recipe_of

RECORD = {
    "tasks": ["A"],
    "planned_steps": 100,
    "best_step": 40,
    "history": [
        {"step": 0, "rmse": 1.0, "fit_alpha": 0.1, "fit_scale": 1.0},
        {"step": 20, "rmse": 0.9, "fit_alpha": 0.01, "fit_scale": 1.0},
        {"step": 40, "rmse": 0.8},
        {"step": 60, "rmse": 0.9, "fit_alpha": 1.0, "fit_scale": 1.0},
    ],
    "head_choice": {"A": {"chosen": "linear", "tag": "trained"}},
}


def test_steps_and_head_are_those_of_the_best_step():
    """A fit after it was not kept; the steps are a share of the schedule."""
    recipe = recipe_of(RECORD)
    assert [recipe.steps(planned) for planned in (100, 125, 3, 1)] == [40, 50, 2, 1]
    head = recipe.heads["A"]
    assert head.fit == {"fit_alpha": 0.01, "fit_scale": 1.0}
    assert not head.ends_with_fit
    assert recipe_of({**RECORD, "best_step": 20}).heads["A"].ends_with_fit


def test_an_untrained_tag_stays_untrained():
    """It won over the trained one."""
    choice = {"chosen": "kernel", "kernels": [{"width": 1.0, "alphas": [0.1]}], "tag": "untrained"}
    recipe = recipe_of({**RECORD, "head_choice": {"A": choice}})
    assert recipe.steps(100) == 0
    assert recipe.heads["A"].choice == choice


def test_tasks_that_share_a_tag_have_a_head_each():
    """Their records stand under their names."""
    history = [{"step": 0, "loss": 1.0, "A.fit_alpha": 0.1, "B.fit_pass": 7}]
    record = {"tasks": ["A", "B"], "planned_steps": 4, "best_step": 0, "history": history}
    heads = recipe_of(record).heads
    assert (heads["A"].fit, heads["B"].fit) == ({"fit_alpha": 0.1}, {"fit_pass": 7})


class Line:
    """A number that falls to 0 while its score rises."""

    lengths = np.ones(4, dtype=np.int64)
    sorts_batches = False
    buffers = ()

    def __init__(self):
        self.value = torch.nn.Parameter(torch.ones(1))

    def refine(self):
        """Nothing has a closed form."""

    def begin(self, indices, num_batches):
        """Nothing is kept."""

    def moved(self):
        """Nothing is kept."""

    def weight(self, indices):
        """Count rows."""
        return len(indices)

    def loss(self, indices):
        """Return what falls."""
        return self.value.square().sum() * len(indices), len(indices)

    def evaluate(self):
        """Return what rises as the value falls."""
        return -self.value.item(), {"score": -self.value.item()}


@pytest.mark.parametrize("keeps", [None, 0, 3])
def test_a_fit_keeps_its_last_step_where_a_recipe_says_so(keeps, tmp_path):
    """Without one the best evaluation wins, which is the first here."""
    line = Line()
    settings = FitSettings(
        steps=8,
        batch_size=2,
        batch_tokens=64,
        schedule="constant",
        warmup_ratio=0.0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        num_evaluations=8,
        patience=2,
        seed=0,
        keeps=keeps,
    )
    groups = [Group("value", (line.value,), 0.01)]
    result = fit(line, groups, settings, tmp_path / "fit", Silent(), "fit")
    assert (result.steps, result.best_step) == ((2, 0) if keeps is None else (keeps, keeps))
    assert line.value.item() == pytest.approx(1 - 0.01 * result.best_step, abs=1e-3)
