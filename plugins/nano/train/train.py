"""Trains the backbone on a GPU, or on the cores of a CPU, by the wall clock or by steps.

    python train.py --work <work folder> --out <final folder> --minutes 5

Processes draw and pack documents ahead. On a CPU several single-threaded ranks take the
micro-batches of a step in turn, each adding to a gradient of its own in shared memory. The learning
rate follows the clock (`--minutes`) or, to repeat a run, the number of steps (`--steps`).
`--no-read-out` leaves out the auxiliary read-out. After an interruption the same command goes on
from the last checkpoint.
"""

import argparse
import io
import json
import lzma
import os
import sys
import time
from pathlib import Path
from typing import Any

import batches
import model
import numpy as np
import optimize
import readout
import torch
from feed import Feed, OnDevice, mixture
from ranks import NUM_TABLES, Rank, Team

WARMUP = 0.02
DECAY = 0.7


def learning_rate_factor(fraction: float) -> float:
    """Return warm-up, plateau and linear decay as a function of the way done, 0 to 1."""
    return min(1.0, fraction / WARMUP + 0.02, max(0.0, 1.0 - fraction) / DECAY)


def load_arrays(work: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a work folder."""
    with lzma.open(work / "arrays.npz.xz") as packed, np.load(io.BytesIO(packed.read())) as saved:
        return {name: saved[name] for name in saved.files}


class Trainer:
    """Parameters, their optimizer, and the ranks that add gradients."""

    def __init__(
        self,
        args: argparse.Namespace,
        vocab: int,
        kinds: list[str],
        tables: dict[int, tuple[np.ndarray, np.ndarray]],
    ) -> None:
        """Put everything on the device."""
        self.device = torch.device(args.device)
        dtype = getattr(torch, args.dtype)
        self.shape = model.Shape(vocab, args.hidden)
        flat = torch.zeros(model.num_parameters(self.shape))
        if args.init is None:
            model.initialize(flat, self.shape, args.seed)
        else:
            model.load(flat, self.shape, args.init)
        self.flat = flat.to(self.device)
        self.grads = torch.zeros_like(self.flat)
        self.low = self.flat.to(dtype, copy=True)
        read_out = readout.ReadOut(tables, args.hidden, self.device) if tables else None
        self.maps = torch.zeros(read_out.size if read_out else 0, device=self.device)
        self.map_grads = torch.zeros_like(self.maps)
        if args.device == "cpu":
            self.low.share_memory_()
            self.maps.share_memory_()
        self.ranks = [
            Rank(args, self.shape, self.low, self.maps, read_out) for _ in range(args.ranks)
        ]
        self.optimizer = optimize.Optimizer(
            self.shape, self.flat, self.grads, self.maps, self.map_grads, dtype, args.compile
        )
        self.kinds = kinds
        self.has_read_out = bool(tables)

    @torch.no_grad()
    def update(self, number: int, muon_lr: float, adam_lr: float) -> None:
        """Apply the gathered gradient, less what is not finite."""
        for rank in self.ranks:
            self.grads += rank.low_grads
            self.map_grads += rank.map_grads
            rank.low_grads.zero_()
            rank.map_grads.zero_()
        self.grads.nan_to_num_(0.0, 0.0, 0.0)
        self.optimizer.step(number, muon_lr, adam_lr)
        self.low.copy_(self.flat)
        self.grads.zero_()
        self.map_grads.zero_()

    def export(self, args: argparse.Namespace) -> None:
        """Write the model."""
        model.export(self.flat, self.shape, args.work / "tokenizer", args.out)

    def save(self, path: Path, progress: dict[str, Any]) -> None:
        """Write a checkpoint, or leave the old one as it is."""
        part = path.with_suffix(".part")
        state = {"flat": self.flat, "maps": self.maps, "optimizer": self.optimizer.state()}
        torch.save({**state, "progress": progress}, part)
        os.replace(part, path)

    @torch.no_grad()
    def load(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint; return its progress."""
        saved = torch.load(path, weights_only=True, map_location=self.device)
        self.flat.copy_(saved["flat"])
        self.low.copy_(self.flat)
        self.maps.copy_(saved["maps"])
        self.optimizer.load_state(saved["optimizer"])
        progress: dict[str, Any] = saved["progress"]
        return progress

    def take_losses(self) -> tuple[dict[str, float], dict[str, int]]:
        """Return the mean losses since the last call, and the tokens predicted of each kind."""
        total = torch.stack([rank.sums for rank in self.ranks]).sum(0).tolist()
        for rank in self.ranks:
            rank.sums.zero_()
        names = dict(enumerate(self.kinds))
        if self.has_read_out:
            names |= {len(total) - NUM_TABLES + t: name for t, name in readout.NAMES.items()}
        losses = {
            name: round(total[i][0] / total[i][1], 4) for i, name in names.items() if total[i][1]
        }
        return losses, {kind: int(total[i][1]) for i, kind in enumerate(self.kinds)}


class Log:
    """Prints lines and counts tokens."""

    def __init__(self, path: Path, progress: dict[str, Any]) -> None:
        """Write beside the model, going on from a checkpoint."""
        self.path = path
        self.lines: list[dict[str, Any]] = progress.get("lines", [])
        self.tokens: dict[str, int] = progress.get("tokens", {})

    def add(self, trainer: Trainer, line: dict[str, Any]) -> None:
        """Add the losses to a line and print it."""
        losses, tokens = trainer.take_losses()
        line |= losses
        for kind, count in tokens.items():
            self.tokens[kind] = self.tokens.get(kind, 0) + count
        line["million_tokens"] = round(sum(self.tokens.values()) / 1e6, 2)
        self.lines.append(line)
        print(json.dumps(line), flush=True)

    def save(self, summary: dict[str, Any]) -> None:
        """Write everything so far as JSON."""
        report = {**summary, "tokens": self.tokens, "log": self.lines}
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(report, indent=1))
        os.replace(part, self.path)


