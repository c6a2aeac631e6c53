"""The folder of a study: what was asked, its members, and which of them have finished."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import yaml

from taglm_core.errors import CheckpointError
from taglm_core.plugin import FolderLock, to_json, write_text
from taglm_studies.report.facts import TaskFacts, read_json

STUDY, RESULTS, MEMBERS = "study.yaml", "study.json", "members"
"""What was asked, the table, and the folder of the members."""
COST = "cost.json"
"""File of a member: what it cost; written last, so that it marks a finished one."""


@attrs.frozen(kw_only=True)
class Member:
    """One run or method of a study, for one seed."""

    group: str
    """What it is a member of, such as a method, a variant or a setting; a row of the table."""
    seed: int
    function: str
    """Reference to `(folder, **arguments) -> dict`: does the work in a folder and returns what it
    cost. Called in a process of its own where several run at a time."""
    arguments: Mapping[str, Any] = attrs.field(factory=dict)
    """Plain data."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        plain = "".join(c if c.isalnum() or c in "-_=.," else "_" for c in self.group)
        return f"{plain}-seed-{self.seed}"


class StudyFolder:
    """A folder that belongs to one request: the same one goes on, another one is refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FolderLock(path)

    def open(self, request: Mapping[str, Any]) -> None:
        """Create the folder, or check that it belongs to this request.

        Raises:
            CheckpointError: when it belongs to another one, is no study, or is in use.
        """
        wanted = json.loads(json.dumps(to_json(dict(request))))
        file = self.path / STUDY
        if file.is_file():
            stored = yaml.safe_load(file.read_text(encoding="utf-8"))
            if stored != wanted:
                keys = [k for k in {*stored, *wanted} if stored.get(k) != wanted.get(k)]
                shown = "\n".join(
                    f"  {key}: {stored.get(key)!r} there, {wanted.get(key)!r} now"
                    for key in sorted(keys)
                )
                raise CheckpointError(
                    f"{self.path} holds another study:\n{shown}\nGive another folder with --out."
                )
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise CheckpointError(
                f"{self.path} is not empty and holds no study. Give another folder with --out."
            )
        self._lock.acquire()
        if not file.is_file():
            write_text(file, yaml.safe_dump(wanted, sort_keys=False))

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.release()

    def folder_of(self, member: Member) -> Path:
        """Return the folder of a member."""
        return self.path / MEMBERS / member.name

    def cost_of(self, member: Member) -> dict[str, Any] | None:
        """Return what a member cost, None while it has not finished."""
        return read_json(self.folder_of(member) / COST) or None

    def facts_of(self, member: Member) -> TaskFacts | None:
        """Return the results of a member, None while it has not finished."""
        if self.cost_of(member) is None:
            return None
        return TaskFacts.only(self.folder_of(member))

    def unfinished(self, members: Sequence[Member]) -> list[Member]:
        """Return the members that have still to run."""
        return [member for member in members if self.cost_of(member) is None]
