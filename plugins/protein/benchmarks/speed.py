"""Measure the encoder, the generator, labels, features and splits on one core.

Run as `OMP_NUM_THREADS=1 python speed.py [FILE]`; a file needs a column `sequence` (FASTA has one),
without one the generated sequences are used. Processor time is measured, which other work on the
machine disturbs less.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from taglm_core.plugin import read_table
from taglm_protein.encoder import ProteinEncoder
from taglm_protein.features import composition_and_kmers
from taglm_protein.generated import task_sequences
from taglm_protein.labels import blosum1, protparam
from taglm_protein.residues import canonical
from taglm_protein.splits import cluster_keys, cluster_splits

NUM_SEQUENCES = 2000
NUM_BYTES = 40_000_000


def seconds(function: Callable[..., Any], *arguments: Any, repeats: int = 1) -> float:
    """Return the shortest of the processor times that a call takes."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function(*arguments)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Write one line for each measurement."""
    start = time.process_time()
    rows = task_sequences(seed=0, size=NUM_SEQUENCES)["sequence"]
    lines = [
        f"generate               {(time.process_time() - start) / len(rows) * 1e3:8.3f} ms each"
    ]
    if len(sys.argv) > 1:
        rows = read_table(sys.argv[1]).column("sequence")
    residues = sum(map(len, rows))
    lines.append(f"{len(rows):,} sequences of {residues / len(rows):.0f} residues on average")
    for function in (canonical, composition_and_kmers, cluster_keys):
        each = seconds(function, rows) / len(rows)
        lines.append(f"{function.__name__:<22} {each * 1e3:8.3f} ms each")
    for function in (blosum1, protparam, cluster_splits):
        each = seconds(function, {"sequence": rows}) / len(rows)
        lines.append(f"{function.__name__:<22} {each * 1e3:8.3f} ms each")
    many = rows * (NUM_BYTES // residues + 1)
    rate = sum(map(len, many)) / seconds(ProteinEncoder().encode_batch, many, repeats=5)
    lines.append(f"encode_batch           {rate / 1e6:8.1f} MB/s, best of 5")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
