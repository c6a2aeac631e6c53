"""Time the baselines on QED from Morgan counts (radius 2, 2,048 columns).

Run as `python speed.py FILE.csv.gz [ROWS]` with a column `smiles`; a tenth as many rows, at most
5,000, become the valid and the test split each. Needs RDKit. Processor time of all threads is shown
beside wall time: other work on the machine disturbs it less.
"""

import random
import resource
import sys
import time

import numpy as np
from rdkit import Chem
from rdkit.Chem import QED, rdFingerprintGenerator
from sklearn.metrics import mean_absolute_error, r2_score

import taglm_core as taglm
from taglm_core.plugin import import_object, read_table
from taglm_studies import register_baselines


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
    splits = {}
    for split, rows in cuts.items():
        truth = np.array([[QED.qed(Chem.MolFromSmiles(row))] for row in rows])
        splits[split] = taglm.SplitData(fields={"smiles": rows}, truth=truth)
    data = taglm.TaskData(
        task="QED",
        target=taglm.Regression(names=("qed",)),
        splits=splits,
        features={"smiles": morgan},
        seed=0,
    )
    sys.stdout.write(f"{len(cuts['train'])} train rows\n")
    for baseline in register_baselines():
        wall, processor = time.time(), time.process_time()
        result = import_object(baseline.function, "benchmark")(data)
        if result is None:
            continue
        seconds = f"{time.time() - wall:6.1f} s, processor {time.process_time() - processor:6.1f} s"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        truth, made = splits["test"].truth[:, 0], result.predictions["test"][:, 0]
        scores = f"test mae {mean_absolute_error(truth, made):.4f} r2 {r2_score(truth, made):.3f}"
        limits = dict(result.limits) or ""
        sys.stdout.write(f"{baseline.name:9s} {seconds}, peak {peak:.1f} GB, {scores} {limits}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 90_000)
