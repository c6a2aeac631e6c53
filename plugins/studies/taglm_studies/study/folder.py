"""The folder of a study: what was asked, its members, and which of them have finished."""

import contextlib
import hashlib
import json
import shutil
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
_LOCK = ".lock"
_LONGEST = 100
"""Characters of a folder's name; a longer one is cut."""


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
    """Plain data. Of a run: `task`, `data`, `settings` (nested) and `seed`."""
    run: str | None = None
    """Folder of its run inside its own folder, such as "."; None: it is no run of taglm."""
    needs: str | None = None
    """Name of the member whose rows it takes; None: it stands alone."""

    @property
    def name(self) -> str:
        """Name of its folder, another one for each group."""
        plain = "".join(c if c.isalnum() or c in "-_=.," else "_" for c in self.group)
        if plain != self.group or len(plain) > _LONGEST:  # others may look the same
            digest = hashlib.sha256(self.group.encode()).hexdigest()[:8]
            plain = f"{plain[:_LONGEST]}-{digest}"
        return f"{plain}-seed-{self.seed}"


class StudyFolder:
    """A folder that belongs to one request: the same one goes on, another one is refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FolderLock(path)

    def check(self, request: Mapping[str, Any]) -> None:
        """Demand that the folder is free, or belongs to a request.

        Args:
            request: What is asked.

        Raises:
            CheckpointError: when it belongs to another one, or is no study.
        """
        file = self.path / STUDY
        if file.is_file():
            stored, wanted = _stored(file), _plain(request)
            keys = [k for k in {*stored, *wanted} if stored.get(k) != wanted.get(k)]
            if keys:
                shown = "\n".join(
                    f"  {key}: {stored.get(key)!r} there, {wanted.get(key)!r} now"
                    for key in sorted(keys)
                )
                raise CheckpointError(
                    f"{self.path} holds another study:\n{shown}\nGive another folder with --out."
                )
        elif self.path.exists() and not self.path.is_dir():
            raise CheckpointError(
                f"{self.path} is a file; a study needs a folder. Give another path with --out."
            )
        elif self.path.is_dir() and any(entry.name != _LOCK for entry in self.path.iterdir()):
            raise CheckpointError(
                f"{self.path} is not empty and holds no study. Give another folder with --out."
            )

    def open(self, request: Mapping[str, Any]) -> None:
        """Create the folder, or check that it belongs to this request.

        Args:
            request: What is asked.

        Raises:
            CheckpointError: when it belongs to another one, is no study, or is in use.
        """
        self.check(request)
        self._lock.acquire()
        if not (self.path / STUDY).is_file():
            write_text(self.path / STUDY, yaml.safe_dump(_plain(request), sort_keys=False))

    def close(self) -> None:
        """Let other processes use the folder; one in which nothing has been trained is removed."""
        members = self.path / MEMBERS
        is_empty = not any(entry.is_file() for entry in members.rglob("*"))
        self._lock.release()
        if is_empty and {entry.name for entry in self.path.iterdir()} <= {STUDY, MEMBERS, _LOCK}:
            shutil.rmtree(self.path, ignore_errors=True)
            with contextlib.suppress(OSError):  # such as studies/, when others are in it
                self.path.parent.rmdir()

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


def _plain(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as a file gives it back."""
    return dict(json.loads(json.dumps(to_json(dict(request)))))


def _stored(file: Path) -> dict[str, Any]:
    """Return the request of a study that is there.

    Raises:
        CheckpointError: when the file is damaged.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{file} is damaged: it does not say what was asked. Delete {file.parent}, or give "
            "another folder with --out."
        )
    return found