def attempt(name: str, function: Any, *args: Any) -> None:
    """Do something that must not end the training: say what failed and go on."""
    try:
        function(*args)
    except Exception as error:  # whatever it is, the weights in memory are worth more
        print(f"{name} failed: {error!r}", file=sys.stderr, flush=True)


def warm_up(trainer: Trainer, batch: OnDevice) -> None:
    """Compile everything on one batch, without an update; fall back to eager when it fails."""
    start = time.time()
    (rank,) = trainer.ranks
    try:
        rank.micro(batch, 1.0)
        for group in trainer.optimizer.groups:
            trainer.optimizer.orthogonalize(torch.stack(group.grads).to(trainer.low.dtype))
        print(f"compiled in {time.time() - start:.1f} s", flush=True)
    except Exception as error:  # a compiler can fail in any way
        print(f"not compiled: {error!r}", file=sys.stderr, flush=True)
        rank.parts = model.EAGER
        trainer.optimizer.orthogonalize = optimize.orthogonalize
    rank.low_grads.zero_()
    rank.map_grads.zero_()
    trainer.take_losses()


def run(args: argparse.Namespace, trainer: Trainer, team: Team, began: float) -> None:
    """Train to the end; a run that was interrupted goes on from its last checkpoint."""
    checkpoint = args.work / f"{args.out.name}.checkpoint.pt"
    progress = trainer.load(checkpoint) if checkpoint.exists() else {}
    log = Log(args.out.with_name(args.out.name + ".json"), progress)
    number = progress.get("step", 0)
    start = time.time() - progress.get("seconds", 0.0)
    last_log = last_save = time.time()
    if progress:
        print(f"goes on from step {number}", flush=True)
    while True:
        now = time.time()
        by_clock = (now - start) / (60 * args.minutes)
        fraction = number / args.steps if args.steps else by_clock
        if fraction >= 1.0 or now - began > args.most_seconds:
            break
        team.step()
        number += 1
        factor = learning_rate_factor(fraction)
        trainer.update(number, args.muon_lr * factor, args.adam_lr * factor)
        if now - last_log >= args.log_seconds:
            line = {"step": number, "seconds": round(now - start, 1), "lr": round(factor, 3)}
            attempt("logging", log.add, trainer, {**line, "waited": round(team.feed.waited, 1)})
            last_log = now
        if now - last_save >= args.snapshot_seconds:
            attempt("snapshot", trainer.export, args)
            progress = {"step": number, "seconds": now - start, "lines": log.lines}
            attempt("checkpoint", trainer.save, checkpoint, {**progress, "tokens": log.tokens})
            last_save = now
    finish(args, trainer, log, number, time.time() - start)
    checkpoint.unlink(missing_ok=True)


