"""What a stage will take, said before it begins: counted tokens at the measured pace."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import numpy as np

from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_facts import Speed, speed_of
from taglm_core.model.prefix_cache import bytes_per_token, shown
from taglm_core.progress import Progress, say_detail, shown_seconds
from taglm_core.training.fit import FitSettings
from taglm_core.training.head_cost import HeadSeconds
from taglm_core.training.member import Member
from taglm_core.training.objectives import DomainObjective
from taglm_core.training.schedule import read_tokens, run_tokens, scored_tokens

_TOKENS, _WORK = 64, 3e9  # multiply-adds of a timed pass, so that a large backbone runs few rows
_WORTH_SAYING = 30.0
"""Seconds below which an estimate is only said to whoever asks for details."""
_LONG = 600.0
"""Seconds from which the estimate says how to make the run shorter."""


_SPEEDS: WeakKeyDictionary[Backbone, Speed] = WeakKeyDictionary()


def pace_of(backbone: Backbone) -> Speed:
    """Measure, once a process, how quick a backbone is in its precision: short passes."""
    if backbone not in _SPEEDS:
        speed_of(backbone, _TOKENS, _WORK, 0.0)  # the first passes allocate
        _SPEEDS[backbone] = speed_of(backbone, _TOKENS, _WORK, 0.0)
    return _SPEEDS[backbone]


@attrs.frozen(kw_only=True)
class Estimate:
    """What a stage will take on this machine."""

    stage: str
    parts: tuple[tuple[str, float], ...]
    """(name, seconds) of each part."""
    memory: int = 0
    """Bytes that training holds beside the backbone, without the cache."""
    cache: int = 0
    """Bytes of cached segments."""

    @property
    def seconds(self) -> float:
        """Seconds of all parts."""
        return sum(seconds for _, seconds in self.parts)

    def line(self) -> str:
        """Return the estimate in one line."""
        parts = ", ".join(f"{name} {shown_seconds(seconds)}" for name, seconds in self.parts)
        text = f"{self.stage}: about {shown_seconds(self.seconds)} ({parts})"
        text += f"; memory about {shown(self.memory)}"
        return text + (f", cache {shown(self.cache)}" if self.cache else "")

    def say(self, progress: Progress, advice: str) -> None:
        """Say the estimate if it is of interest, and how to shorten a long stage.

        Args:
            progress: Hears it.
            advice: What to change where the stage is long.
        """
        if self.seconds < _WORTH_SAYING:
            say_detail(progress, self.line())
            return
        progress.say(self.line() + (f". Shorter: {advice}" if self.seconds >= _LONG else ""))


def _steps(fitting: FitSettings) -> str:
    return f"{fitting.last:,} step{'s' if fitting.last != 1 else ''}"


def working_bytes(backbone: Backbone, tokens: float, is_cached: bool = False) -> int:
    """Return what a batch of so many tokens holds for its backward pass, roughly.

    A layer keeps its inputs, queries, keys, values, what attention gives, and the inner states of
    its feed-forward part, three times. Of layers that are run again, all but one keep their inputs.

    Args:
        backbone: Runs it.
        tokens: Of the batch.
        is_cached: Whether they stand behind cached segments; layers are not run again then.
    """
    config: Any = backbone.config
    inner = getattr(config, "intermediate_size", None) or 4 * backbone.hidden_size
    numbers = 8 * backbone.hidden_size + 3 * inner
    layers = int(config.num_hidden_layers)
    if backbone.checkpoints.are_certain and not is_cached:
        return int(tokens * (layers * backbone.hidden_size + numbers) * 4)
    return int(tokens * layers * numbers * 4)


def domain_estimate(
    stage: str, backbone: Backbone, objective: DomainObjective, fitting: FitSettings
) -> Estimate:
    """Estimate stage 1 of one domain.

    Args:
        stage: Its name.
        backbone: Runs it.
        objective: Of the domain, with the lengths of its rows.
        fitting: Steps and evaluations.
    """
    pace = pace_of(backbone)
    step = float(objective.lengths.mean()) * min(fitting.batch_size, len(objective.lengths))
    # an evaluation before the first step, and three ways that are compared in the end
    scored = float(objective.held_out.lengths.sum()) * (fitting.num_evaluations + 4)
    return Estimate(
        stage=stage,
        parts=(
            (_steps(fitting), fitting.last * step / pace.backward),
            ("held-out rows", scored / pace.forward),
        ),
        memory=working_bytes(backbone, min(step, fitting.batch_tokens)),
    )


def task_estimate(
    stage: str,
    members: Sequence[Member],
    fitting: FitSettings,
    segment_tokens: int,
    heads: HeadSeconds,
) -> Estimate:
    """Estimate stage 2 or 3 and the scoring that follows.

    Args:
        stage: Its name.
        members: The tasks that are trained together, with their rows.
        fitting: Steps and evaluations.
        segment_tokens: Tokens that are computed once and cached; 0: whole rows are run.
        heads: What the fits of heads in passes take.
    """
    backbone = members[0].plan.backbone
    pace = pace_of(backbone)
    is_cached = segment_tokens > 0
    train = np.concatenate([run_tokens(m.splits["train"], is_cached) for m in members])
    step = float(train.mean()) * min(fitting.batch_size, len(train))
    read = sum(read_tokens(member, is_cached) for member in members)
    scored = sum(scored_tokens(member, is_cached) for member in members)
    parts = [
        (_steps(fitting), fitting.last * step / pace.backward),
        # before the first step, and when the head is chosen
        ("evaluations", (fitting.num_evaluations + 2) * read / pace.forward),
        ("scoring", scored / pace.forward),
    ]
    if heads.states:
        # before the first step, and in each evaluation
        fits = 1 + (fitting.num_evaluations if members[0].plan.recipe is None else 1)
        parts.append(("fits of the head", fits * heads.states))
    if heads.features:
        parts.append(("heads with features", sum(heads.features)))
    if segment_tokens:
        parts.insert(0, ("cached segments", segment_tokens / pace.forward))
    return Estimate(
        stage=stage,
        parts=tuple(parts),
        memory=working_bytes(backbone, min(step, fitting.batch_tokens), is_cached),
        cache=segment_tokens * bytes_per_token(backbone, backbone.dtype.itemsize),
    )
