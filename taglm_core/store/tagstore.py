"""The tag store: trained tags by backbone, name and fingerprint, under `$TAGLM_HOME`."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
from filelock import FileLock

from taglm_core.data.home import home
from taglm_core.errors import CheckpointError, UnknownNameError, listed, nearest
from taglm_core.store.artifact import Artifact, load_artifact, save_artifact


@attrs.frozen
class StoredTag:
    """One entry of the store."""

    name: str
    """Full name, such as `chem/SMILES`."""
    backbone_key: str
    fingerprint: str
    folder: Path


def _fits(entry: StoredTag, name: str) -> bool:
    """Say whether an entry is meant by a name, a fingerprint, or `NAME@FINGERPRINT`."""
    names = (entry.name, entry.name.partition("/")[2])
    if name in names or (len(name) >= 4 and entry.fingerprint.startswith(name)):
        return True
    before, at, version = name.rpartition("@")
    return bool(at and version) and before in names and entry.fingerprint.startswith(version)


class TagStore:
    """Trained tags on disk; each entry is written whole, under a lock of its own."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or home()) / "tags"
        self.scratch = (folder or home()) / "scratch"
        """Where runs put what no later one needs."""
        self.corpora = (folder or home()) / "corpora"
        """What is known of corpora."""

    def path(self, backbone_key: str, name: str, fingerprint: str) -> Path:
        """Return where an entry is or would be."""
        return self.folder / backbone_key / name / fingerprint

    @contextlib.contextmanager
    def lock(self, backbone_key: str, name: str, fingerprint: str) -> Iterator[None]:
        """Hold the entry for writing; another run that wants it waits."""
        path = self.path(backbone_key, name, fingerprint)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(path) + ".lock"):
            yield

    def find(self, backbone_key: str, name: str, fingerprint: str) -> Artifact | None:
        """Return an entry, None when it is not there."""
        path = self.path(backbone_key, name, fingerprint)
        entry = StoredTag(name, backbone_key, fingerprint, path)
        return self.load(entry) if path.is_dir() else None

    def load(self, entry: StoredTag) -> Artifact:
        """Return what an entry holds.

        Raises:
            CheckpointError: when it is damaged or of a newer format; it says how to remove it.
        """
        remedy = (
            f"`taglm tags rm {entry.name}@{entry.fingerprint}` removes it; the next command that "
            "needs the tag trains it again."
        )
        try:
            artifact = load_artifact(entry.folder)
        except CheckpointError as error:
            raise CheckpointError(f"{error} {remedy}") from error
        if entry.name not in artifact.config.tags:
            holds = listed(artifact.config.tags) or "none"
            raise CheckpointError(
                f"{entry.folder} holds no tag <{entry.name}>; it holds {holds}. {remedy}"
            )
        return artifact

    def load_all(self) -> tuple[list[tuple[StoredTag, Artifact]], list[CheckpointError]]:
        """Return what each readable entry holds, and why each of the others cannot be read."""
        loaded, faults = [], []
        for entry in self.entries():
            try:
                loaded.append((entry, self.load(entry)))
            except CheckpointError as error:
                faults.append(error)
        return loaded, faults

    def save(
        self, backbone_key: str, name: str, fingerprint: str, artifact: Artifact, readme: str
    ) -> Path:
        """Write an entry and return its folder."""
        path = self.path(backbone_key, name, fingerprint)
        save_artifact(path, artifact, readme)
        return path

    def entries(self) -> list[StoredTag]:
        """List what the store holds, sorted by name."""
        tags = []
        for config in sorted(self.folder.glob("*/*/*/*/config.json")):
            folder = config.parent
            backbone_key, plugin, tag = folder.relative_to(self.folder).parts[:3]
            tags.append(StoredTag(f"{plugin}/{tag}", backbone_key, folder.name, folder))
        return sorted(tags, key=lambda entry: (entry.name, entry.fingerprint))

    def newest(self, backbone_key: str, name: str) -> StoredTag | None:
        """Return the entry of a tag that was written last for a backbone, None: there is none."""
        tags = [e for e in self.entries() if e.name == name and e.backbone_key == backbone_key]
        times = {e.folder: (e.folder / "config.json").stat().st_mtime_ns for e in tags}
        return max(tags, key=lambda e: times[e.folder], default=None)

    def remove(self, entry: StoredTag) -> None:
        """Remove an entry; predictors hold their tags themselves and go on working."""
        with self.lock(entry.backbone_key, entry.name, entry.fingerprint):
            aside = self.scratch / f"{entry.fingerprint}.removed"
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            entry.folder.rename(aside)  # at once, so that no reader finds half of it
            shutil.rmtree(aside)

    def outdated(self) -> list[StoredTag]:
        """Return the entries beside which the same tag was trained later for the same backbone."""
        return [
            entry
            for entry in self.entries()
            if (last := self.newest(entry.backbone_key, entry.name)) is not None
            and last.folder != entry.folder
        ]

    def get(self, name: str) -> list[StoredTag]:
        """Return the entries of a tag.

        Args:
            name: Full or short name, the beginning of a fingerprint (4 characters or more), or both
                as `NAME@FINGERPRINT`.

        Raises:
            UnknownNameError: offering the nearest.
        """
        entries = self.entries()
        tags = [entry for entry in entries if _fits(entry, name)]
        if not tags:
            shorts = {entry.name.partition("/")[2] for entry in entries}
            raise UnknownNameError(
                f"the tag store {self.folder} holds no tag '{name}'.{nearest(name, shorts)} It "
                f"holds: {listed(shorts) or 'nothing yet; `taglm run` trains tags'}."
            )
        return tags
