"""What `taglm doctor` looks at: each check gives lines, and its own failure is a line too."""

import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from taglm_core.errors import TaglmError
from taglm_core.plugins import Registry
from taglm_core.plugins.compatibility import unmet
from taglm_core.specs.isolation import reason_of
from taglm_core.specs.reference import is_reference, resolve
from taglm_core.store.environment import usable_cores

_FEW_BYTES = 2_000_000_000
_TOO_FEW_BYTES = 100_000_000


@attrs.frozen
class Line:
    """One result."""

    status: str
    """ok, warn or fail."""
    check: str
    """What was looked at."""
    found: str
    """What was found."""
    advice: str = ""
    """What to do; empty when nothing is to be done."""


Lines = Iterator[Line]


@attrs.frozen(kw_only=True)
class Looked:
    """What the checks look at."""

    registry: Registry
    backbone: str
    folder: Path
    """Working directory."""


def run_checks(looked: Looked) -> list[Line]:
    """Run every check; whatever one of them raises becomes its line."""
    checks: list[tuple[str, Callable[[Looked], Lines]]] = [
        ("versions", _versions),
        ("torch", _torch),
        ("threads", _threads),
        ("precision", _precision),
        ("plugins", _plugins),
        ("references", _references),
        ("extras", _extras),
        ("tag store", _store),
        ("backbone", _backbone),
        ("disk", _disk),
        ("working folder", _working_folder),
    ]
    lines: list[Line] = []
    for name, check in checks:
        try:
            lines += check(looked)
        except TaglmError as error:
            lines.append(
                Line("fail", name, " ".join(str(error).split()), "Fix what the message names.")
            )
        except Exception as error:  # one broken library must not hide the other lines
            advice = "Reinstall it; `taglm --debug COMMAND` shows the traceback."
            lines.append(Line("fail", name, reason_of(error), advice))
    return lines


def _versions(looked: Looked) -> Lines:
    """Python and every requirement that taglm and the plugins declare."""
    wanted = importlib.metadata.metadata("taglm")["Requires-Python"]
    yield Line("ok", "python", f"{platform.python_version()} (taglm needs {wanted})")
    sources = {p.source.distribution for p in looked.registry.plugins}
    sources |= {f.source.distribution for f in looked.registry.failures}
    for name in sorted({"taglm", *sources} - {"extra", "unknown"}):
        wrong = unmet(name)
        for line in wrong:
            advice = f"pip install --upgrade {name} {line.split(' ')[0].split('>')[0]}"
            yield Line("fail", f"requirements of {name}", line, advice)
        if not wrong:
            yield Line("ok", f"requirements of {name}", "met")
    shown = [f"{name} {importlib.metadata.version(name)}" for name in ("taglm", "transformers")]
    yield Line("ok", "versions", ", ".join(shown))


def _torch(looked: Looked) -> Lines:
    """The torch build and the devices it sees."""
    import torch

    built = torch.version.cuda or getattr(torch.version, "hip", None)
    build = f"{torch.__version__}, built for {'GPU ' + built if built else 'CPU'}"
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if built and not devices:
        advice = "Check the driver (nvidia-smi), or go on without: the CPU is used."
        yield Line("warn", "torch", f"{build}; no GPU is visible", advice)
    else:
        yield Line("ok", "torch", f"{build}; devices: {', '.join(['cpu', *devices])}")


def _threads(looked: Looked) -> Lines:
    """Threads of torch against the processors that this process may use."""
    import torch

    usable, threads = usable_cores(), torch.get_num_threads()
    text = f"{threads} for {usable} processors"
    if threads > usable:
        yield Line(
            "warn",
            "threads",
            text,
            f"Set OMP_NUM_THREADS={usable}: more threads than cores are no faster.",
        )
    elif threads < usable:
        advice = "OMP_NUM_THREADS keeps processors idle; unset it unless others need them."
        yield Line("warn", "threads", text, advice)
    else:
        yield Line("ok", "threads", text)


def _precision(looked: Looked) -> Lines:
    """Which arithmetic a run would choose here."""
    from taglm_core.inference.precision import VARIABLE, kept_or_measured
    from taglm_core.model.backbone_loading import load_backbone

    forced = os.environ.get(VARIABLE)
    if forced:
        yield Line("ok", "precision", f"{VARIABLE}={forced} decides where precision is auto")
    try:
        loaded = load_backbone(looked.backbone, looked.registry)
    except TaglmError:
        return  # the check of the backbone tells
    measured = kept_or_measured(loaded, afresh=True)
    yield Line("ok", "precision", f"on {loaded.device.type}, {measured.line()}")


def _plugins(looked: Looked) -> Lines:
    """Everything that a plugin did wrong when it was loaded."""
    registry = looked.registry
    for failure in registry.failures:
        advice = f"pip install --upgrade {failure.source.distribution}, or uninstall it."
        yield Line("fail", "plugins", str(failure), advice)
    for note in registry.notes:
        yield Line("warn", "plugins", note, "Correct TAGLM_PLUGINS.")
    names = ", ".join(f"{p.source.name} {p.source.version}" for p in registry.plugins)
    yield Line("ok", "plugins", f"{len(registry.plugins)} registered: {names}")


