"""Bars on the terminal: one for each stage of the work, with the remaining time."""

import time

import attrs
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column

from taglm_core.cli.screen import errors

_SHORT_SECONDS = 2.0
"""A stage that takes less leaves no line."""
_LONG_SECONDS = 10.0
"""A stage inside another one that takes less leaves no line either."""


@attrs.define
class _Stage:
    description: str
    total: int | None
    began: float = attrs.field(factory=lambda: time.monotonic())  # noqa: PLW0108
    bar: TaskID | None = None
    note: str = ""
    is_said: bool = False
    is_outer: bool = False
    """Whether it goes over several runs, whose stages are shown as those of one."""

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self.began


class BarProgress:
    """Bars with remaining time on stderr, a line for each stage that took two seconds or more.

    Where stderr is no terminal, a stage of known length is a line when it begins, another one a
    line with its seconds when it ends, and each score a line of its own.
    """

    def __init__(self, verbose: bool = False) -> None:
        """Begin without a bar.

        Args:
            verbose: True: technical lines are printed too.
        """
        self._is_verbose = verbose
        self._stages: list[_Stage] = []
        self._bars: Bars | None = None

    def start(self, description: str, total: int | None) -> None:
        """Begin a bar, inside the present one if there is one."""
        self._begin(_Stage(description, total))

    def start_outer(self, description: str, total: int) -> None:
        """Begin a bar over several runs; it leaves no line, since the runs have lines."""
        self._begin(_Stage(description, total, is_said=True, is_outer=True))

    def _begin(self, stage: _Stage) -> None:
        self._stages.append(stage)
        if errors.is_terminal:
            if self._bars is None:
                self._bars = _new_bars()
                self._bars.start()
            shown = "  " * (len(self._stages) - 1) + stage.description
            stage.bar = self._bars.add_task(shown, total=stage.total, note="")
        elif self._depth == 1 and stage.total is not None:
            self._say_title(stage)

    @property
    def _depth(self) -> int:
        """Number of open stages of a run."""
        return sum(not stage.is_outer for stage in self._stages)

    def advance(self, done: int, note: str = "") -> None:
        """Set the bar to `done` units, with a short note."""
        if not self._stages:
            return
        stage = self._stages[-1]
        is_new, stage.note = bool(note) and note != stage.note, note or stage.note
        if self._bars is not None and stage.bar is not None:
            self._bars.update(stage.bar, completed=done, note=stage.note)
            return
        if stage.is_outer:
            return
        if is_new or stage.seconds > _SHORT_SECONDS:
            self._say_title(stage)
        if is_new:
            of = "" if stage.total is None else f"/{stage.total:,}"
            self.say(f"  {done:,}{of}: {note}")

    def finish(self) -> None:
        """End the bar begun last; say how long it took if that was long."""
        if not self._stages:
            return
        stage = self._stages.pop()
        if self._bars is not None and stage.bar is not None:
            self._bars.remove_task(stage.bar)
        if not self._stages and self._bars is not None:
            self._bars.stop()
            self._bars = None
        least = _LONG_SECONDS if self._depth else _SHORT_SECONDS
        if stage.seconds >= least and not stage.is_said:
            note = f", {stage.note}" if stage.note else ""
            self.say(f"{stage.description}: {stage.seconds:.0f} s{note}")

    def say(self, text: str) -> None:
        """Print one line."""
        errors.print(text, markup=False)

    def detail(self, text: str) -> None:
        """Print a technical line if they are asked for."""
        if self._is_verbose:
            self.say(text)

    def _say_title(self, stage: _Stage) -> None:
        if not stage.is_said:
            self.say(stage.description)
        stage.is_said = True


def _new_bars() -> Bars:
    return Bars(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
        console=errors,
        transient=True,
    )
