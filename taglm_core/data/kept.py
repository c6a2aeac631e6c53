"""Results of plugin functions of rows, kept by content under `$TAGLM_HOME/cache`.

What canonicalizes, groups, labels or describes rows is the same for the same rows and code. A
second run on a file, or the run after its dry run, then begins in seconds.
"""

import functools
import io
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taglm_core.data.atomic import write_bytes
from taglm_core.data.home import home
from taglm_core.errors import counted
from taglm_core.progress import progress_bar
from taglm_core.specs import Checked
from taglm_core.specs.codestamp import code_stamp, distributions, stamp_of

_LEAST_ROWS = 100
"""Fewer rows are computed each time."""
_MOST_BYTES = 1 << 26
"""Of one result; a larger one is not kept."""
_MOST_BYTES_OF_ALL = 1 << 30
"""Of the folder; the results that were made first are then removed."""

Kept = np.ndarray | list[Any] | dict[str, Any] | Checked


def kept_result(
    reference: str, function: Callable[..., Any], rows: Any, count: int, title: str, **options: Any
) -> Any:
    """Return `function(rows, **options)`, from the last time if rows, options and code are as then.

    A function outside the plugins that are installed is called each time, since its code can change
    in places that nobody lists.

    Args:
        reference: `package.module:attribute` of the function.
        function: What the reference stands for.
        rows: What it is called with: plain data; None: nothing.
        count: Number of rows.
        title: What is shown while it runs.
        **options: Further arguments: plain data.
    """
    call = functools.partial(function, *(() if rows is None else (rows,)), **options)
    file = _file(reference, rows, count, options)
    found = _read(file) if file is not None else None
    if found is None:
        with progress_bar(title):
            found = call()
        if file is not None:
            _write(file, found)
    return found


def _file(reference: str, rows: Any, count: int, options: dict[str, Any]) -> Path | None:
    """Return where a result is kept, None for one that is not."""
    if count < _LEAST_ROWS or reference.partition(":")[0].partition(".")[0] not in distributions():
        return None
    try:
        return home() / "cache" / stamp_of([reference, code_stamp(reference), rows, options])
    except TypeError:  # rows that are no plain data
        return None


def kept_rows(reference: str, function: Callable[..., Any], title: str, rows: Sequence[Any]) -> Any:
    """Return `function(rows)` as `kept_result` does, shown with the number of rows."""
    rows = list(rows)
    count = len(rows)
    return kept_result(reference, function, rows, count, f"{title}, {counted(count, 'row')}")


def _read(file: Path) -> Kept | None:
    try:
        data = zlib.decompress(file.read_bytes())
        if data[:1] == b"\x93":
            array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
            return array
        kind, content = json.loads(data)
    except (OSError, ValueError, zlib.error):  # not there, or damaged: made anew
        return None
    return Checked(*content) if kind == "checked" else content


def _write(file: Path, found: Any) -> None:
    is_large = isinstance(found, np.ndarray) and found.nbytes > _MOST_BYTES
    data = None if is_large else _bytes(found)
    if data is None or len(data) > _MOST_BYTES:
        return
    data = zlib.compress(data, 1)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _make_room(file.parent, len(data))
        write_bytes(file, data)
    except OSError:
        return  # a folder that cannot be written to costs time, nothing else


def _bytes(found: Any) -> bytes | None:
    """Return a result as the bytes of a file, None for one that would come back as another."""
    if isinstance(found, np.ndarray):
        if found.dtype.hasobject:
            return None
        buffer = io.BytesIO()
        np.save(buffer, found, allow_pickle=False)
        return buffer.getvalue()
    content = ["checked", [*found]] if isinstance(found, Checked) else ["plain", found]
    try:
        data = json.dumps(content)
    except (TypeError, ValueError):
        return None
    again = json.loads(data)[1]
    is_same = Checked(*again) == found if isinstance(found, Checked) else again == found
    return data.encode() if is_same else None


def _make_room(folder: Path, num_bytes: int) -> None:
    facts = [(file, file.stat()) for file in folder.iterdir() if file.is_file()]
    total = sum(stat.st_size for _, stat in facts) + num_bytes
    for file, stat in sorted(facts, key=lambda fact: fact[1].st_mtime):
        if total <= _MOST_BYTES_OF_ALL:
            return
        file.unlink(missing_ok=True)
        total -= stat.st_size
