"""Trains the backbone on CPU: several single-threaded processes share parameters and micro-batches.

    python train.py --work <work folder> --out <final folder> --minutes 90

Each process takes micro-batches from a shared counter and adds gradients to its own shared buffer;
then each updates the parameters that it owns from the sum. Matrices inside the layers use Muon,
embeddings and norms AdamW; the learning rate follows the wall clock, so the end time is certain.
Run again with the same arguments to resume from the last checkpoint.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import batches
import bilingual
import model
import torch
import torch.multiprocessing as mp
from torch import Tensor

ADAM_BETAS = (0.9, 0.95)
ADAM_EPS = 1e-10
MUON_MOMENTUM = 0.95
MUON_DECAY = 0.1
WARMUP = 0.02
DECAY = 0.7
# Quintic iteration towards the nearest orthogonal matrix, coefficients of Jordan et al. 2024.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def learning_rate_factor(fraction: float) -> float:
    """Return warm-up, plateau and linear decay as a function of the time used, 0 to 1."""
    return min(1.0, fraction / WARMUP + 0.02, max(0.0, 1.0 - fraction) / DECAY)


def orthogonalise(m: Tensor) -> Tensor:
    """Return matrices of the same singular vectors with singular values near one.

    `torch.optim.Muon` does this in bfloat16, which is slow on CPUs without bf16 units.

    Args:
        m: (count, rows, columns).
    """
    a, b, c = NEWTON_SCHULZ
    wide = m.shape[1] <= m.shape[2]
    x = m if wide else m.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.transpose(1, 2)


class Optimizer:
    """Updates the parameters that one process owns, in place in shared memory."""

    def __init__(self, state: dict[str, Tensor], grads: list[Tensor], rank: int) -> None:
        """Divide the parameters: layers in turn, embeddings and norms to the last process."""
        self.grads = [model.views(g) for g in grads]
        self.params = model.views(state["params"])
        self.first = model.views(state["first"])
        self.second = model.views(state["second"])
        world = len(grads)
        self.muon: dict[tuple[int, ...], list[str]] = {}
        self.adam = []
        for name, view in self.params.items():
            if view.dim() == 2 and ".layers." in name:
                if int(name.split(".")[2]) % world == rank:
                    self.muon.setdefault(tuple(view.shape), []).append(name)
            elif rank == world - 1:
                self.adam.append(name)

    def _gradient(self, name: str, num_targets: int) -> Tensor:
        return torch.stack([g[name] for g in self.grads]).sum(0) / num_targets

    def step(self, number: int, num_targets: int, muon_lr: float, adam_lr: float) -> None:
        """Apply one update.

        Args:
            number: Steps done, this one included.
            num_targets: Targets whose gradients the buffers sum.
            muon_lr: Learning rate of the layers' matrices.
            adam_lr: Learning rate of embeddings and norms.
        """
        momentum = MUON_MOMENTUM - 0.1 * max(0.0, 1 - number / 100)
        for names in self.muon.values():
            gradients = []
            for name in names:
                gradient = self._gradient(name, num_targets)
                self.first[name].lerp_(gradient, 1 - momentum)
                gradients.append(gradient.lerp(self.first[name], momentum))
            for name, update in zip(names, orthogonalise(torch.stack(gradients)), strict=True):
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                self.params[name].mul_(1 - muon_lr * MUON_DECAY).add_(
                    update, alpha=-muon_lr * scale
                )
        for name in self.adam:
            gradient = self._gradient(name, num_targets)
            self.first[name].lerp_(gradient, 1 - ADAM_BETAS[0])
            self.second[name].lerp_(gradient.square(), 1 - ADAM_BETAS[1])
            mean = self.first[name] / (1 - ADAM_BETAS[0] ** number)
            square = self.second[name] / (1 - ADAM_BETAS[1] ** number)
            self.params[name].addcdiv_(mean, square.sqrt() + ADAM_EPS, value=-adam_lr)


def batch_loss(p: dict[str, Tensor], batch: batches.MicroBatch, cos: Tensor, sin: Tensor) -> Tensor:
    """Return the summed loss of a micro-batch."""
    starts = None if batch.starts is None else torch.from_numpy(batch.starts)
    ids, lengths = torch.from_numpy(batch.ids), torch.from_numpy(batch.lengths)
    return model.loss_sum(p, ids, lengths, cos, sin, starts)


def validate(p: dict[str, Tensor], cases: list[batches.MicroBatch]) -> dict[str, float]:
    """Return nats per token of each kind on fixed documents."""
    cos, sin = model.rope_tables()
    sums: dict[str, list[float]] = {}
    with torch.no_grad():
        for b in cases:
            total = batch_loss(p, b, cos, sin)
            entry = sums.setdefault(b.kind, [0.0, 0.0])
            entry[0] += float(total)
            entry[1] += b.num_targets
    return {kind: round(a / n, 4) for kind, (a, n) in sums.items()}


def mixture(name: str, work: Path, seed: int) -> batches.Documents:
    """Return the documents of a mix."""
    kind = bilingual.Bilingual if name == "translation" else batches.Documents
    return kind(work / "arrays.npz", seed=seed)


def held_out_cases(work: Path) -> list[batches.MicroBatch]:
    """Return a few held-out documents as micro-batches for the log."""
    from molecules import smiles_symbols
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(work / "tokenizer" / "tokenizer.json"))
    held_out = json.loads((work / "held_out.json").read_text())
    rows = {
        "molecules": [
            [tokenizer.token_to_id(s) for s in smiles_symbols(m)]
            for m in held_out["molecules"][:200]
        ],
        "proteins": [[tokenizer.token_to_id(r) for r in s] for s in held_out["proteins"][:40]],
    }
    for language, texts in held_out["novels"].items():
        rows[language] = [tokenizer.encode(t).ids[:512] for t in texts[:8]]
    import numpy as np

    return [
        batches.MicroBatch(kind, *padded)
        for kind, items in rows.items()
        for padded in batches.group([np.array([*ids, batches.EOS_ID]) for ids in items], 2048)
    ]


def save_checkpoint(path: Path, state: dict[str, Tensor], meta: dict[str, object]) -> None:
    """Write the whole training state, or leave the old file as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save({**{k: v.clone() for k, v in state.items()}, "meta": meta}, part)
    os.replace(part, path)


