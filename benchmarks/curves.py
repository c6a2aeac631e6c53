"""Validation curves of stage 3 with the cache on, partly on, on disk and off, on real pairs.

    python benchmarks/curves.py [--train N] [--valid N] [--steps N] [--size full|toy]
                                [--longest N] [--threads N] [--json FILE]

Every setting is a whole run of the library on the same rows, with untrained domain tags, so that
the only difference is the cache. With TAGLM_DATA the rows are of Davis, else generated.
"""

import argparse
import csv
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import setting
import torch

from taglm_core.plugins import load_registry
from taglm_core.progress import Silent
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.tagstore import TagStore
from taglm_core.training.plan import make_plan
from taglm_core.training.run import execute, resolved
from taglm_core.training.settings import run_config


def main() -> None:
    """Run every setting of the cache and print the curves and their largest difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=int, default=600)
    parser.add_argument("--valid", type=int, default=200)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--longest", type=int, default=10_000, help="residues of a target")
    parser.add_argument("--size", choices=("full", "toy"), default="full")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="file to write")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.size == "toy":
        args.train, args.valid, args.steps, args.longest = 10, 4, 2, 200
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.train, args.valid, args.steps, args.longest)
    print(json.dumps(found, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


def measure(folder: Path, train: int, valid: int, steps: int, longest: int) -> dict[str, Any]:
    """Return the curve of each setting, and by how much they differ from that without a cache."""
    source = write_rows(folder / "pairs.csv", train, valid, longest)
    curves = {}
    few = f"{max(1, train // 3)}MB"  # less than the segments of so many pairs take
    for cache in ("off", "auto", few, f"{few}+disk:4GB"):
        curves[cache] = curve(folder, cache, steps)
        print(cache, curves[cache], flush=True)
    plain = np.array(curves["off"])
    differ = {
        cache: float(np.abs(np.array(held) - plain).max() / np.abs(plain).max())
        for cache, held in curves.items()
    }
    return {"data": source, "train": train, "valid": valid, "curves": curves, "differ": differ}


def write_rows(path: Path, train: int, valid: int, longest: int) -> str:
    """Write pairs with their splits; returns where they are from."""
    pairs = setting.load_pairs("davis")
    order = np.random.default_rng(0).permutation(len(pairs.values))
    chosen = [i for i in order if len(pairs.targets[i]) <= longest][: train + valid + 4]
    splits = ["train"] * train + ["valid"] * valid + ["test"] * 4
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "target", "y", "split"])
        for split, i in zip(splits, chosen, strict=True):
            writer.writerow([pairs.drugs[i], pairs.targets[i], pairs.values[i], split])
    return pairs.source


def curve(folder: Path, cache: str, steps: int) -> list[float]:
    """Run the task with a cache; returns the validation error at each evaluation."""
    target = {"kind": "regression", "columns": ["y"]}
    config = run_config(
        "benchmark",
        {
            "task": {"name": "BA", "template": setting.AFFINITY, "target": target},
            "backbone": "nano",
            "precision": "fp32",
            "data": {
                "file": str(folder / "pairs.csv"),
                "split": {"column": "split"},
                "check": False,
            },
            "stages": {
                "task": {
                    "domain_tags": False,
                    "cache": cache,
                    "head": "linear",
                    "max_steps": steps,
                    "num_evaluations": 4,
                    "epochs": 6.0,
                }
            },
        },
    )
    registry = load_registry(only=["chem", "nano"], extra=[("bench", setting.Plugin)])
    name = cache.replace(":", "-")
    store = TagStore(folder / f"store-{name}")
    opened = RunFolder(folder / name)
    opened.open(resolved(config, {}))
    try:
        metrics = execute([make_plan(config, registry, store)], opened, store, Silent())
    finally:
        opened.close()
    history = metrics["tasks"]["BA"]["stages"][-1]["history"]
    return [record["rmse"] for record in history]


if __name__ == "__main__":
    main()
