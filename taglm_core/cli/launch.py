"""`taglm run --num-processes N`: the same command in several processes that train together."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from taglm_core.store.environment import is_one_of_several, usable_cores

OPTION = "--num-processes"
MARK = "TAGLM_LAUNCHED"
"""Variable of processes that this module started."""
_LOOK = 0.2
_GRACE = 20.0
"""Seconds that the other processes have to end by themselves after one of them failed."""


def speak_in_first() -> None:
    """Let processes other than the first write to no terminal."""
    if is_one_of_several() and os.environ["RANK"] != "0":
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        if MARK not in os.environ:  # else a file takes it
            os.dup2(nowhere, sys.stderr.fileno())


def run_several(count: int) -> int:
    """Run the command of this process in several, and wait for them.

    Args:
        count: Number of processes.

    Returns:
        The exit code: that of the first process, or of the one that failed first.
    """
    command = [sys.executable, "-m", "taglm_core", *without_option(sys.argv[1:])]
    shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), MARK: "1"}
    if "OMP_NUM_THREADS" not in os.environ:
        shared["OMP_NUM_THREADS"] = str(max(1, usable_cores() // count))
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(count - 1)]
        running = [
            subprocess.Popen(
                command,
                env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stderr=logs[rank - 1] if rank else None,
            )
            for rank in range(count)
        ]
        return _wait(running, logs)


def without_option(arguments: Sequence[str]) -> list[str]:
    """Return a command line without `--num-processes N`."""
    kept: list[str] = []
    is_value = False
    for argument in arguments:
        if not is_value and argument != OPTION and not argument.startswith(f"{OPTION}="):
            kept.append(argument)
        is_value = argument == OPTION and not is_value
    return kept


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(running: Sequence[subprocess.Popen[bytes]], logs: Sequence[IO[bytes]]) -> int:
    """Wait for all processes; when one fails, the others end."""
    while True:
        try:
            codes = [process.poll() for process in running]
        except KeyboardInterrupt:  # a terminal has told all of them
            continue
        failed = next((code for code in codes if code), None)
        if failed is not None:
            break
        if all(code == 0 for code in codes):
            return 0
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(_LOOK)
    _end(running)
    first = running[0].returncode
    if first in (None, 0, -signal.SIGTERM):  # the first one did not say what happened
        for log in logs:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:].decode(errors="replace"))
    return first if first is not None and first > 0 else abs(failed)


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let processes end, then make them."""
    last = time.monotonic() + _GRACE
    while any(process.poll() is None for process in running) and time.monotonic() < last:
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(_LOOK)
    for process in running:
        if process.poll() is None:
            process.terminate()
    for process in running:
        process.wait()
