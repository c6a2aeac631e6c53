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
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import setting
import torch
from measure import CLOCKS, Clock

from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_facts import speed_of, weight_bytes
from taglm_core.model.backbone_loading import load_backbone
from taglm_core.model.generation import write
from taglm_core.model.prefix_cache import PrefixCache, bytes_per_token, shown
from taglm_core.model.prefix_cache.cost_model import ForwardCost
from taglm_core.model.prefix_cache.segments import divide_rows
from taglm_core.model.taskmodel import TaskModel
from taglm_core.plugins import load_registry
from taglm_core.specs import Decoding
from taglm_core.training.config import DomainStageConfig
from taglm_core.training.estimate import working_bytes
from taglm_core.training.objectives import DomainObjective

CORE_HOUR, GPU_HOUR = 0.05, 3.0
"""Assumed prices in dollars."""
_BACKWARD = 3.0  # forward and backward over forward, where only `--pace` is known
_ROW, _WORK = 128, 2e9  # tokens of the rows of a timed pass, and its multiply-adds
_BATCH_TOKENS = 8192  # of a batch of prediction, and of a step


@attrs.frozen(kw_only=True)
class Costs:
    """What a backbone costs, from its shape alone."""

    forward: ForwardCost
    token_bytes: int
    """Bytes of keys and values of a cached token."""
    weight_bytes: int
    hidden: int
    output: float
    """Multiply-adds of the output matrix, for one token that is written."""
    working: float
    """Bytes that a token of a training step holds for its backward pass, roughly."""

    @classmethod
    def of(cls, backbone: Backbone) -> "Costs":
        """Count those of a backbone."""
        return cls(
            forward=ForwardCost.of(backbone),
            token_bytes=bytes_per_token(backbone, backbone.dtype.itemsize),
            weight_bytes=weight_bytes(backbone)["fp32"],
            hidden=backbone.hidden_size,
            output=float(backbone.vocab_size * backbone.hidden_size),
            working=working_bytes(backbone, 1),
        )

    def tag_bytes(self, tags: float, tag_length: int) -> float:
        """Return what learned tags take in fp32."""
        return 4.0 * tags * tag_length * self.hidden


@attrs.frozen(kw_only=True)
class Pace:
    """Multiply-adds a second."""

    forward: float
    trained: float
    """Of the forward pass, in forward and backward passes."""

    @classmethod
    def measured(
        cls, backbone: Backbone, costs: Costs, clock: Clock, seconds: float = 1.0
    ) -> "Pace":
        """Time passes over rows of 128 tokens, as `taglm backbone show` does."""
        speed = speed_of(backbone, _ROW, _WORK, seconds, CLOCKS[clock.name])
        each = float(costs.forward.run(np.array([_ROW]))[0]) / _ROW
        return cls(forward=speed.forward * each, trained=speed.backward * each)


@attrs.frozen(kw_only=True)
class Tokens:
    """Tokens of a pair's segments, tags and words of the prompt included."""

    molecule: int
    """The first segment, computed once a molecule."""
    protein: int
    """The second, computed once a protein."""
    suffix: int
    """What is computed for each pair: the last words and the function tag."""

    @classmethod
    def of(cls, task_model: TaskModel, symbols: int, residues: int) -> "Tokens":
        """Count those of a molecule of some symbols against a protein of some residues."""
        rows = task_model.assemble({"smiles": ["C" * symbols], "target": ["A" * residues]})
        bounds = divide_rows(rows, is_movable=True, with_text=False).boundaries[0]
        sizes = np.diff([*bounds, rows.lengths[0]])
        return cls(molecule=int(sizes[0]), protein=int(sizes[1]), suffix=int(sizes[2]))


@attrs.frozen(kw_only=True)
class Job:
    """A job by its work."""

    name: str
    work: float
    """Multiply-adds."""
    trains: bool = False
    cache: float = 0.0
    """Bytes of cached segments that must be held for this work to be done once."""
    memory: float = 0.0
    """Other bytes beside the weights: tags, a batch."""
    molecules: float = 0.0
    """Molecules that are read, checked and encoded."""

    def seconds(self, pace: Pace) -> float:
        """Return what one device takes."""
        return self.work / (pace.trained if self.trains else pace.forward)


def screen(
    molecules: float, proteins: float, tokens: Tokens, costs: Costs, limit: float, name: str = ""
) -> Job:
    """Every molecule against every protein.

    The cache holds proteins, as many at a time as its limit allows; molecules come one after the
    other, once for each such block.

    Args:
        molecules: How many.
        proteins: How many.
        tokens: Of a pair.
        costs: Of the backbone.
        limit: Bytes of the cache.
        name: Of the job.
    """
    need = proteins * tokens.protein * costs.token_bytes
    blocks = max(1, math.ceil(need / limit))
    once = costs.forward.run(np.array([tokens.molecule, tokens.protein]))
    before = tokens.molecule + tokens.protein
    pair = float(costs.forward.run(np.array([tokens.suffix]), before)[0])
    each = blocks * molecules * once[0] + proteins * once[1]
    return Job(
        name=name or f"{proteins:,.0f} proteins x {molecules:,.0f} molecules",
        work=float(each + molecules * proteins * pair),
        cache=need / blocks + _BATCH_TOKENS * costs.token_bytes,
        molecules=blocks * molecules,
    )


