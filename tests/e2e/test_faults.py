"""No exception shows a traceback; a failing run says what to do and leaves nothing behind."""

import csv
import errno
import os
import re
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
        (ZeroDivisionError("division by zero"), "bug in taglm.*ZeroDivisionError: division"),
        (KeyError("x"), "bug in taglm.*KeyError: 'x'.*taglm --debug COMMAND"),
        (RecursionError(), "bug in taglm.*RecursionError"),
        (RuntimeError("a\nlong\nstory"), "RuntimeError: a long story"),
        (MemoryError(), "out of memory.*batch_tokens"),
        (RuntimeError("[enforce fail] not enough memory: you tried"), "out of memory"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.csv"), "out.csv: No space.*full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: Permission denied.*perm"),
        (OSError("odd"), "odd."),
        (DataError("data.csv: no rows."), "data.csv: no rows."),
    ],
)
def test_every_exception_is_one_message(error, wanted, taglm, run_file, monkeypatch, tmp_path):
    """Whatever breaks, there is no traceback and the exit code is 1."""
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
    monkeypatch.setattr("taglm_core.training.run.assemble_splits", failing(DataError("no.")))
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


def test_a_molecule_of_20_000_atoms_is_a_row_error(taglm, run_file, tmp_path):
    """It would end the process in a segmentation fault and leave a temporary file."""
    assert taglm("run", run_file, "--out", tmp_path / "run").code == 0
    folder = tmp_path / "out"
    folder.mkdir()
    source = tmp_path / "long.csv"
    source.write_text("smiles\nCCO\n" + "C" * 20_000 + "\nc1ccccc1\n")
    done = taglm("predict", tmp_path / "run", "-i", source, "-o", folder / "out.csv")
    assert done.code == 0, done.err
    assert [path.name for path in folder.iterdir()] == ["out.csv"]
    rows = list(csv.DictReader((folder / "out.csv").open()))
    assert [bool(row["Sol"]) for row in rows] == [True, False, True]
    assert "too long: 20,000 characters" in rows[1]["error"]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [("1e39", "beyond|too large"), ("-1e400", "infinite|beyond")],
)
def test_a_number_that_nothing_can_be_computed_with(target, wanted, taglm, run_file, molecules_csv):
    """The row and the value are named, before anything is trained."""
    molecules_csv.write_text(molecules_csv.read_text().replace("CCO,0.3", f"CCO,{target}"))
    done = taglm("run", run_file, "--out", molecules_csv.parent / "run")
    assert done.code == 1
    assert re.search(f"row 1: .*({wanted})", done.err), done.err


def test_one_training_row_is_too_few(taglm, run_file, tmp_path):
    """The closed form of one row would be no number."""
    (tmp_path / "molecules.csv").write_text("Drug,Y,split\nCCO,1,train\nCCN,2,valid\nCCC,3,test\n")
    words = ["--set", "data.split={method: null, column: split}", "--out", tmp_path / "run"]
    done = taglm("run", run_file, *words)
    assert done.code == 1
    assert "too few rows: the split 'column split' leaves 1 row in the train split" in done.err
    (tmp_path / "molecules.csv").write_text(
        "Drug,Y,split\nCCO,1,train\nCCO,2,train\nCCN,1,valid\nCCC,1,test\n"
    )
    equal = taglm("run", run_file, *words)
    assert equal.code == 0, equal.err
