"""Measure the SMILES encoder, the generator and the label functions on one core.

Run as `OMP_NUM_THREADS=1 python speed.py [FILE.csv]`; a file needs a column `smiles`, without one
the generated molecules are used. Processor time is measured, which other work on the machine
disturbs less.
"""

import csv
import gzip
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taglm_chem.encoder import SmilesEncoder
from taglm_chem.features import morgan_counts
from taglm_chem.generated import fragment_pool, task_molecules
from taglm_chem.labels import logp_values, qed_values
from taglm_chem.molecules import canonical_or_none, random_smiles
from taglm_chem.splits import scaffold_keys

NUM_MOLECULES = 2000
NUM_BYTES = 40_000_000


def seconds(function: Callable[..., Any], *arguments: Any, repeats: int = 1) -> float:
    """Return the shortest of the processor times that a call takes."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function(*arguments)
        times.append(time.process_time() - start)
    return min(times)


def read_smiles(path: Path) -> list[str]:
    """Return the column `smiles` of a csv or csv.gz file."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        return [row["smiles"] for row in csv.DictReader(lines)]


def main() -> None:
    """Write one line for each measurement."""
    lines = [f"fragment pool          {seconds(fragment_pool):8.2f} s"]
    start = time.process_time()
    rows = task_molecules(seed=0, size=NUM_MOLECULES)["smiles"]
    each = (time.process_time() - start) / NUM_MOLECULES
    lines.append(f"generate               {each * 1e3:8.3f} ms a molecule")
    if len(sys.argv) > 1:
        rows = read_smiles(Path(sys.argv[1]))
    few = rows[:NUM_MOLECULES]
    for function in (canonical_or_none, scaffold_keys, morgan_counts, logp_values, qed_values):
        each = seconds(function, few) / len(few)
        lines.append(f"{function.__name__:<22} {each * 1e3:8.3f} ms a molecule")
    each = seconds(random_smiles, [(row, 1) for row in few]) / len(few)
    lines.append(f"{'random_smiles':<22} {each * 1e3:8.3f} ms a molecule")
    many = rows * (NUM_BYTES // sum(map(len, rows)) + 1)
    rate = sum(map(len, many)) / seconds(SmilesEncoder().encode_batch, many, repeats=5)
    lines.append(f"encode_batch           {rate / 1e6:8.1f} MB/s, best of 5")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
