"""`--time`: a run plans the steps of its stages by their measured speed, and keeps to the plan."""

import json
import math
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.data.atomic import write_json
from taglm_core.progress import Progress, shown_seconds

PLAN = "time_plan.json"
"""File of a run folder with the steps that were planned, so that a run goes on by its plan."""

STAGE_ONE = 0.4
"""Share of the time left that the domain tags may take together."""
BASELINES = 0.3
"""Share of the whole time after which no further default baseline is begun."""
HEADS = "heads with features"
"""Key of the plan: which fits of heads with features were in time."""
_KEPT = 0.05
"""Share of the whole time for what is not measured, such as writing."""
_TIMED = 3


@attrs.frozen
class Speed:
    """What a stage takes on this machine."""

    step: float
    """Seconds of a step."""
    evaluation: float
    """Seconds of an evaluation, its fit of the head included."""


@attrs.define
class TimeBudget:
    """The time of a run and the steps that were planned of it."""

    seconds: float
    file: Path
    """Holds the plan."""
    began: float = attrs.field(factory=time.monotonic)
    num_task_stages: int = 1
    """Fits of function tags that are still to come."""
    num_tasks: int = 1
    """Tasks whose baselines are still to be fitted."""
    _until: dict[str, float] = attrs.field(factory=dict[str, float], init=False)
    """Stage -> when its heads have to be there, in seconds of `time.monotonic`."""

    @property
    def remaining(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.seconds - (time.monotonic() - self.began))

    @property
    def plan(self) -> dict[str, Any]:
        """Stage -> what was planned for it."""
        if not self.file.is_file():
            return {}
        return dict(json.loads(self.file.read_text(encoding="utf-8")))

    def until_baselines(self) -> float:
        """Return until when a task may begin a baseline, in seconds of `time.monotonic`.

        Tasks share what is left of the baselines' time.
        """
        now = time.monotonic()
        left = max(0.0, BASELINES * self.seconds - (now - self.began))
        share = left / max(1, self.num_tasks)
        self.num_tasks -= 1
        return now + share

    def steps(
        self,
        stage: str,
        wanted: int,
        evaluations: int,
        speed: Speed | None,
        progress: Progress,
        *,
        share: float,
        kept: Callable[[Speed], float] | None = None,
        head_fits: Sequence[float] = (),
    ) -> tuple[int, int]:
        """Plan a stage, or return what was planned for it before an interruption.

        Evaluations take at most half of a stage, so that slow ones are fewer, and so do fits of
        heads with features after its steps; no time is reserved for those beyond that.

        Args:
            stage: Its name.
            wanted: Steps that the settings ask for, which are never exceeded.
            evaluations: Number of evaluations during the stage.
            speed: What the stage takes here; None: it was planned before.
            progress: Hears the plan.
            share: Of the time left.
            kept: Seconds that what follows the stage needs.
            head_fits: Seconds of each fit of a head with features, in their order.

        Returns:
            Steps and evaluations, at least 1 each.
        """
        plan, end = self.plan, time.monotonic() + self.remaining * share
        if stage not in plan:
            assert speed is not None, "a stage is measured before it is planned"
            after = _KEPT * self.seconds + (kept(speed) if kept is not None else 0.0)
            free = max(0.0, self.remaining * share - after)
            fits = [total for total in accumulate(head_fits) if total <= free / 2]
            reserved = fits[-1] if fits else 0.0
            free -= reserved
            most = int(free / 2 / max(speed.evaluation, 1e-9)) - 1  # one before the first step
            evaluations = max(1, min(evaluations, most))
            free -= (evaluations + 1) * speed.evaluation
            steps = max(1, min(wanted, int(free / max(speed.step, 1e-9))))
            record: dict[str, float] = {"steps": steps, "of": wanted}
            record |= {"evaluations": evaluations, **attrs.asdict(speed), "kept": after}
            if head_fits:
                record["head_fits"] = reserved
            plan[stage] = record
            write_json(self.file, plan)
        record = plan[stage]
        self._until[stage] = end - record["kept"]
        steps = int(record["steps"])
        fitting = record.get("head_fits", 0.0)
        shown = f"{shown_seconds(fitting)} for heads with features, " if fitting else ""
        progress.say(
            f"time {shown_seconds(self.seconds)}: {stage} takes {steps:,} of {wanted:,} steps "
            f"({record['step']:.3g} s a step, {shown}{shown_seconds(record['kept'])} reserved for "
            "later stages)"
        )
        return steps, int(record["evaluations"])

    def allows(self, stage: str, fit: str, seconds: float) -> bool:
        """Return whether a fit after the steps of a stage ends in time.

        Args:
            stage: Its name, as it was planned; one without steps has no limit.
            fit: Name of the fit, under which a run that goes on finds the answer.
            seconds: What the fit takes.
        """
        plan = self.plan
        held = plan.setdefault(HEADS, {})
        if fit not in held:
            is_in_time = time.monotonic() + seconds <= self._until.get(stage, math.inf)
            held[fit] = {"seconds": seconds, "is_in_time": is_in_time}
            write_json(self.file, plan)
        return bool(held[fit]["is_in_time"])


def measured_speed(
    objective: Any,
    take_step: Callable[[Any, torch.optim.Optimizer, Sequence[Tensor], np.ndarray], None],
    parameters: Sequence[torch.nn.Parameter],
    batch_size: int,
) -> Speed:
    """Time some steps and an evaluation, and take them back.

    Args:
        objective: Whose loss; it is not used for training afterwards, or keeps nothing of a step.
        take_step: Takes a step on some rows.
        parameters: What is trained.
        batch_size: Rows of a step.
    """
    kept = [*parameters, *objective.buffers]
    before = [tensor.detach().clone() for tensor in kept]
    optimizer = torch.optim.AdamW(parameters, lr=1e-6)
    order = np.random.default_rng(0).permutation(len(objective.lengths))
    batches = [np.roll(order, -i * batch_size)[:batch_size] for i in range(_TIMED + 1)]
    times = []
    with torch.random.fork_rng():
        for batch in batches:
            begin = time.monotonic()
            take_step(objective, optimizer, parameters, batch)
            times.append(time.monotonic() - begin)
        begin = time.monotonic()
        objective.refine()
        objective.evaluate()
        evaluation = time.monotonic() - begin
    with torch.no_grad():
        for tensor, value in zip(kept, before, strict=True):
            tensor.copy_(value)
    objective.moved()
    return Speed(step=float(np.median(times[1:])), evaluation=evaluation)
