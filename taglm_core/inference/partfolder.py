"""The parts of a prediction that have finished, in a folder beside the output until it is whole."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from taglm_core.data.atomic import jsonable, kept_json, write_json, write_text
from taglm_core.errors import CheckpointError
from taglm_core.inference.files import PredictedPart
from taglm_core.store.folderlock import FolderLock

_REQUEST = "request.json"


class PartFolder:
    """Parts that belong to one request; those of another one are dropped."""

    def __init__(self, output: Path) -> None:
        """Name the folder; nothing is made yet.

        Args:
            output: The file that the parts will be.
        """
        self.path = output.with_name(f".{output.name}.parts")
        self._lock = FolderLock(self.path, "Wait for it, or write to another file.")

    def open(self, request: Mapping[str, Any], part_rows: int) -> tuple[int, str]:
        """Make or continue the folder.

        Args:
            request: What is predicted and how: plain data.
            part_rows: Rows of a part where nothing has been begun.

        Returns:
            Rows of a part, as the request was begun, and what was dropped, "" for nothing.

        Raises:
            CheckpointError: when another process uses it.
        """
        self._lock.acquire()
        wanted = json.loads(json.dumps(jsonable(request)))
        stored = kept_json(self.path / _REQUEST)
        if stored.get("request") == wanted:
            return int(stored["part_rows"]), ""
        old = list(self.path.glob("part-*.json"))
        for file in old:
            file.unlink()
        write_json(self.path / _REQUEST, {"request": wanted, "part_rows": part_rows})
        if not old:
            return part_rows, ""
        before = stored.get("request") or {}
        keys = [key for key in wanted if before.get(key) != wanted[key]]
        return part_rows, f"parts of another request ({', '.join(keys)} differ) are dropped"

    def _file(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.json"

    def finished(self) -> set[int]:
        """Return the numbers of the parts that are there."""
        return {int(file.stem.removeprefix("part-")) for file in self.path.glob("part-*.json")}

    def write(self, number: int, part: PredictedPart) -> None:
        """Keep a part, whole or not at all."""
        text = json.dumps(jsonable(attrs.asdict(part)), ensure_ascii=False)
        write_text(self._file(number), text)

    def read(self, number: int) -> PredictedPart:
        """Return a part.

        Raises:
            CheckpointError: when the file is damaged.
        """
        stored = kept_json(self._file(number))
        try:
            return PredictedPart(**stored)
        except TypeError as error:
            raise CheckpointError(
                f"{self._file(number)} is damaged. Remove it and run the same command again."
            ) from error

    def close(self, is_whole: bool) -> None:
        """Let other processes use the folder; remove it when the output is whole."""
        if is_whole:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()