def work_process(
    rank: int,
    args: argparse.Namespace,
    state: dict[str, Tensor],
    grads: list[Tensor],
    control: Tensor,
    sums: list[Tensor],
    counter: "mp.Value",
    barrier: "mp.Barrier",
    meta: dict,
) -> None:
    """Run one process until the time is used up; rank 0 also logs and saves.

    Args:
        rank: Number of the process.
        args: Command line.
        state: Shared flat tensors `params`, `first`, `second`.
        grads: One shared flat gradient buffer for each process.
        control: Shared doubles: fraction of the time used.
        sums: For each process the loss sum and target count of the kinds, (kinds, 2).
        counter: Next micro-batch of the step.
        barrier: Waits for all processes.
        meta: Step, seconds and counts at the start, from the checkpoint.
    """
    torch.set_num_threads(1)
    documents = mixture(args.mix, args.work, args.seed)
    kinds = list(documents.shares)
    params = model.fused_views(state["params"])
    grad_views = model.fused_views(grads[rank])
    for name, view in params.items():
        params[name] = view.detach().requires_grad_()
        params[name].grad = grad_views[name]
    optimizer = Optimizer(state, grads, rank)
    cos, sin = model.rope_tables()
    for _ in range(meta["step"]):
        documents.step(args.step_tokens, args.micro_tokens)
    cases = []
    if rank == 0:
        held_out = held_out_cases if args.mix == "nano" else bilingual.held_out_cases
        cases = held_out(args.work)
    start = time.time() - meta["seconds"]
    last_log = last_save = last_snapshot = time.time()
    number = meta["step"]
    running = torch.zeros(len(kinds), 2, dtype=torch.float64)
    while True:
        if rank == 0:
            control[0] = (time.time() - start) / (60 * args.minutes)
            counter.value = 0
        grads[rank].zero_()
        sums[rank].zero_()
        micro = documents.step(args.step_tokens, args.micro_tokens)
        num_targets = sum(b.num_targets for b in micro)
        barrier.wait(600)
        fraction = float(control[0])
        if fraction >= 1.0:
            break
        while True:
            with counter.get_lock():
                i = counter.value
                counter.value += 1
            if i >= len(micro):
                break
            b = micro[i]
            loss = batch_loss(params, b, cos, sin)
            loss.backward()
            sums[rank][kinds.index(b.kind)] += torch.tensor([loss.item(), b.num_targets])
        barrier.wait(600)
        number += 1
        factor = learning_rate_factor(fraction)
        with torch.no_grad():
            optimizer.step(number, num_targets, args.muon_lr * factor, args.adam_lr * factor)
        barrier.wait(600)
        if rank != 0:
            continue
        now = time.time()
        step_sums = torch.stack(sums).sum(0)
        running += step_sums
        for k, kind in enumerate(kinds):
            meta["tokens"][kind] = meta["tokens"].get(kind, 0) + int(step_sums[k, 1])
        meta["streams"] = dict(documents.used)
        meta.update(step=number, seconds=now - start)
        if now - last_log > 30:
            losses = {k: round(float(a / n), 4) for k, (a, n) in zip(kinds, running, strict=True)}
            rate = float(running[:, 1].sum()) / (now - last_log)
            print(
                json.dumps(
                    {
                        "step": number,
                        "minutes": round(meta["seconds"] / 60, 1),
                        "tokens": sum(meta["tokens"].values()),
                        "per_second": round(rate),
                        "lr": round(factor, 3),
                        **losses,
                    }
                ),
                flush=True,
            )
            running.zero_()
            last_log = now
        if now - last_save > 180:
            save_checkpoint(args.work / "ckpt" / "state.pt", state, meta)
            last_save = now
        if now - last_snapshot > args.snapshot_seconds:
            with torch.no_grad():
                print(json.dumps({"held_out": validate(params, cases)}), flush=True)
            model.export(state["params"], args.work / "tokenizer", args.work / "snapshot")
            last_snapshot = time.time()
    if rank == 0:
        model.export(state["params"], args.work / "tokenizer", args.out)
        save_checkpoint(args.work / "ckpt" / "state.pt", state, meta)
        losses = validate(params, cases)
        meta["parameters"] = state["params"].numel()
        report = args.out.with_name(args.out.name + ".json")
        report.write_text(json.dumps({**meta, "held_out": losses}, indent=1))
        print(json.dumps({"finished": meta["step"], "held_out": losses}), flush=True)


