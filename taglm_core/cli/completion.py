"""What the shell completes: tasks, run folders and tags, beside files."""

from glob import escape, iglob
from os.path import isdir
from pathlib import Path

_RUN_FILES = (".yaml", ".yml")


def complete_task(incomplete: str) -> list[str]:
    """Return the registered tasks, the run files and the tables that begin so."""
    from taglm_core.data.formats import find_reader
    from taglm_core.errors import TaglmError
    from taglm_core.plugins import load_registry

    def is_wanted(path: str) -> bool:
        if path.endswith(("/", *_RUN_FILES)):
            return True
        try:
            return find_reader(Path(path), registry=registry) is not None
        except TaglmError:  # of another format
            return False

    registry = load_registry()
    names = sorted({task.short for task in registry.tasks} | {task.name for task in registry.tasks})
    files = [path for path in _paths(incomplete) if is_wanted(path)]
    return [name for name in names if name.startswith(incomplete)] + files


def complete_run(incomplete: str) -> list[str]:
    """Return the run folders that begin so, also those in `runs`, and other folders."""
    begins = [incomplete] if incomplete else ["runs/", ""]
    folders = [path for begin in begins for path in _paths(begin) if path.endswith("/")]
    runs = [path.rstrip("/") for path in folders if _is_run(Path(path))]
    inside = [
        str(Path(path) / name.name)
        for path in folders
        for name in sorted(Path(path).iterdir())
        if _is_run(name)
    ]
    others = [path for path in folders if path.rstrip("/") not in runs]
    return list(dict.fromkeys([*runs, *inside, *others]))


def _is_run(path: Path) -> bool:
    return (path / "run.yaml").is_file() or (path / "config.json").is_file()


def complete_engine(incomplete: str) -> list[str]:
    """Return the registered engines that begin so."""
    from taglm_core.plugins import load_registry

    names = sorted(engine.short for engine in load_registry().engines)
    return [name for name in names if name.startswith(incomplete)]


def complete_tag(incomplete: str) -> list[str]:
    """Return the tags of the store that begin so, by name and as NAME@FINGERPRINT."""
    from taglm_core.plugins import load_registry
    from taglm_core.store.tagstore import TagStore

    entries = TagStore.of(load_registry()).entries()
    names = [entry.name for entry in entries]
    names += [name.rpartition("/")[2] for name in names]
    names += [f"{entry.name}@{entry.fingerprint[:8]}" for entry in entries]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _paths(incomplete: str) -> list[str]:
    """Return the files and folders that begin so, folders with a slash behind."""
    found = sorted(iglob(f"{escape(incomplete)}*"))
    return [f"{path}/" if isdir(path) else path for path in found]
