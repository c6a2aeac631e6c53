"""Batch functions run by several Python processes.

The workers are fresh interpreters that read rows from a pipe. Unlike `multiprocessing` they neither
fork a process that may hold torch threads nor run the user's own script again. Unlike those of
joblib a death tells the row that caused it, none outlives its call, and where no process can be
started nothing that may die is run in this one unseen: that is logged.
"""

import functools
import importlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar

import numpy as np

from taglm_core.errors import DataError
from taglm_core.plugin import usable_cores

logger = logging.getLogger(__name__)

_Row = TypeVar("_Row")
_Results = TypeVar("_Results")

MIN_ROWS = 5000
"""Below this number of rows a worker's start costs more than it saves."""

_DIED_ON_WINDOWS = (0xC0000005, 0xC00000FD)  # access violation, stack overflow
_NPY = b"\x93NUMPY"  # how the bytes of numpy.save begin
_WORKER = "from taglm_chem.processes import serve; serve()"


HEAVY = 500
"""Characters of a row from which on it is run in a process of its own: RDKit goes through long
molecules by recursion, and a thread's stack may end before they do."""

_MOST_SECONDS = 300
_IN_WORKER = "TAGLM_CHEM_WORKER"
_RAISE = object()


class ProcessDied(Exception):
    """A worker was ended by a signal, or did not end by itself."""


def run_rows(
    function: Callable[[Sequence[_Row]], _Results],
    rows: Sequence[_Row],
    *,
    workers: int | None = None,
    if_dead: Any = _RAISE,
) -> _Results:
    """Apply a batch function to rows, in worker processes when there are many rows or long ones.

    Args:
        function: A module-level function that maps rows to as many results, each from its own
            row alone: a numpy array `(rows, ...)` or a list that JSON can carry.
        rows: Rows that JSON can carry, `(rows,)`: texts, or tuples that begin with one.
        workers: Number of processes; None: one for each usable core from `MIN_ROWS` rows on.
        if_dead: Result of a row on which the process dies; not given: an error.

    Returns:
        What `function(rows)` returns; the result does not depend on the number of workers.

    Raises:
        DataError: naming a row on which the process dies.
    """
    heavy = (
        [] if os.environ.get(_IN_WORKER) else [i for i, row in enumerate(rows) if _is_heavy(row)]
    )
    if not heavy:
        return _run(function, rows, workers, if_dead)
    outside = set(heavy)
    light = [i for i in range(len(rows)) if i not in outside]
    try:
        by_places = [(heavy, isolated(function, [rows[i] for i in heavy], if_dead))]
    except DataError:
        raise
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return _here(function, rows, error)
    if light:
        by_places.append((light, _run(function, [rows[i] for i in light], workers, if_dead)))
    whole: Any = [None] * len(rows)
    if isinstance(by_places[0][1], np.ndarray):
        whole = np.empty((len(rows), *by_places[0][1].shape[1:]), by_places[0][1].dtype)
    for places, results in by_places:
        for place, result in zip(places, results, strict=True):
            whole[place] = result
    merged: _Results = whole
    return merged


def _run(
    function: Callable[[Sequence[_Row]], _Results],
    rows: Sequence[_Row],
    workers: int | None,
    if_dead: Any,
) -> _Results:
    if workers is None:
        workers = usable_cores() if len(rows) > MIN_ROWS else 1
    if workers < 2:
        return function(rows)
    # Every worker takes each n-th row, so that sorted rows do not leave one worker the long ones.
    parts = [list(rows[first::workers]) for first in range(workers)]
    ask = functools.partial(isolated, function, if_dead=if_dead)
    try:
        with ThreadPoolExecutor(workers) as pool:
            results = list(pool.map(ask, parts))
    except DataError:
        raise
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return _here(function, rows, error)
    whole: _Results = _interleave(results, len(rows))
    return whole


def _here(
    function: Callable[[Sequence[_Row]], _Results], rows: Sequence[_Row], error: Exception
) -> _Results:
    """Do the work in this process, so that an error names its row as if there were no workers."""
    logger.warning("taglm-plugin-chem: no worker processes (%s); using one core", error)
    return function(rows)


def isolated(function: Callable[[Sequence[Any]], Any], rows: list[Any], if_dead: Any) -> Any:
    """Apply a batch function in one worker process; find the row on which it dies, if it does.

    Raises:
        DataError: naming that row, unless `if_dead` is its result.
    """
    try:
        return _ask_worker(function, rows)
    except ProcessDied as death:
        if len(rows) > 1:
            half = len(rows) // 2
            parts = [isolated(function, part, if_dead) for part in (rows[:half], rows[half:])]
            is_array = isinstance(parts[0], np.ndarray)
            return np.concatenate(parts) if is_array else [*parts[0], *parts[1]]
        if if_dead is not _RAISE:
            return [if_dead]
        text = repr(_text(rows[0]))
        shown = text if len(text) <= 60 else text[:57] + "..."
        raise DataError(f"{shown}: the library crashes on this row ({death})") from death


def _text(row: Any) -> Any:
    return row[0] if isinstance(row, tuple | list) and row else row


def _is_heavy(row: Any) -> bool:
    text = _text(row)
    return isinstance(text, str) and len(text) > HEAVY


def serve() -> None:
    """Answer one request on standard input; the main function of a worker process."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints goes to stderr, the pipe carries the answer alone
    request = json.load(sys.stdin.buffer)
    function = getattr(importlib.import_module(request["module"]), request["function"])
    result = function(request["rows"])
    with answer:
        _write(answer, result)


def _ask_worker(function: Callable[[Sequence[Any]], Any], rows: list[Any]) -> Any:
    """Start a worker, give it rows and return its results."""
    request = {"module": function.__module__, "function": function.__name__, "rows": rows}
    paths = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _WORKER],
            input=json.dumps(request).encode(),
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": paths, _IN_WORKER: "1"},
            timeout=_MOST_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessDied(f"no result in {_MOST_SECONDS} s") from error
    if done.returncode < 0 or done.returncode in _DIED_ON_WINDOWS:
        raise ProcessDied(f"signal {-done.returncode}")
    if done.returncode:
        last_line = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise subprocess.SubprocessError(f"exit status {done.returncode}: {last_line}")
    return _read(done.stdout)


def _write(stream: BinaryIO, result: Any) -> None:
    if isinstance(result, np.ndarray):
        buffer = io.BytesIO()  # numpy wants to seek, which a pipe cannot
        np.save(buffer, result, allow_pickle=False)
        stream.write(buffer.getbuffer())
    else:
        stream.write(json.dumps(result).encode())


def _read(data: bytes) -> Any:
    if data.startswith(_NPY):
        return np.load(io.BytesIO(data), allow_pickle=False)
    return json.loads(data)


def _interleave(parts: list[Any], num_rows: int) -> Any:
    """Undo the dealing out of rows: part `k` holds the rows `k`, `k + n`, `k + 2n`, ..."""
    whole: Any = [None] * num_rows
    if isinstance(parts[0], np.ndarray):
        whole = np.empty((num_rows, *parts[0].shape[1:]), parts[0].dtype)
    for first, part in enumerate(parts):
        whole[first :: len(parts)] = part
    return whole
