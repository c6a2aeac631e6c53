"""Files and folders written whole or not at all: temporary name, fsync, rename."""

import ctypes
import errno
import json
import logging
import math
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taglm_core.data.links import check_links
from taglm_core.errors import CheckpointError, DataError

logger = logging.getLogger(__name__)

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENEW = "Copy {} again from where it was written, or delete it and run the command again."


def check_writable(path: Path) -> None:
    """Check that a file can be put at `path`, before any work is done for it.

    Raises:
        DataError: when its folder is missing, something else than a file is there, or a symbolic
            link forms a loop.
        PermissionError: when its folder cannot be written to.
    """
    check_links(path, may_be_new=True)
    if path.parent.exists() and not path.parent.is_dir():
        raise DataError(f"{path}: '{path.parent}' is a file, not a folder. Choose another folder.")
    if not path.parent.is_dir():
        raise DataError(
            f"{path}: the folder '{path.parent}' does not exist. "
            f"Make it first: mkdir -p '{path.parent}'."
        )
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it, such as '{path / 'out.csv'}'.")
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is not a regular file and cannot be replaced. Name another.")
    folder = Path(os.path.realpath(path)).parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def check_not_read(path: Path, inputs: Iterable["str | Path | None"]) -> None:
    """Demand that a file that will be written is none of those that are read.

    A workbook would lose its other sheets, a table the format of its cells, and a mistyped name
    the only copy of the data.

    Raises:
        DataError: naming the file.
    """
    for read in inputs:
        if read is not None and path.exists() and Path(read).exists() and path.samefile(read):
            raise DataError(f"{path} is read by this command and is not replaced. Name another.")


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file that becomes `path` when the block ends well.

    The temporary file lies in the same folder; after an exception it is removed and `path` is as
    it was. A symbolic link stays one: the file that it points to is replaced.

    Raises:
        DataError: when the folder is missing or something else than a file is at `path`.
        OSError: when it cannot be written; it names `path`.
    """
    check_writable(path)
    real = Path(os.path.realpath(path))
    temporary = _beside(real)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, real)
        _sync(real.parent)
    except OSError as error:
        if str(error.filename) == str(temporary):  # a name that nobody has given
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; line ends stay as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, obj: Any) -> None:
    """Write plain data as JSON, keys in their order; NaN and infinities become null."""
    text = json.dumps(jsonable(obj), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON or YAML file that a run or another command wrote.

    Raises:
        CheckpointError: when it is damaged, such as after a full disk or a copy that was cut off.
        FileNotFoundError: when it is missing.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path} is damaged ({reason}). {_RENEW.format(path.parent)}"
        ) from error
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{path} is damaged: it holds no mapping. {_RENEW.format(path.parent)}"
        )
    return found


def keep_json(path: Path, obj: Any) -> None:
    """Write JSON that spares work next time, if the folder can be written to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, obj)
    except OSError as error:
        logger.debug("%s: not written (%s)", path, error)


def kept_json(path: Path) -> dict[str, Any]:
    """Return what `keep_json` wrote; {} where there is nothing, or something else."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def jsonable(obj: Any) -> Any:
    """Return plain data as JSON can hold it: no NaN, no infinity, no tuple, no numpy scalar."""
    if isinstance(obj, Mapping):
        return {str(key): jsonable(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [jsonable(value) for value in obj]
    if hasattr(obj, "tolist"):  # numpy scalars and arrays
        return jsonable(obj.tolist())
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    return obj


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder that becomes `path` when the block ends well.

    A folder already at `path` is swapped away and removed at the end; after an exception it stays
    and the temporary one is removed. On Linux the swap is one step, so that a folder is at `path`
    at every instant; elsewhere there are two renames.

    Raises:
        DataError: when `path` is a file, or its parent cannot be made.
    """
    real = Path(os.path.realpath(path))
    if real.exists() and not real.is_dir():
        raise DataError(f"{path} is a file, but a folder is needed there. Move it away.")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot make the folder '{real.parent}': {error}.") from error
    temporary = _beside(real)
    temporary.mkdir()
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                _sync(Path(folder) / name)
            _sync(Path(folder))
        _put(temporary, real)
        _sync(real.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, path: Path) -> None:
    """Move a folder to `path`; what was there has its old name afterwards or is gone."""
    if not path.exists():
        os.rename(temporary, path)
    elif not _exchange(temporary, path):
        old = _beside(path)
        os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            os.rename(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step; False where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux, or an old C library
        return False
    names = (os.fsencode(first), os.fsencode(second))
    failed: int = renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return failed == 0


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _sync(path: Path) -> None:
    """Have the disk hold what was written; folders only where the system can."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
