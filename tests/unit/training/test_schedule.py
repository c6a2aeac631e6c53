"""The learning rate of each step, beside the schedules of transformers."""

import pytest
import torch
from transformers import get_scheduler

from taglm_core.training.fit import FitSettings, rate

WARMUP, STEPS = 3, 20
NAMES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def settings(schedule):
    """Return settings of 20 steps, three of them warming up."""
    return FitSettings(
        steps=STEPS,
        batch_size=1,
        batch_tokens=1,
        schedule=schedule,
        warmup_ratio=WARMUP / STEPS,
        weight_decay=0.0,
        max_grad_norm=1.0,
        num_evaluations=1,
        patience=1,
        seed=0,
    )


@pytest.mark.parametrize("schedule", NAMES)
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")
def test_rates_are_those_of_transformers_after_the_warmup(schedule):
    """A rate written in a paper means the same here; the first step of ours learns already."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(NAMES[schedule], optimizer, WARMUP, STEPS)
    rates = []
    for _ in range(STEPS):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.step()
    ours = [rate(step, settings(schedule)) for step in range(STEPS)]
    assert ours[WARMUP:] == pytest.approx(rates[WARMUP:], abs=1e-12)
    assert ours[: WARMUP - 1] == pytest.approx(rates[1:WARMUP], abs=1e-12)
    assert rates[0] == 0
    assert ours[0] > 0
