"""Fixtures that drive the `taglm` program in this process."""

import os
import shutil
import sys
from types import SimpleNamespace

import pytest
from program import run_program


@pytest.fixture
def taglm(monkeypatch, capsys):
    """Return a function that runs `taglm` with arguments and gives code, out and err."""

    def call(*arguments):
        from taglm_core.cli.main import main

        monkeypatch.setattr(sys, "argv", ["taglm", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leave:
            code = leave.code or 0
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


MOLECULES = """CCO
CC(=O)Oc1ccccc1C(=O)O
CN1C=NC2=C1C(=O)N(C(=O)N2C)C
CC(C)Cc1ccc(cc1)C(C)C(=O)O
c1ccccc1
CCN(CC)CC
O=C(O)c1ccccc1O
CC(=O)Nc1ccc(O)cc1
C1CCCCC1
c1ccc2ccccc2c1
CCCCCC
OCC1OC(O)C(O)C(O)C1O
NCC(=O)O
CC(N)C(=O)O
c1ccncc1
C1COCCN1
CCOC(=O)C
ClC(Cl)Cl
BrCCBr
CS(C)=O
c1ccsc1
c1ccoc1
c1cc[nH]c1
CC#N
N#Cc1ccccc1
O=[N+]([O-])c1ccccc1
CCS
COc1ccccc1
Cc1ccccc1
Clc1ccccc1
Oc1ccccc1
Nc1ccccc1
C=Cc1ccccc1
CC(C)(C)O
C1CCNCC1
C1CNCCN1
O=C1CCCCC1
O=C1CCCN1
CCCCO
CCCCN""".split()


def write_molecules(file):
    """Write forty molecules with a number beside each."""
    lines = [f"{smiles},{len(smiles) / 10}" for smiles in MOLECULES]
    file.write_text("Drug,Y\n" + "\n".join(lines) + "\n")
    return file


@pytest.fixture
def molecules_csv(tmp_path):
    """Write forty molecules with a number beside each."""
    return write_molecules(tmp_path / "molecules.csv")


RUN_FILE = """
task:
  name: Sol
  template: "The SMILES of the molecule is <SMILES>{smiles}. Its solubility is <Sol>"
  target: {kind: regression, columns: [Y], unit: "log10 mol/L"}
  metrics: [rmse, mae, r2]
data: {file: molecules.csv, split: {method: random}}
backbone: BACKBONE
stages:
  domain: {size: 60, max_steps: 3, tag_length: 3, num_evaluations: 1}
  task: {max_steps: 4, tag_length: 3, num_evaluations: 1}
"""


@pytest.fixture
def run_file(tmp_path, toy_backbone, molecules_csv):
    """Write a run file beside the molecules, on a tiny random backbone."""
    file = tmp_path / "sol.yaml"
    file.write_text(RUN_FILE.replace("BACKBONE", str(toy_backbone)))
    return file


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Run the run file once for all tests; return a folder with the run and the tag store."""
    from small_runs import saved_backbone

    folder = tmp_path_factory.mktemp("trained")
    saved_backbone(folder / "tiny")
    write_molecules(folder / "molecules.csv")
    file = folder / "sol.yaml"
    file.write_text(RUN_FILE.replace("BACKBONE", str(folder / "tiny")))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TAGLM_PLUGINS", "TAGLM_STRICT"):
            patch.delenv(name, raising=False)
        words = ["run", file, "--out", folder / "run"]
        code, said = run_program(words, folder, TAGLM_HOME=folder / "home")
    assert code == 0, said
    assert "Sol [log10 mol/L], split: core/random" in said
    return folder


@pytest.fixture
def trained_run(trained, tmp_path):
    """Return the folder of a run of the test's own, copied with its tags to the test's store."""
    shutil.copytree(trained / "home", os.environ["TAGLM_HOME"], dirs_exist_ok=True)
    return shutil.copytree(trained / "run", tmp_path / "run")
