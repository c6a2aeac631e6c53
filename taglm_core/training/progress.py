"""How a stage tells what it is doing; the CLI draws bars, a library user may listen or not."""

from typing import Protocol


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


class Silent:
    """Says nothing."""

    def start(self, description: str, total: int | None) -> None:
        """Ignore."""

    def advance(self, done: int, note: str = "") -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""

    def say(self, text: str) -> None:
        """Ignore."""
