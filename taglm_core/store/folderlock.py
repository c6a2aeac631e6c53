"""The lock of a folder into which one process writes at a time."""

from pathlib import Path

from filelock import FileLock, Timeout

from taglm_core.errors import CheckpointError

LOCK = ".lock"
"""File of the folder that is locked."""


class FolderLock:
    """Keeps other processes out of a folder until it is released; threads share it."""

    def __init__(
        self, folder: Path, advice: str = "Wait for it, or give another folder with --out."
    ) -> None:
        """Take no lock yet.

        Args:
            folder: The folder, which may be missing.
            advice: Ends the message to who comes second.
        """
        self._folder = folder
        self._advice = advice
        self._lock = FileLock(str(folder / LOCK))

    def acquire(self) -> None:
        """Make the folder if it is missing, and lock it.

        Raises:
            CheckpointError: when another process has locked it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise CheckpointError(
                f"{self._folder} is in use by another process. {self._advice}"
            ) from error

    def release(self) -> None:
        """Let others lock the folder."""
        self._lock.release()