def domain_tags(
    name: str, tags: float, rows: float, length: int, costs: Costs, size: int, output: float
) -> Job:
    """Train domain tags, each on rows of its own for one epoch, at the defaults of stage 1.

    Args:
        name: Of the job.
        tags: How many.
        rows: Rows that each is trained on.
        length: Tokens of a row, its tag and words included.
        costs: Of the backbone.
        size: Tokens of a tag.
        output: Multiply-adds of the softmax for a token, over symbols or over the vocabulary.
    """
    defaults = DomainStageConfig()
    work = float(costs.forward.run(np.array([length]))[0]) + output * length
    step = min(defaults.batch_size * length, defaults.batch_tokens)
    return Job(
        name=name,
        work=tags * rows * defaults.epochs * work,
        trains=True,
        memory=costs.tag_bytes(tags, size) + step * costs.working,
    )


def texts(name: str, count: float, prompt: int, written: int, costs: Costs) -> Job:
    """Write texts.

    Args:
        name: Of the job.
        count: Texts.
        prompt: Tokens of a prompt.
        written: Tokens of a text.
        costs: Of the backbone.
    """
    each = float(costs.forward.run(np.array([prompt + written]))[0]) + written * costs.output
    return Job(name=name, work=count * each, cache=_BATCH_TOKENS * costs.token_bytes)


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


def check(
    task_model: TaskModel, costs: Costs, pace: Pace, size: int, clock: Clock
) -> list[dict[str, Any]]:
    """Run small jobs, and return what they took beside what the formulas say.

    Args:
        task_model: Affinity, with untrained tags.
        costs: Of its backbone.
        pace: Measured before, by the same clock.
        size: Molecules of the library; the grid has an eighth of them on either side.
        clock: What is read.
    """
    symbols, residues = 40, 300
    tokens = Tokens.of(task_model, symbols, residues)
    rng = np.random.default_rng(0)
    molecules = ["".join(rng.choice(list("CCCCNO"), size=symbols)) for _ in range(size)]
    some = max(2, size // 8)
    targets = ["".join(rng.choice(list("ACDEFGHIKL"), size=residues)) for _ in range(some)]
    found = []
    assembled = task_model.assemble({"smiles": molecules[:2], "target": targets[:1] * 2})
    task_model.states(assembled, _BATCH_TOKENS)  # the first pass allocates
    for name, rows, columns in (("library", size, 1), ("grid", some, some)):
        fields = {
            "smiles": [m for m in molecules[:rows] for _ in range(columns)],
            "target": targets[:columns] * rows,
        }
        assembled = task_model.assemble(fields)
        task_model.prefix_cache = PrefixCache.on(task_model.model, 10**9)
        taken = clock.seconds(lambda each=assembled: task_model.states(each, _BATCH_TOKENS))
        job = screen(rows, columns, tokens, costs, 1e9, f"{name}: {rows} x {columns}")
        found.append(_compared(job, pace, taken))
    texts_ = _checked_texts(task_model, molecules[:some], costs, pace, clock)
    return [*found, _checked_stage_one(task_model, molecules, costs, pace, clock), texts_]


def _checked_texts(
    task_model: TaskModel, molecules: Sequence[str], costs: Costs, pace: Pace, clock: Clock
) -> dict[str, Any]:
    """Compare texts of 40 tokens, written greedily."""
    written = 40
    rows = task_model.assemble({"smiles": molecules, "target": ["A"] * len(molecules)})
    decoding = Decoding(min_new_tokens=written)
    taken = clock.seconds(lambda: write(task_model.model, rows, decoding, written))
    prompt, count = int(rows.lengths.max()), len(molecules)
    job = texts(f"texts: {count} of {written} after {prompt}", count, prompt, written, costs)
    return _compared(job, pace, taken)


def _checked_stage_one(
    task_model: TaskModel, molecules: Sequence[str], costs: Costs, pace: Pace, clock: Clock
) -> dict[str, Any]:
    """Compare two steps of stage 1 on all molecules."""
    name, model = "chem/SMILES", task_model.model
    encoder = task_model.assembler.encoders[name]
    objective = DomainObjective(model, name, name, encoder, molecules, molecules[:2], _BATCH_TOKENS)
    model.train_only([model.tags[name]])

    def step() -> None:
        loss, weight = objective.loss(np.arange(len(molecules)))
        (loss / weight).backward()

    step()  # the first one allocates
    taken = clock.seconds(step) + clock.seconds(step)
    model.train_only([])
    output = float(len(encoder.symbols) * costs.hidden)
    length = int(objective.lengths.max())
    rows = 2 * len(molecules)
    job = domain_tags(f"stage 1: {rows} rows of {length}", 1, rows, length, costs, 10, output)
    return _compared(job, pace, taken)


def _compared(job: Job, pace: Pace, taken: float) -> dict[str, Any]:
    expected = job.seconds(pace)
    return {"job": job.name, "predicted": expected, "measured": taken, "ratio": taken / expected}


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
