"""Averages the weights of a model and of the one that it was trained on from.

    python average.py --old <model> --new <model> --share 0.85 --out <model>

A training that goes on with another mix forgets some of the old one; a weighted mean of both keeps
most of what is new and gets part of the old back.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def average(old: Path, new: Path, share: float, out: Path) -> None:
    """Write a model of mean weights, bf16, with the other files of the new one.

    Args:
        old: Model in Hugging Face format.
        new: One of the same shape.
        share: Weight of the new one, 0 to 1.
        out: Folder to write.
    """
    first, second = (load_file(folder / "model.safetensors") for folder in (old, new))
    mean = {
        name: first[name].float().lerp(second[name].float(), share).to(torch.bfloat16)
        for name in second
    }
    shutil.copytree(new, out, dirs_exist_ok=True)
    save_file(mean, out / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    """Average two models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="model that training began with")
    parser.add_argument("--new", type=Path, required=True, help="model that it ended with")
    parser.add_argument("--share", type=float, default=0.85, help="weight of the new one")
    parser.add_argument("--out", type=Path, required=True, help="folder of the mean")
    args = parser.parse_args()
    average(args.old, args.new, args.share, args.out)


if __name__ == "__main__":
    main()
