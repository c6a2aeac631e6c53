"""How time and memory grow with length, pairs, tag length and backbone size, as plots.

    python benchmarks/growth.py [--out docs/explanation/growth] [--threads N] [--clock wall|cpu]
                                [--size full|toy]

Rows are generated. Each plot is an SVG, beside one JSON with the figures.
"""

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import setting
import torch
from measure import CLOCKS, Clock, interleaved, peak_megabytes
from rivals import PeftRival, without_tags
from stages import Ours, Scale

from taglm_core.model.backbone import Backbone
from taglm_core.model.prefix_cache import PrefixCache

Curve = dict[str, list[float | None]]


def main() -> None:
    """Measure every sweep and draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/explanation/growth"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--size", choices=("full", "toy"), default="full")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    scale = Scale(batch=8, rounds=2, rival_rounds=1, clock=Clock(args.clock))
    toy = args.size == "toy"
    if toy:
        scale = attrs.evolve(scale, batch=2)
    args.out.mkdir(parents=True, exist_ok=True)
    sweeps = {
        "length": lengths(scale, [20, 40] if toy else [100, 200, 400, 800, 1600]),
        "tags": tag_lengths(scale, [1, 2] if toy else [1, 5, 10, 20, 50]),
        "backbone": widths(scale, [32, 64] if toy else [128, 256, 512]),
        "pairs": pairs(scale, [8, 16] if toy else [500, 1000, 2000, 4000]),
    }
    (args.out / "growth.json").write_text(json.dumps(sweeps, indent=1) + "\n")
    for name, sweep in sweeps.items():
        draw(args.out / f"{name}.svg", sweep)
        print(name, json.dumps(sweep))


def lengths(scale: Scale, residues: list[int]) -> dict[str, Any]:
    """Return the cost of a step of stage 3 by the length of the targets."""
    curves = [_versus(scale, setting.backbone(), count) for count in residues]
    return _sweep("residues of the target", residues, curves)


def tag_lengths(scale: Scale, counts: list[int]) -> dict[str, Any]:
    """Return the cost of a step by the length of every tag."""
    curves = [_versus(scale, setting.backbone(), 400, count, with_rival=False) for count in counts]
    return _sweep("rows of a tag", counts, curves)


def widths(scale: Scale, hidden: list[int]) -> dict[str, Any]:
    """Return the cost of a step by the width of a random backbone of six layers."""
    curves = [_versus(scale, random_backbone(width), 400) for width in hidden]
    return _sweep("hidden size (6 layers)", hidden, curves)


def random_backbone(hidden: int) -> Backbone:
    """Return a random Llama of six layers with the embedded backbone's tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    nano = setting.backbone()
    config = AutoConfig.for_model(
        "llama",
        vocab_size=nano.vocab_size,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=6,
        num_attention_heads=max(1, hidden // 32),
        num_key_value_heads=max(1, hidden // 128),
        head_dim=32,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    return Backbone(model, nano.tokenizer, f"random-{hidden}")


def _versus(
    scale: Scale,
    backbone: Backbone,
    residues: int,
    tag_length: int = setting.TAG_LENGTH,
    with_rival: bool = True,
) -> dict[str, float | None]:
    """Measure step and memory of taglm and of prompt tuning on one batch."""
    rng = np.random.default_rng(0)
    drugs = setting.make_molecules(scale.batch, rng, 4.0, 0.0)
    letters = list(setting.RESIDUES[:20])
    targets = ["".join(rng.choice(letters, size=residues)) for _ in drugs]
    task_model = setting.task_model(backbone, setting.AFFINITY, tag_length)
    rows = task_model.assemble({"smiles": drugs, "target": targets})
    ours = Ours(task_model, rows, np.zeros((len(rows), 1)), scale)
    chosen = np.arange(len(rows))
    sides: dict[str, Any] = {"taglm": lambda _: ours.step(chosen)}
    if with_rival:
        streams = without_tags(rows, task_model.model)
        rival = PeftRival(backbone, "prompt", streams, tag_length)
        wanted = torch.zeros(len(rows))
        sides["prompt tuning"] = lambda _: rival.step(task_model.model, chosen, wanted, 10**9)
    times = interleaved(sides, scale.rounds, scale.clock)
    found: dict[str, float | None] = {}
    for side, work in sides.items():
        found[f"{side}, ms a step"] = round(1000 * statistics.median(times[side]), 1)
        found[f"{side}, MB a step"] = peak_megabytes(lambda work=work: work(0))
    return found


def pairs(scale: Scale, counts: list[int]) -> dict[str, Any]:
    """Return time and memory of screening by the number of pairs, in pieces of 500 rows."""
    backbone = setting.backbone()
    task_model = setting.task_model(backbone, setting.AFFINITY)
    rng = np.random.default_rng(0)
    target = "".join(rng.choice(list(setting.RESIDUES[:20]), size=200))
    molecules = setting.make_molecules(max(counts), rng, 3.4, 0.2)
    curves = []
    # first twice: the allocator's own pools grow over the first pieces and then no more
    for count in [max(counts), *counts]:
        task_model.prefix_cache = PrefixCache.on(task_model.model, 10**9)

        def screen(count: int = count) -> None:
            for start in range(0, count, 500):
                drugs = molecules[start : min(count, start + 500)]
                rows = task_model.assemble({"smiles": drugs, "target": [target] * len(drugs)})
                task_model.states(rows, scale.tokens)

        taken: list[float] = []
        peak = peak_megabytes(
            lambda screen=screen, taken=taken: taken.append(scale.clock.seconds(screen))
        )
        curves.append({"taglm, s": round(taken[0], 2), "taglm, MB": peak})
    curves = curves[1:]
    return _sweep("pairs (one target, distinct molecules)", counts, curves)


def _sweep(title: str, values: list[int], curves: list[dict[str, float | None]]) -> dict[str, Any]:
    return {
        "title": title,
        "values": values,
        "curves": {key: [held[key] for held in curves] for key in curves[0]},
    }


def draw(path: Path, sweep: dict[str, Any]) -> None:
    """Draw a sweep: time on the left, memory on the right, both axes from zero or in logs."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "taglm"  # the same figures give the same file
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, unit in zip(axes, (("ms", ", s"), ("MB",)), strict=True):
        for key, held in sweep["curves"].items():
            if any(word in key for word in unit) and None not in held:
                axis.plot(sweep["values"], held, marker="o", label=key)
        axis.set(xscale="log", yscale="log", xlabel=sweep["title"])
        axis.set_xticks(sweep["values"], [str(value) for value in sweep["values"]])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
