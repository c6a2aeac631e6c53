"""Time the reference predictors on QED from Morgan counts (radius 2, 2,048 columns).

Run as `python speed.py FILE.csv.gz [ROWS]` with a column `smiles`; a tenth as many rows, at most
5,000, become the valid and the test part each. Needs RDKit. Processor time of all threads is shown
beside wall time: other work on the machine disturbs it less.
"""

import random
import resource
import sys
import time
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import QED, rdFingerprintGenerator

import taglm_core as taglm
from taglm_core.data.metrics import mae, r2
from taglm_core.data.readers import read_table
from taglm_core.specs.events import Part
from taglm_studies.references import outcomes


def morgan(rows: list[str]) -> np.ndarray:
    """Count environments: float32 `(rows, 2048)`."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    counts = np.zeros((len(rows), 2048), np.float32)
    for index, row in enumerate(rows):
        counts[index] = generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(row))
    return counts


def main(file: str, num_rows: int) -> None:
    """Print time, memory and scores of each predictor."""
    smiles = read_table(file).column("smiles")
    random.Random(0).shuffle(smiles)
    most = min(num_rows // 10, 5000)
    cuts = {"train": smiles[2 * most :][:num_rows], "valid": smiles[:most]}
    cuts["test"] = smiles[most : 2 * most]
    parts = {}
    for part, rows in cuts.items():
        truth = np.array([[QED.qed(Chem.MolFromSmiles(row))] for row in rows])
        parts[part] = Part(fields={"smiles": rows}, truth=truth, prediction=truth)
    event = taglm.Evaluated(
        task="QED",
        target=taglm.Regression(names=("qed",)),
        parts=parts,
        features={"smiles": morgan},
        score=lambda truth, prediction: {},
        seed=0,
        folder=Path(),
    )
    sys.stdout.write(f"{len(cuts['train'])} train rows\n")
    wall, processor = time.time(), time.process_time()
    for name, outcome in outcomes(event):
        seconds = f"{time.time() - wall:6.1f} s, processor {time.process_time() - processor:6.1f} s"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        truth, made = parts["test"].truth[:, 0], outcome.predictions["test"][:, 0]
        scores = f"test mae {mae(truth, made):.4f} r2 {r2(truth, made):.3f}"
        limits = dict(outcome.limits) or ""
        sys.stdout.write(f"{name:9s} {seconds}, peak {peak:.1f} GB, {scores} {limits}\n")
        wall, processor = time.time(), time.process_time()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 90_000)