def finish(
    args: argparse.Namespace, trainer: Trainer, log: Log, number: int, seconds: float
) -> None:
    """Write the model and the report."""
    trainer.export(args)
    attempt("logging", log.add, trainer, {"step": number, "seconds": round(seconds, 1)})
    summary = {
        "steps": number,
        "seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name() if args.device == "cuda" else args.device,
        "torch": torch.__version__,
        "parameters": trainer.flat.numel(),
        "arguments": {k: str(v) for k, v in vars(args).items()},
    }
    attempt("report", log.save, summary)


def command_line() -> argparse.Namespace:
    """Return the arguments."""
    has_gpu = torch.cuda.device_count() > 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that prepare.py filled")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--minutes", type=float, default=5.0, help="training time")
    parser.add_argument("--steps", type=int, default=0, help="train so many steps instead")
    parser.add_argument("--most-seconds", type=float, default=1e9, help="end early after so many")
    parser.add_argument("--mix", choices=("nano", "translation"), default="nano")
    parser.add_argument("--no-read-out", action="store_true", help="only predict next tokens")
    parser.add_argument("--device", default="cuda" if has_gpu else "cpu")
    # Many CPUs multiply fp32 faster, those with units for bf16 too.
    types = ("bfloat16", "float32")
    parser.add_argument("--dtype", choices=types, default=types[not has_gpu])
    parser.add_argument("--init", type=Path, help="model to start from, instead of random weights")
    parser.add_argument("--hidden", type=int, default=320, help="size of the states")
    parser.add_argument("--ranks", type=int, default=1 if has_gpu else os.cpu_count())
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=has_gpu)
    parser.add_argument("--processes", type=int, default=14 if has_gpu else 1)
    parser.add_argument("--tokens", type=int, default=61_440 if has_gpu else 2_560)
    parser.add_argument("--micro-batches", type=int, default=2 if has_gpu else 5)
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=3e-3)
    parser.add_argument("--log-seconds", type=float, default=10)
    parser.add_argument("--snapshot-seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.processes = max(args.processes, args.ranks)
    if args.ranks > 1 and args.device != "cpu":
        parser.error("--ranks is for CPUs")
    return args


def main() -> None:
    """Train."""
    began = time.time()
    args = command_line()
    arrays = load_arrays(args.work)
    print(f"loaded in {time.time() - began:.1f} s", flush=True)
    feed = Feed(args, arrays)
    source = mixture(args.mix, arrays, 0)
    tables = {}
    if args.mix == "nano" and not args.no_read_out:
        tables = {
            batches.MOLECULE: readout.molecule_targets(arrays),
            batches.PROTEIN: readout.protein_targets(source.proteins),
        }
    print(f"tables after {time.time() - began:.1f} s", flush=True)
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")  # TF32 is enough for the read-out
    if args.device == "cpu":
        torch.set_num_threads(1)
    trainer = Trainer(args, source.vocab, list(source.shares), tables)
    print(f"{trainer.flat.numel()} parameters on {trainer.device}", flush=True)
    team = Team(args, trainer, feed)
    try:
        if args.compile:
            warm_up(trainer, feed.next())
        run(args, trainer, team, began)
    finally:
        team.close()
        feed.close()


if __name__ == "__main__":
    main()
