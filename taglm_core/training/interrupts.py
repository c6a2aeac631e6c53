"""Ctrl-C while a stage is trained: the step is ended and kept, then the run stops."""

import signal
import threading
from types import FrameType, TracebackType


class Stopped(KeyboardInterrupt):
    """A stage was stopped by the user after a step, which a checkpoint holds."""

    def __init__(self, step: int, steps: int) -> None:
        """Say where.

        Args:
            step: Last step that was taken.
            steps: Steps of the stage.
        """
        super().__init__(f"Stopped at step {step} of {steps}.")
        self.step = step
        self.steps = steps

    def __reduce__(self) -> tuple[type["Stopped"], tuple[int, int]]:
        """Return how another process makes the same."""
        return type(self), (self.step, self.steps)


class StopAfterStep:
    """While it is entered, Ctrl-C asks to stop after the present step; once more stops at once.

    Only the main thread hears signals; in another thread nothing changes.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._before: object = None

    def __enter__(self) -> "StopAfterStep":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True
