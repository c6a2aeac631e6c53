"""Rows that would end the process, or come back as another molecule, are row errors."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from taglm_chem.descriptors import descriptors
from taglm_chem.features import morgan
from taglm_chem.labels import logp, qed
from taglm_chem.molecules import MAX_CHARACTERS, augment, canonical
from taglm_chem.picture import draw
from taglm_chem.processes import HEAVY, run_rows
from taglm_chem.splits import scaffold_groups
from taglm_core.errors import DataError


@pytest.mark.parametrize(
    "row",
    [
        "C" * 20_000,
        "C" * (MAX_CHARACTERS + 1),
        "C(" * 10_000 + "C" + ")" * 10_000,
        "[" * 20_000,
        "C1CC1" * 5_000,
        "c1ccccc1-" * 3_000 + "C",
        "." * 30_000,
        "[C]" * 1_000_000,
    ],
    ids=["chain", "edge", "branches", "brackets", "rings", "aromatic", "dots", "millions"],
)
def test_a_row_that_is_too_long_is_refused_before_it_is_read(row):
    """A chain of 20,000 atoms would be a segmentation fault."""
    found = canonical(["CCO", row, "c1ccccc1"])
    assert found.values == ["CCO", None, "c1ccccc1"]
    assert found.errors[0] is None
    assert f"too long: {len(row):,} characters" in found.errors[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda rows: augment(rows, np.random.default_rng(0)),
        morgan,
        descriptors,
        lambda rows: qed({"smiles": rows}),
        lambda rows: logp({"smiles": rows}),
        scaffold_groups,
        lambda rows: draw(rows[-1]),
    ],
    ids=["augment", "morgan", "descriptors", "qed", "logp", "scaffolds", "draw"],
)
def test_no_function_of_the_domain_reads_it(call):
    """Rows need not have come through `canonical`, as those of a plugin of somebody's own."""
    with pytest.raises(DataError, match=r"too long: 20,000 characters") as caught:
        call(["CCO", "C" * 20_000])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("[99999C]", "the isotope 99999 at position 2 is above 999"),
        ("C[99999999999999999999C]", "the isotope 999999999999 at position 3"),
        ("[C+999999999]", "the charge 999999999"),
        ("[C-99]", "the charge 99"),
        ("[CH99999]", "the number of hydrogens 99999"),
        ("[C:99999999999999999999]", "the atom map 999999999999"),
    ],
)
def test_numbers_that_the_library_does_not_hold_are_refused(row, wanted):
    """`[99999C]` would come back as `[34463C]`, and `[C+999999999]` as `[C-]`."""
    found = canonical([row, "[13CH4]", "[Fe+3]", "[CH3:12]C", "[NH4+]", "C%12CCC%12"])
    assert wanted in found.errors[0]
    assert found.errors[1:] == [None] * 5


def test_a_long_row_gives_the_same_as_here(monkeypatch):
    """A process of its own changes no result."""
    row = "C" * (HEAVY + 100) + "N"
    rows = [row, "CCO", "not", row + "("]
    there = canonical(rows)
    groups, prints = scaffold_groups(rows[:2]), morgan(rows[:2])
    monkeypatch.setenv("TAGLM_CHEM_WORKER", "1")
    assert canonical(rows) == there
    assert there.errors[0] is None
    assert "not a valid SMILES" in there.errors[3]
    assert scaffold_groups(rows[:2]) == groups
    assert np.array_equal(morgan(rows[:2]), prints)


DYING = """
import os
import signal

def dies(rows):
    if any("Xx" in row for row in rows):
        os.kill(os.getpid(), signal.SIGKILL)
    return [len(row) for row in rows]
"""


def test_the_row_on_which_a_process_dies_is_found(tmp_path, monkeypatch):
    """The others have their results; this process goes on."""
    # a module of its own, since each of many workers imports it
    (tmp_path / "dying_on_rows.py").write_text(DYING)
    monkeypatch.syspath_prepend(str(tmp_path))
    dies = importlib.import_module("dying_on_rows").dies
    long = "C" * (HEAVY + 1)
    rows = [long, "CC", "Xx" + long, long + "N"]
    assert run_rows(dies, rows, if_dead=-1) == [HEAVY + 1, 2, -1, HEAVY + 2]
    assert run_rows(dies, ["C", "Xx", "CCC", "CC"], workers=2, if_dead=-1) == [1, -1, 3, 2]
    with pytest.raises(DataError, match="'XxCC.*crashes on this row"):
        run_rows(dies, rows)


@pytest.mark.slow
def test_a_table_with_such_a_row_is_read_whole(tmp_path):
    """In a fresh process, as `taglm predict` is one."""
    code = (
        "from taglm_chem.molecules import canonical\n"
        "found = canonical(['CCO', 'C' * 20000, 'C' * 3999])\n"
        "print(found.errors[0], found.errors[1], found.values[2] == 'C' * 3999)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("None too long: 20,000 characters")
    assert done.stdout.strip().endswith("True")
