"""Every speed figure of taglm, measured against its rivals in this process.

    python benchmarks/run.py [--json FILE] [--only NAME ...] [--threads N] [--clock wall|cpu]
                             [--precision fp32 bf16] [--size full|toy]
                             [--backbone NAME] [--batch ROWS]

Sides take turns, figures are medians. `ratio` is rival / ours (for rates ours / rival, for floors
ours / floor), `bound` the ratio that counting multiply-adds of weights and attention allows. An
epoch is the median step times the steps, plus the building of the cache over the epochs. With
TAGLM_DATA the rows are real, else generated with like lengths; `data` says which. On a machine
that is not idle use `--threads 1 --clock cpu`.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import preparation
import screening
import stages
import torch
import transformers
from measure import CLOCKS, Clock
from stages import Scale

import taglm_core

NAMES = (
    "stage3_davis",
    "stage3_kiba",
    "screen_grid",
    "screen_one_vs_many",
    "stage2_qed",
    "stage1_floor",
    "stage2_floor",
    "stage3_floor",
    "stage3_memory",
    "symbol_encoding",
    "symbol_encoding_protein",
    "padding",
    "preparation",
)


def main() -> None:
    """Measure what was asked for, print a table and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32"])
    parser.add_argument("--size", choices=("full", "toy"), default="full")
    parser.add_argument("--backbone", default="nano", help="name, folder or GGUF file")
    parser.add_argument("--batch", type=int, help="rows a step, such as 4 for a large backbone")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results: dict[str, Any] = {"machine": machine(args)}
    print(json.dumps(results["machine"]))
    for precision in args.precision:
        for name, measure in jobs(args, precision).items():
            if name not in args.only:
                continue
            torch.manual_seed(0)
            np.random.seed(0)
            key = name if precision == "fp32" else f"{name}_{precision}"
            results[key] = measure()
            print(line(key, results[key]), flush=True)
            if args.json:
                args.json.write_text(json.dumps(results, indent=1) + "\n")


def jobs(args: argparse.Namespace, precision: str) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return name -> measurement."""
    scale = Scale(precision=precision, clock=Clock(args.clock), backbone=args.backbone)
    if precision == "bf16":  # emulated on many processors: small batches, few rounds
        scale = attrs.evolve(scale, batch=8, rounds=2, rival_rounds=1)
    toy = args.size == "toy"
    if toy:
        scale = attrs.evolve(scale, batch=2, rounds=1, rival_rounds=1)
    if args.batch:
        scale = attrs.evolve(scale, batch=args.batch, rival_rounds=1)
    few = toy or precision == "bf16"
    short = attrs.evolve(scale, rounds=min(scale.rounds, 3))
    return {
        "stage3_davis": lambda: stages.stage3("davis", short, 40 if toy else None),
        "stage3_kiba": lambda: stages.stage3("kiba", short, 40 if toy else 20_000),
        "screen_grid": lambda: screening.grid(
            scale, 2 if few else 24, 3 if few else None, 2 if few else 64
        ),
        "screen_one_vs_many": lambda: screening.one_vs_many(
            scale, 16 if few else 1000, 2 if few else 48
        ),
        "stage2_qed": lambda: stages.stage2_qed(scale),
        "stage1_floor": lambda: stages.stage1_floor(scale),
        "stage2_floor": lambda: stages.cached_floor(scale, 2),
        "stage3_floor": lambda: stages.cached_floor(scale, 3),
        "stage3_memory": lambda: stages.stage3_memory(
            attrs.evolve(scale, batch=min(scale.batch, 16))
        ),
        "symbol_encoding": lambda: preparation.encoding(scale, "SMILES", 200 if toy else 20_000),
        "symbol_encoding_protein": lambda: preparation.encoding(
            scale, "Protein", 100 if toy else 20_000
        ),
        "padding": lambda: preparation.padding(scale, 2000 if toy else 20_000),
        "preparation": lambda: preparation.critical_path(scale),
    }


def machine(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the figures depend on."""
    model = "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [row for row in info.read_text().splitlines() if row.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": args.threads,
        "clock": args.clock,
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "taglm": taglm_core.__version__,
        "size": args.size,
        "backbone": Path(args.backbone).name,
    }


def line(name: str, found: dict[str, Any]) -> str:
    """Return a row of the table."""
    return (
        f"{name:24} ours {found['ours']!s:>9}  rival {found['rival']!s:>9}  "
        f"ratio {found['ratio']!s:>7}  bound {found['bound']!s:>7}  {found['unit']}"
    )


if __name__ == "__main__":
    main()
