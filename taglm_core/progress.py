"""How work says how far it is: bars in notebooks and terminals, lines, or nothing."""

import logging
import sys
import warnings
from typing import Any, Protocol

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Receives progress."""

    def start(self, description: str, total: int | None) -> None:
        """Begin a bar of `total` units."""

    def advance(self, done: int, note: str = "") -> None:
        """Set the bar to `done` units with a short note."""

    def finish(self) -> None:
        """End the bar."""

    def say(self, text: str) -> None:
        """Say one line that stays."""


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
        self._bar: Any = None

    def start(self, description: str, total: int | None) -> None:
        """Begin a bar."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that ipywidgets would draw a prettier bar
            from tqdm.auto import tqdm

        self.finish()
        self._bar = tqdm(desc=description, total=total, leave=False)

    def advance(self, done: int, note: str = "") -> None:
        """Set the bar."""
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)

    def finish(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

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
