"""Fixtures that drive the `taglm` program in this process."""

import sys
from types import SimpleNamespace

import pytest


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


@pytest.fixture
def molecules_csv(tmp_path):
    """Write forty molecules with a number beside each."""
    file = tmp_path / "molecules.csv"
    lines = [f"{smiles},{len(smiles) / 10}" for smiles in MOLECULES]
    file.write_text("Drug,Y\n" + "\n".join(lines) + "\n")
    return file


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
