"""What runs in each worker of the cluster: an object, its calls, and the lines that it logs."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taglm_core.plugin import import_object

Said = tuple[str, int, str]
"""Logger, level and text of a line."""


class _Kept(logging.Handler):
    """Keeps what is logged until it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Said] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep warnings, and the lines of taglm and its plugins."""
        if record.levelno >= logging.WARNING or record.name.startswith("taglm_"):
            self.lines.append((record.name, record.levelno, record.getMessage()))


class Host:
    """Holds the object of a worker."""

    def __init__(self) -> None:
        self._object: Any = None
        self._kept = _Kept()

    def alive(self) -> bool:
        """Answer: the process has begun."""
        return True

    def prepare(
        self, folder: str, threads: int, factory: str, arguments: Mapping[str, Any]
    ) -> tuple[int, list[Said]]:
        """Make the object.

        Args:
            folder: Where the program was started; used where this machine has it too.
            threads: Of torch.
            factory: Reference to what makes the object.
            arguments: Passed by name.

        Returns:
            Number of the process, and what was logged.
        """
        root = logging.getLogger()
        root.handlers[:] = [self._kept]
        root.setLevel(logging.INFO)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported
        if Path(folder).is_dir():
            os.chdir(folder)
        self._object = None  # the one before makes room
        self._object = import_object(factory, "engine ray")(**arguments)
        return os.getpid(), self._sent()

    def call(self, method: str, arguments: Sequence[Any], *shared: Any) -> tuple[Any, list[Said]]:
        """Call a method; return its result and what was logged."""
        return getattr(self._object, method)(*arguments, *shared), self._sent()

    def _sent(self) -> list[Said]:
        lines, self._kept.lines = self._kept.lines, []
        return lines
