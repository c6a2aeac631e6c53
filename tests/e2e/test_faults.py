"""No exception shows a traceback; a failing run says what to do and leaves nothing behind."""

import errno
import os
import subprocess
import sys

import pytest

from taglm_core.errors import DataError


def failing(error):
    """Return a function that raises."""

    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (ZeroDivisionError("division by zero"), "fault of taglm.*ZeroDivisionError: division"),
        (KeyError("x"), "fault of taglm.*KeyError: 'x'.*taglm --debug COMMAND"),
        (RecursionError(), "fault of taglm.*RecursionError"),
        (RuntimeError("a\nlong\nstory"), "RuntimeError: a long story"),
        (MemoryError(), "memory does not suffice.*batch_tokens"),
        (RuntimeError("[enforce fail] not enough memory: you tried"), "memory does not suffice"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.csv"), "out.csv: No space.*full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: Permission denied.*perm"),
        (OSError("odd"), "odd."),
        (DataError("data.csv: no rows."), "data.csv: no rows."),
    ],
)
def test_every_exception_is_one_message(error, wanted, taglm, run_file, monkeypatch, tmp_path):
    """Whatever breaks, there is no traceback and the exit code is 1."""
    import re

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("taglm_core.training.plan.load_task_rows", failing(error))
    done = taglm("run", run_file)
    assert done.code == 1
    assert "Traceback" not in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert re.search(wanted, line), line
    assert not (tmp_path / "runs").exists()


def test_the_debug_option_that_the_message_names_exists(taglm, run_file, monkeypatch, tmp_path):
    """`taglm --debug COMMAND` raises the exception itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("taglm_core.training.plan.load_task_rows", failing(KeyError("x")))
    with pytest.raises(KeyError):
        taglm("--debug", "run", run_file)


def test_an_interrupt_is_no_traceback(taglm, run_file, monkeypatch, tmp_path):
    """Ctrl+C ends a command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("taglm_core.training.plan.load_task_rows", failing(KeyboardInterrupt()))
    done = taglm("run", run_file)
    assert done.code in (1, 130)
    assert "Traceback" not in done.err
    assert not (tmp_path / "runs").exists()


def test_a_failure_after_the_data_check_leaves_no_folder(taglm, run_file, monkeypatch, tmp_path):
    """The folders `runs` and `runs/Sol` are gone when nothing was trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("taglm_core.training.run.assemble_parts", failing(DataError("no.")))
    done = taglm("run", run_file)
    assert done.code == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_traceback(tmp_path):
    """`taglm plugins --json | head -0` ends quietly."""
    program = [sys.executable, "-m", "taglm_core.cli.main", "plugins", "--json"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read().decode()
    process.wait()
    assert "Traceback" not in err
    assert "Error" not in err