def main() -> None:
    """Start or resume a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder that prepare.py filled")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--minutes", type=float, required=True, help="training time in all")
    parser.add_argument("--mix", choices=("nano", "translation"), default="nano")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--step-tokens", type=int, default=8000)
    parser.add_argument("--micro-tokens", type=int, default=1000)
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=3e-3)
    parser.add_argument("--snapshot-seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(args.work / "tokenizer" / "tokenizer.json"))
    size = model.num_parameters(tokenizer.get_vocab_size())
    shares = bilingual.SHARES if args.mix == "translation" else batches.SHARES
    state = {name: torch.zeros(size).share_memory_() for name in ("params", "first", "second")}
    meta: dict = {"step": 0, "seconds": 0.0, "tokens": {}}
    checkpoint = args.work / "ckpt" / "state.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        meta = saved.pop("meta")
        for name, tensor in saved.items():
            state[name].copy_(tensor)
        print(f"resumed at step {meta['step']}", flush=True)
    else:
        model.initialise(state["params"], args.seed)
    print(f"{size} parameters", flush=True)
    context = mp.get_context("spawn")
    grads = [torch.zeros(size).share_memory_() for _ in range(args.processes)]
    sums = [
        torch.zeros(len(shares), 2, dtype=torch.float64).share_memory_()
        for _ in range(args.processes)
    ]
    control = torch.zeros(1, dtype=torch.float64).share_memory_()
    counter, barrier = context.Value("i", 0), context.Barrier(args.processes)
    shared = (args, state, grads, control, sums, counter, barrier, meta)
    workers = [
        context.Process(target=work_process, args=(r, *shared)) for r in range(args.processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a training process failed; run again to resume")


if __name__ == "__main__":
    main()
