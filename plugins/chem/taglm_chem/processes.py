"""Batch functions run by several Python processes.

The workers are fresh interpreters that read rows from a pipe. Unlike `multiprocessing` they neither
fork a process that may hold torch threads nor run the user's own script again.
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

logger = logging.getLogger(__name__)

_Row = TypeVar("_Row")
_Results = TypeVar("_Results")

MIN_ROWS = 5000
"""Below this number of rows a worker's start costs more than it saves."""

_NPY = b"\x93NUMPY"  # how the bytes of numpy.save begin
_WORKER = "from taglm_chem.processes import serve; serve()"


def run_rows(
    function: Callable[[Sequence[_Row]], _Results],
    rows: Sequence[_Row],
    *,
    workers: int | None = None,
) -> _Results:
    """Apply a batch function to rows, in worker processes when there are many rows.

    Args:
        function: A module-level function that maps rows to as many results, each from its own
            row alone: a numpy array `(rows, ...)` or a list that JSON can carry.
        rows: Rows that JSON can carry, `(rows,)`.
        workers: Number of processes; None: one for each usable core from `MIN_ROWS` rows on.

    Returns:
        What `function(rows)` returns; the result does not depend on the number of workers.
    """
    if workers is None:
        workers = _usable_cores() if len(rows) > MIN_ROWS else 1
    if workers < 2:
        return function(rows)
    # Every worker takes each n-th row, so that sorted rows do not leave one worker the long ones.
    parts = [list(rows[first::workers]) for first in range(workers)]
    try:
        with ThreadPoolExecutor(workers) as pool:
            results = list(pool.map(functools.partial(_ask_worker, function), parts))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        logger.warning("taglm-plugin-chem: no worker processes (%s); using one core", error)
        return function(rows)
    whole: _Results = _interleave(results, len(rows))
    return whole


def serve() -> None:
    """Answer one request on standard input; the main function of a worker process."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints goes to stderr, the pipe carries the answer alone
    request = json.load(sys.stdin.buffer)
    function = getattr(importlib.import_module(request["module"]), request["function"])
    result = function(request["rows"])
    with answer:
        _write(answer, result)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ask_worker(function: Callable[[Sequence[Any]], Any], rows: list[Any]) -> Any:
    """Start a worker, give it rows and return its results."""
    request = {"module": function.__module__, "function": function.__name__, "rows": rows}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _WORKER],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
        env=environment,
    )
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
