"""The tag store: trained tags by backbone, name and fingerprint, under `$TAGLM_HOME`.

Tags that travel with plugins are seen behind its own; their folders are never written to.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from filelock import FileLock

from taglm_core.data.home import home
from taglm_core.errors import CheckpointError, TaglmError, UnknownNameError, listed, nearest
from taglm_core.plugins import Registry
from taglm_core.specs.isolation import call_plugin
from taglm_core.specs.reference import resolve
from taglm_core.store.artifact import Artifact, load_artifact, save_artifact

logger = logging.getLogger(__name__)

OWN = "store"
"""Where the tags that runs train come from."""


@attrs.frozen
class PackagedTags:
    """A folder of trained tags inside a plugin's package, which is only read."""

    folder: Path
    source: str
    """Distribution and version, such as "taglm-backbone-nano 1.0.0"."""


@attrs.frozen
class StoredTag:
    """One entry of the store."""

    name: str
    """Full name, such as `chem/SMILES`."""
    backbone_key: str
    """Which backbone it was trained on, see `Fingerprint.key`."""
    fingerprint: str
    """Hash of all that decided its training."""
    folder: Path
    """Where its artifact is."""
    source: str = OWN
    """`store`, or the distribution and version of the plugin whose package holds it."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others: backbone key, name and fingerprint."""
        return self.backbone_key, self.name, self.fingerprint

    @property
    def is_packaged(self) -> bool:
        """Whether it belongs to a plugin's package and cannot be removed."""
        return self.source != OWN


def _fits(entry: StoredTag, name: str) -> bool:
    """Say whether an entry is meant by a name, a fingerprint, or `NAME@FINGERPRINT`."""
    names = (entry.name, entry.name.partition("/")[2])
    if name in names or (len(name) >= 4 and entry.fingerprint.startswith(name)):
        return True
    before, at, version = name.rpartition("@")
    return bool(at and version) and before in names and entry.fingerprint.startswith(version)


def _entries_in(place: Path, source: str) -> Iterator[StoredTag]:
    """Give the entries of a folder that is laid out as the store."""
    for config in sorted(place.glob("*/*/*/*/config.json")):
        folder = config.parent
        backbone_key, plugin, tag = folder.relative_to(place).parts[:3]
        yield StoredTag(f"{plugin}/{tag}", backbone_key, folder.name, folder, source)


class TagStore:
    """Trained tags on disk; each entry is written whole, under a lock of its own."""

    def __init__(self, folder: Path | None = None, packaged: Sequence[PackagedTags] = ()) -> None:
        """Look at a store.

        Args:
            folder: What holds it; None: `$TAGLM_HOME`.
            packaged: Folders of plugins, whose tags follow the store's own.
        """
        self.packaged = tuple(packaged)
        self.folder = (folder or home()) / "tags"
        self.scratch = (folder or home()) / "scratch"
        """Where runs put what no later one needs."""
        self.corpora = (folder or home()) / "corpora"
        """What is known of corpora."""

    @classmethod
    def of(cls, registry: Registry) -> "TagStore":
        """Return the user's store and the tags of the registered plugins.

        Args:
            registry: Hears of folders that cannot be found.
        """
        packaged = []
        for item in registry.tag_folders:
            where = f"tag folder {item.name}"
            try:
                folder = Path(call_plugin(resolve(item.spec.path, where)))
            except (TaglmError, TypeError) as error:
                registry.fail(item.source, "register_tag_folders", f"{where}: {error}")
            else:
                source = f"{item.source.distribution} {item.source.version}"
                packaged.append(PackagedTags(folder, source))
        return cls(packaged=packaged)

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
        """Return an entry, None when it is not there; the store's own goes before a package's.

        Raises:
            CheckpointError: when an entry of the store's own is damaged.
        """
        path = self.path(backbone_key, name, fingerprint)
        if path.is_dir():
            return self.load(StoredTag(name, backbone_key, fingerprint, path))
        found = self.find_packaged(backbone_key, name, fingerprint)
        return None if found is None else found[1]

    def find_packaged(
        self, backbone_key: str, name: str, fingerprint: str
    ) -> tuple[StoredTag, Artifact] | None:
        """Return an entry of a plugin's package and what it holds.

        One that is damaged is named in the log and counts as missing.
        """
        for entry in self.packaged_entries():
            if entry.key == (backbone_key, name, fingerprint):
                try:
                    return entry, self.load(entry)
                except CheckpointError as error:
                    logger.warning("%s It is not used.", error)
        return None

    def load(self, entry: StoredTag) -> Artifact:
        """Return what an entry holds.

        Raises:
            CheckpointError: when it is damaged or of a newer format; it says how to remove it.
        """
        remedy = (
            f"It belongs to {entry.source}: reinstall that package."
            if entry.is_packaged
            else f"`taglm tags rm {entry.name}@{entry.fingerprint}` removes it; the next command "
            "that needs the tag trains it again."
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
        """List what the store and the packages hold, sorted by name.

        What both hold is listed once, as the store's own.
        """
        own = self.own_entries()
        known = {entry.key for entry in own}
        others = [entry for entry in self.packaged_entries() if entry.key not in known]
        return sorted([*own, *others], key=lambda entry: (entry.name, entry.fingerprint))

    def own_entries(self) -> list[StoredTag]:
        """List what the store holds itself, which may be removed."""
        tags = list(_entries_in(self.folder, OWN))
        return sorted(tags, key=lambda entry: (entry.name, entry.fingerprint))

    def packaged_entries(self) -> list[StoredTag]:
        """List what the packages of plugins hold."""
        return [e for each in self.packaged for e in _entries_in(each.folder, each.source)]

    def newest(self, backbone_key: str, name: str) -> StoredTag | None:
        """Return the entry of a tag that was written last for a backbone, None: there is none.

        Of a package's tags there is no telling when they were written; they follow the store's.
        """
        tags = [e for e in self.entries() if e.name == name and e.backbone_key == backbone_key]
        tags = [e for e in tags if not e.is_packaged] or tags
        times = {e.folder: (e.folder / "config.json").stat().st_mtime_ns for e in tags}
        return max(tags, key=lambda e: times[e.folder], default=None)

    def remove(self, entry: StoredTag) -> None:
        """Remove an entry; predictors hold their tags themselves and go on working.

        Raises:
            CheckpointError: when a plugin's package holds it.
        """
        if entry.is_packaged:
            raise CheckpointError(
                f"{entry.name}@{entry.fingerprint} belongs to {entry.source} and is not removed. "
                "`--set stages.domain.fresh=true` trains another in its place."
            )
        with self.lock(*entry.key):
            aside = self.scratch / f"{entry.fingerprint}.removed"
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            entry.folder.rename(aside)  # at once, so that no reader finds half of it
            shutil.rmtree(aside)

    def outdated(self) -> list[StoredTag]:
        """Return the entries beside which the same tag was trained later for the same backbone."""
        return [
            entry
            for entry in self.own_entries()
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
