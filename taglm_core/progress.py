"""How work says how far it is: bars in notebooks and terminals, lines, or nothing."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Receives progress. Bars may be nested: each call speaks of the bar begun last."""

    def start(self, description: str, total: int | None) -> None:
        """Begin a bar of `total` units."""

    def advance(self, done: int, note: str = "") -> None:
        """Set the bar to `done` units with a short note."""

    def finish(self) -> None:
        """End the bar begun last."""

    def say(self, text: str) -> None:
        """Say one line that stays."""


def shown_seconds(seconds: float) -> str:
    """Return a duration for a person, such as 75 s, 12 min or 2.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


_CURRENT: ContextVar["Progress | None"] = ContextVar("taglm_progress", default=None)


@contextmanager
def reporting(progress: Progress) -> Iterator[None]:
    """Send the bars of `progress_bar` to a display while the block runs.

    Args:
        progress: The display.
    """
    token = _CURRENT.set(progress)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def progress_bar(description: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a bar while the block runs, on the display of whoever asked for the work.

    Nothing is shown where nobody asked for progress.

    Args:
        description: What is done, such as "descriptors of molecules".
        total: Number of units; None: not known.

    Yields:
        `advance(done, note="")`: sets the bar to `done` units.
    """
    progress = _CURRENT.get()
    if progress is None:
        yield _ignore
        return
    progress.start(description, total)
    try:
        yield progress.advance
    finally:
        progress.finish()


def _ignore(done: int, note: str = "") -> None:
    """Show nothing."""


@contextmanager
def outer_bar(
    progress: Progress, description: str, total: int
) -> Iterator[Callable[[int, str], None]]:
    """Show a bar over several runs, each of which has bars as if it were alone.

    Args:
        progress: The display; one without a method `start_outer` nests the bars of the runs.
        description: What the runs are, such as "5 folds".
        total: Number of runs.

    Yields:
        `advance(done, note)`: sets the bar to `done` runs.
    """
    start = getattr(progress, "start_outer", progress.start)
    start(description, total)
    try:
        yield progress.advance
    finally:
        progress.finish()


def say_detail(progress: Progress, text: str) -> None:
    """Say a technical line, such as what a cache saves, to whoever asks for such lines.

    Args:
        progress: Gets the line if it has a method `detail`; else it goes to the log.
        text: The line.
    """
    say = getattr(progress, "detail", None)
    if say is not None:
        say(text)
    else:
        logger.debug("%s", text)


class Silent:
    """Draws nothing; lines go to the log at level INFO."""

    def start(self, description: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, done: int, note: str = "") -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""

    def say(self, text: str) -> None:
        """Log the line."""
        logger.info("%s", text)


class NotebookProgress:
    """Bars of tqdm: widgets in a notebook that has ipywidgets, else one line of text.

    rich, which draws the bars of the command line, shows none in a notebook without ipywidgets.
    """

    def __init__(self) -> None:
        self._open: list[Any] = []

    def start(self, description: str, total: int | None) -> None:
        """Begin a bar."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that ipywidgets would draw a prettier bar
            from tqdm.auto import tqdm

        self._open.append(tqdm(desc=description, total=total, leave=False))

    def advance(self, done: int, note: str = "") -> None:
        """Set the bar."""
        if self._open:
            bar = self._open[-1]
            if note:
                bar.set_postfix_str(note, refresh=False)
            bar.update(done - bar.n)

    def finish(self) -> None:
        """End the bar."""
        if self._open:
            self._open.pop().close()

    def say(self, text: str) -> None:
        """Log the line: a notebook keeps what it prints."""
        logger.info("%s", text)


def chosen_progress(asked: "Progress | bool | None") -> Progress:
    """Return where progress goes.

    Args:
        asked: True: bars; False: nowhere; None: bars in a notebook or a terminal; or an object that
            receives progress.
    """
    if asked is None:
        asked = _is_notebook() or sys.stderr.isatty()
    if isinstance(asked, bool):
        return NotebookProgress() if asked else Silent()
    return asked


def _is_notebook() -> bool:
    """Return whether a Jupyter kernel runs this process."""
    shell = sys.modules.get("IPython")
    instance = shell.get_ipython() if shell is not None else None
    return type(instance).__name__ == "ZMQInteractiveShell"
