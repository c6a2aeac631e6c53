"""What a stage will take, said before it begins: counted tokens at the measured pace."""

import time
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import numpy as np
import torch

from taglm_core.model.backbone import Backbone
from taglm_core.model.precision import BF16
from taglm_core.model.prefix_cache import bytes_per_token, is_worth_holding, shown
from taglm_core.progress import Progress, say_detail, shown_seconds
from taglm_core.training.fit import FitSettings
from taglm_core.training.member import Member
from taglm_core.training.objectives import DomainObjective
from taglm_core.training.schedule import MOST_TRAIN_SCORED
from taglm_core.training.splits import SplitData

_TOKENS, _WORK = 64, 3e9  # multiply-adds of a timed pass, so that a large backbone runs few rows
_WORTH_SAYING = 30.0
"""Seconds below which an estimate is only said to whoever asks for details."""
_LONG = 600.0
"""Seconds from which the estimate says how to make the run shorter."""


@attrs.frozen
class Pace:
    """Tokens a second of a backbone here, in its precision."""

    forward: float
    backward: float
    """Of a forward and a backward pass, as in training."""


_PACES: WeakKeyDictionary[Backbone, Pace] = WeakKeyDictionary()


def pace_of(backbone: Backbone) -> Pace:
    """Measure, once a process, how quick a backbone is: two short passes of each kind."""
    if backbone not in _PACES:
        tokens = min(_TOKENS, backbone.max_positions)
        rows = max(1, min(32, int(_WORK / backbone.num_matrix_weights / tokens)))
        count = rows * tokens
        _PACES[backbone] = Pace(
            forward=count / _quicker(lambda: _pass(backbone, rows, tokens, False), backbone),
            backward=count / _quicker(lambda: _pass(backbone, rows, tokens, True), backbone),
        )
    return _PACES[backbone]


def _quicker(run: Callable[[], object], backbone: Backbone) -> float:
    """Return the seconds of the quicker of two passes: the first one allocates."""
    best = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        run()
        if backbone.device.type == "cuda":
            torch.cuda.synchronize(backbone.device)
        best = min(best, time.perf_counter() - began)
    return best


def _pass(backbone: Backbone, rows: int, tokens: int, with_backward: bool) -> None:
    ids = (torch.arange(rows * tokens) * 37 + 11).view(rows, tokens) % backbone.vocab_size
    places = torch.arange(tokens, device=backbone.device).expand(rows, tokens)
    with torch.set_grad_enabled(with_backward):
        embedded = backbone.embed(ids.to(backbone.device)).float().detach()
        embedded.requires_grad_(with_backward)
        states = backbone.hidden_states(embedded, None, places, may_run_again=False)
        if with_backward:
            states.square().mean().backward()  # type: ignore[no-untyped-call]


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


def _bytes(backbone: Backbone, tokens: float, fitting: FitSettings) -> int:
    """Return what one batch of a step holds for its backward pass, roughly.

    A layer keeps its inputs, queries, keys, values, what attention gives, and the inner states of
    its feed-forward part, three times.
    """
    config: Any = backbone.config
    inner = getattr(config, "intermediate_size", None) or 4 * backbone.hidden_size
    numbers = 8 * backbone.hidden_size + 3 * inner
    return int(min(tokens, fitting.batch_tokens) * config.num_hidden_layers * numbers * 4)


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
        memory=_bytes(backbone, step, fitting),
    )


def task_estimate(
    stage: str,
    members: Sequence[Member],
    fitting: FitSettings,
    segment_tokens: int,
) -> Estimate:
    """Estimate stage 2 or 3 and the scoring that follows.

    Args:
        stage: Its name.
        members: The tasks that are trained together, with their rows.
        fitting: Steps and evaluations.
        segment_tokens: Tokens that are computed once and cached; 0: whole rows are run.
    """
    backbone = members[0].plan.backbone
    pace = pace_of(backbone)
    train = np.concatenate([_run_tokens(m.splits["train"], segment_tokens) for m in members])
    step = float(train.mean()) * min(fitting.batch_size, len(train))
    read = sum(_read_tokens(member, segment_tokens) for member in members)
    scored = sum(_scored_tokens(member, segment_tokens) for member in members)
    parts = [
        (_steps(fitting), fitting.last * step / pace.backward),
        # before the first step, and when the head is chosen
        ("evaluations", (fitting.num_evaluations + 2) * read / pace.forward),
        ("scoring", scored / pace.forward),
    ]
    if segment_tokens:
        parts.insert(0, ("cached segments", segment_tokens / pace.forward))
    return Estimate(
        stage=stage,
        parts=tuple(parts),
        memory=_bytes(backbone, step, fitting),
        cache=segment_tokens * bytes_per_token(backbone, backbone.dtype.itemsize),
    )


def _run_tokens(split: SplitData, segment_tokens: int) -> np.ndarray:
    """Return int64 `(rows,)`: the tokens that are computed for each row at each use."""
    return split.rows.lengths - (split.rows.suffix if segment_tokens else 0)


def _read_tokens(member: Member, segment_tokens: int) -> float:
    """Return the tokens of an evaluation: rows that the head is fitted to, and the valid split."""
    train = _run_tokens(member.splits["train"], segment_tokens)
    fitted = min(len(train), member.plan.config.stages.task.fit_rows)
    return float(train.mean() * fitted + _run_tokens(member.splits["valid"], segment_tokens).sum())


def _scored_tokens(member: Member, segment_tokens: int) -> float:
    """Return the tokens that are computed for the rows that are predicted in the end."""
    splits = member.splits
    is_held = segment_tokens and member.plan.precision != BF16
    is_held = is_held and is_worth_holding(segment_tokens, member.plan.backbone)
    train = _run_tokens(splits["train"], segment_tokens if is_held else 0).mean()
    scored = min(MOST_TRAIN_SCORED, len(splits["train"].rows)) * train
    return float(scored + sum(splits[name].rows.lengths.sum() for name in ("valid", "test")))