def _references(looked: Looked) -> Lines:
    """Import everything that the plugins name, as a run would when it needs it."""
    from taglm_core.plugins.registry import KINDS

    count = 0
    for kind, _ in KINDS.values():
        for item in looked.registry.of_kind(kind):
            for field, reference in _references_of(item.spec):
                count += 1
                try:
                    resolve(reference, f"{item.source}, {kind} {item.short}, {field}")
                except TaglmError as error:
                    advice = f"Install what is missing, or report it to {item.source.distribution}."
                    yield Line("fail", "references", str(error), advice)
    yield Line("ok", "references", f"{count} looked up")


def _references_of(spec: Any) -> list[tuple[str, str]]:
    """Return (field, reference) of a spec and of the target inside a task."""
    references = []
    for name, value in attrs.asdict(spec, recurse=False).items():
        if isinstance(value, str) and name not in ("template", "text") and is_reference(value):
            references.append((name, value))
        elif attrs.has(type(value)):
            references += [
                (f"{name}.{inner}", reference) for inner, reference in _references_of(value)
            ]
    return references


def _extras(looked: Looked) -> Lines:
    """Optional splits that are there, and how to get those that are not."""
    from packaging.requirements import Requirement

    for name in sorted({"taglm", *(p.source.distribution for p in looked.registry.plugins)}):
        if name == "extra":
            continue
        metadata = importlib.metadata.metadata(name)
        for extra in metadata.get_all("Provides-Extra") or []:
            if extra in ("dev", "test", "docs"):
                continue
            needed = [
                Requirement(line).name
                for line in importlib.metadata.requires(name) or []
                if re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", line)
            ]
            absent = [one for one in needed if not _is_installed(one)]
            text = f"not installed ({', '.join(absent)})" if absent else "installed"
            yield Line("ok", f"extra {name}[{extra}]", text)


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _store(looked: Looked) -> Lines:
    """The tag store: there, writable, and every artifact in it readable."""
    from taglm_core.store.artifact import load_artifact
    from taglm_core.store.tagstore import TagStore

    folder = TagStore().folder
    wrong = _unwritable(folder)
    if wrong:
        advice = "Set TAGLM_HOME to a folder that you may write to."
        yield Line("fail", "tag store", f"{folder}: {wrong}", advice)
        return
    if not folder.is_dir():
        yield Line("ok", "tag store", f"{folder} does not exist yet; the first run creates it")
        return
    entries = [path for path in folder.glob("*/*/*/*") if path.is_dir() and path.suffix != ".tmp"]
    broken = 0
    for entry in sorted(entries):
        try:
            load_artifact(entry)
        except TaglmError as error:
            broken += 1
            advice = f"Delete {entry}; the next run that needs the tag trains it again."
            yield Line("fail", "tag store", " ".join(str(error).split()), advice)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    text = f"{folder}: {len(entries) - broken} readable tags, {size / 1e6:.1f} MB"
    yield Line("ok", "tag store", text)


def _nearest_there(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _unwritable(folder: Path) -> str:
    """Say why nothing can be written into a folder, or into the nearest one above that is there."""
    there = _nearest_there(folder)
    if not there.is_dir():
        return f"{there} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"{there} cannot be written to ({error.strerror})"


def _backbone(looked: Looked) -> Lines:
    """The backbone loads and answers."""
    from taglm_core.model.backbone_loading import load_backbone

    advice = "pip install --force-reinstall taglm-backbone-nano, or name another with --backbone."
    try:
        loaded = load_backbone(looked.backbone, looked.registry, "cpu")
    except TaglmError as error:
        yield Line("fail", "backbone", " ".join(str(error).split()), advice)
        return
    key = loaded.fingerprint().key
    yield Line("ok", "backbone", f"{looked.backbone} loads, fingerprint {key}")


def _disk(looked: Looked) -> Lines:
    """Free space where runs and tags are written."""
    from taglm_core.data.home import home

    for name, folder in (("working folder", looked.folder), ("tag store", home())):
        there = next(
            path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
        )
        free = shutil.disk_usage(there).free
        status = "ok" if free > _FEW_BYTES else "warn" if free > _TOO_FEW_BYTES else "fail"
        advice = "" if status == "ok" else f"Free disk space for {there}, or use another disk."
        yield Line(status, f"disk of the {name}", f"{free / 1e9:.1f} GB free", advice)


def _working_folder(looked: Looked) -> Lines:
    """Runs are written below the working folder."""
    wrong = _unwritable(looked.folder)
    if wrong:
        yield Line("fail", "working folder", wrong, "Change into another folder, or use --out.")
    else:
        yield Line("ok", "working folder", f"{looked.folder} can be written to")
