"""What a large job takes on a backbone and a machine: work, time, memory, money, as a table.

    python benchmarks/capacity.py                              # the embedded backbone, this machine
    python benchmarks/capacity.py --backbone FOLDER --device cuda --rate 3
    python benchmarks/capacity.py --config FOLDER --pace 2e14  # of a machine that is not here
    python benchmarks/capacity.py --check                      # predicted beside measured

The formulas are those of docs/explanation/capacity.md: tokens times multiply-adds a token, over
the measured pace. `--config` reads only `config.json`, and `--pace` is the multiply-adds a second
of the machine that is meant. Prices are assumptions: set `--rate` to an hour of your device.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import setting
import torch
from measure import CLOCKS, Clock
from small_jobs import check
from work import Costs, Job, Pace, Tokens, domain_tags, screen, texts

from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.model.prefix_cache import shown
from taglm_core.model.taskmodel import TaskModel
from taglm_core.plugins import load_registry

CORE_HOUR, GPU_HOUR = 0.05, 3.0
"""Assumed prices in dollars."""
_BACKWARD = 3.0  # forward and backward over forward, where only `--pace` is known


def jobs(args: argparse.Namespace, costs: Costs, tokens: Tokens) -> list[Job]:
    """Return the jobs of the table."""
    limit, tag, count = 1e9 * args.cache, args.tag_length, args.languages
    learned = f"{count:,.0f} languages, a domain tag each on {args.rows:,.0f} rows"
    directions = count * (count - 1)
    written = f"{directions:,.0f} directions, {args.sentences:,.0f} sentences each"
    return [
        screen(args.library, 1, tokens, costs, limit, f"{args.library:,.0f} molecules, one target"),
        screen(args.grid, args.proteins, tokens, costs, limit),
        domain_tags(learned, count, args.rows, args.sentence + tag, costs, tag, costs.output),
        texts(written, directions * args.sentences, args.sentence + 3 * tag, args.sentence, costs),
    ]


def table(found: Sequence[Job], pace: Pace, costs: Costs, devices: int, rate: float) -> list[Any]:
    """Return a record of each job: work, hours of a device, days on some, dollars, bytes."""
    return [
        {
            "job": job.name,
            "multiply_adds": job.work,
            "device_hours": job.seconds(pace) / 3600,
            "days": job.seconds(pace) / 86_400 / devices,
            "dollars": job.seconds(pace) / 3600 * rate,
            "cache_bytes": job.cache,
            "memory_bytes": costs.weight_bytes + job.memory,
            "molecules": job.molecules,
        }
        for job in found
    ]


def print_table(records: Sequence[dict[str, Any]], devices: int, prepared: float) -> None:
    """Print the records as Markdown."""
    print(f"| job | multiply-adds | device hours | days on {devices} | $ | cache | memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for held in records:
        cells = (
            held["job"],
            f"{held['multiply_adds']:.1e}",
            *(_figure(held[name]) for name in ("device_hours", "days", "dollars")),
            shown(held["cache_bytes"]) if held["cache_bytes"] else "",
            shown(held["memory_bytes"]),
        )
        print(f"| {' | '.join(cells)} |")
    for held in records:
        if held["molecules"]:
            hours = held["molecules"] * prepared / 3600
            print(f"\npreparing rows, {held['job']}: {_figure(hours)} core hours", end="")
    print()


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def preparation_seconds(task_model: TaskModel, molecules: Sequence[str], clock: Clock) -> float:
    """Return what a core takes to encode a molecule and to compute its fingerprint."""
    from taglm_chem.features import fingerprint

    def prepare() -> None:
        task_model.assemble({"smiles": molecules, "target": ["A"] * len(molecules)})
        fingerprint(molecules)

    return clock.seconds(prepare) / len(molecules)


def print_check(records: Sequence[dict[str, Any]]) -> None:
    """Print predicted and measured seconds as Markdown."""
    print("\n| small job | predicted, s | measured, s | measured / predicted |")
    print("| --- | ---: | ---: | ---: |")
    for held in records:
        seconds = f"{held['predicted']:.2f} | {held['measured']:.2f} | {held['ratio']:.2f}"
        print(f"| {held['job']} | {seconds} |")


def backbone_of(args: argparse.Namespace) -> Backbone:
    """Load the backbone, or make one without weights from the configuration that is named."""
    if args.config is None:
        return load_backbone(args.backbone, load_registry(), args.device)
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(args.config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return Backbone(model, None, args.config.name)


def pace_of(args: argparse.Namespace, backbone: Backbone, costs: Costs) -> Pace:
    """Return the pace that is named, else what is measured."""
    if args.pace is not None:
        return Pace(forward=args.pace, trained=args.pace / _BACKWARD)
    return Pace.measured(backbone, costs, Clock(args.clock), args.seconds)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="nano", help="name, folder, GGUF file or Hub id")
    parser.add_argument("--config", type=Path, help="folder with the config.json of a backbone")
    parser.add_argument("--pace", type=float, help="multiply-adds a second; default: measured")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--devices", type=int, default=8, help="devices that share a job")
    parser.add_argument("--rate", type=float, help="dollars an hour of a device")
    sizes = {
        "library": 1e9,
        "proteins": 20_000.0,
        "grid": 1e6,
        "languages": 500.0,
        "rows": 50_000.0,
        "sentences": 100.0,
    }
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=float, default=value, help=f"default {value:g}")
    lengths = {"molecule": 45, "residues": 400, "sentence": 40, "tag-length": 10}
    for name, count in lengths.items():
        parser.add_argument(f"--{name}", type=int, default=count, help=f"tokens, default {count}")
    parser.add_argument(
        "--clock", choices=tuple(CLOCKS), default="wall", help="wall; cpu: a busy machine"
    )
    parser.add_argument("--cache", type=float, default=64.0, help="GB of cached segments")
    parser.add_argument("--check", action="store_true", help="measure small jobs too")
    parser.add_argument("--check-molecules", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each timed kind of pass")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args(arguments)
    if args.config is not None and (args.pace is None or args.check):
        parser.error("--config has no weights to measure: add --pace, and leave out --check")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and the check if it is asked for."""
    args = parsed(arguments)
    torch.set_num_threads(args.threads)
    backbone = backbone_of(args)
    costs = Costs.of(backbone)
    pace = pace_of(args, backbone, costs)
    is_cpu = args.pace is None and backbone.device.type == "cpu"
    rate = args.rate if args.rate is not None else CORE_HOUR * args.threads if is_cpu else GPU_HOUR
    words = setting.task_model(setting.backbone(), setting.AFFINITY, args.tag_length)
    tokens = Tokens.of(words, args.molecule, args.residues)
    rng = np.random.default_rng(0)
    prepared = preparation_seconds(words, setting.load_molecules(1000, rng)[0], Clock(args.clock))
    print(
        f"{backbone.name}: {costs.forward.per_token:.3g} multiply-adds a token and "
        f"{costs.forward.per_pair:,.0f} a token and key, {shown(costs.token_bytes)} a cached "
        f"token; {pace.forward:.2e} multiply-adds a second forward, {pace.trained:.2e} with "
        f"backward; {rate:g} $ a device hour (assumed)"
    )
    print(
        f"tokens: molecule {tokens.molecule}, protein {tokens.protein}, pair {tokens.suffix}; "
        f"{1e6 * prepared:.0f} us of a core to prepare a molecule\n"
    )
    record: dict[str, Any] = {"costs": attrs.asdict(costs), "pace": attrs.asdict(pace)}
    record |= {"tokens": attrs.asdict(tokens), "rate": rate, "prepared_s": prepared}
    record["jobs"] = table(jobs(args, costs, tokens), pace, costs, args.devices, rate)
    print_table(record["jobs"], args.devices, prepared)
    if args.check:
        own = setting.task_model(backbone, setting.AFFINITY)
        record["check"] = check(own, costs, pace, args.check_molecules, Clock(args.clock))
        print_check(record["check"])
    if args.json is not None:
        args.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
