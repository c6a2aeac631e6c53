"""Computes with RDKit what the training needs of each molecule: an hour of two cores, resumable.

    TAGLM_DATA=<raw data> python describe_molecules.py --work <work folder>

Appends to `molecules.jsonl` (descriptors, facts, spellings) and then to `more_molecules.jsonl`
(only whether a molecule is held out). Run it again to go on; `prepare.py` takes what is there.
"""

import argparse
import json
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import corpus
from molecules import describe, divide


def whole_lines(path: Path) -> int:
    """Cut off a line that an interruption left half written; return how many lines there are."""
    if not path.exists():
        return 0
    count = end = 0
    with path.open("rb+") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                count, end = count + 1, end + len(line)
        lines.truncate(end)
    return count


def append(
    path: Path,
    function: Callable[[tuple[str, str]], dict[str, Any] | None],
    rows: list[tuple[str, str]],
    processes: int,
) -> None:
    """Write the function's result of each row that the file does not hold yet, a line each."""
    rows = rows[whole_lines(path) :]
    with Pool(processes) as pool, path.open("a", encoding="utf-8") as out:
        for number, found in enumerate(pool.imap(function, rows, chunksize=100)):
            out.write(json.dumps(found) + "\n")
            if number % 1000 == 0:
                out.flush()


def main() -> None:
    """Describe molecules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the results")
    parser.add_argument("--count", type=int, default=125_000, help="molecules with descriptors")
    parser.add_argument("--more", type=int, default=225_000, help="molecules without, after them")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=("described", "more"), help="one of the two files")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows = corpus.read_molecules()[: args.count + args.more]
    if args.only != "more":
        append(args.work / "molecules.jsonl", describe, rows[: args.count], args.processes)
    if args.only != "described":
        append(args.work / "more_molecules.jsonl", divide, rows[args.count :], args.processes)


if __name__ == "__main__":
    main()
