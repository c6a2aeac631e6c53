"""Batches on their way to the device: processes that draw and pack, a thread that moves them."""

import argparse
import multiprocessing as mp
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import batches
import bilingual
import documents
import numpy as np
import torch
from torch import Tensor

AHEAD = 6  # batches that each process keeps ready


def mixture(name: str, arrays: dict[str, np.ndarray], seed: int) -> Any:
    """Return the documents of a mix."""
    kind = bilingual.Bilingual if name == "translation" else documents.Documents
    return kind(arrays, seed)


def produce(mix: str, arrays: dict[str, np.ndarray], seed: int, tokens: int, out: Any) -> None:
    """Put packed batches into a queue for ever: the work of one process."""
    torch.set_num_threads(1)
    source = mixture(mix, arrays, seed)

    def endless() -> Iterator[batches.Document]:
        while True:
            yield source.draw()

    for batch in batches.packed(endless(), list(source.shares), tokens):
        out.put(batch)


class OnDevice(NamedTuple):
    """A batch as tensors on the device.

    Attributes:
        ids: int64 (rows, length).
        targets: int64 (rows * length,), -100 where nothing is predicted.
        stand_ins: bool (rows, length).
        kinds: 1 for the kind of each token's document, else 0, (rows * length, kinds).
        reads: For each table, places and rows.
    """

    ids: Tensor
    targets: Tensor
    stand_ins: Tensor
    kinds: Tensor
    reads: dict[int, tuple[Tensor, Tensor]]


def to_device(batch: batches.Batch, device: torch.device, num_kinds: int) -> OnDevice:
    """Move a batch and compute what the loss needs."""

    def move(array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True)

    ids, roles = move(batch.ids).long(), move(batch.roles)
    targets = torch.full_like(ids, -100)
    targets[:, :-1] = torch.where(roles[:, 1:] == batches.PREDICTED, ids[:, 1:], -100)
    kinds = torch.nn.functional.one_hot(move(batch.kinds).long(), num_kinds).float()
    kinds = kinds.repeat_interleave(ids.shape[1], dim=0)
    reads = {}
    for table in (batches.MOLECULE, batches.PROTEIN):
        chosen = batch.reads[batch.reads[:, 1] == table].astype(np.int64)
        reads[table] = (move(chosen[:, 0]), move(chosen[:, 2]))
    return OnDevice(ids, targets.flatten(), roles == batches.STAND_IN, kinds, reads)


class Feed:
    """Processes that draw batches, and a thread that moves them to the device ahead of need."""

    def __init__(self, args: argparse.Namespace, arrays: dict[str, np.ndarray]) -> None:
        """Start the processes; call before anything touches the device."""
        context = mp.get_context("fork")
        self.queues = [context.Queue(AHEAD) for _ in range(args.processes)]
        self.workers = []
        for i, out in enumerate(self.queues):
            seed = 1000 * args.seed + i
            worker = context.Process(
                target=produce, args=(args.mix, arrays, seed, args.tokens, out), daemon=True
            )
            worker.start()
            self.workers.append(worker)
        self.waited = 0.0
        self.ready: queue.Queue[OnDevice] = queue.Queue(4)

    def start(self, device: torch.device, num_kinds: int, rank: int = 0, ranks: int = 1) -> None:
        """Begin to move the batches of a rank, in turn from each of its processes."""
        sources = self.queues[rank::ranks]

        def move() -> None:
            while True:
                for source in sources:
                    self.ready.put(to_device(source.get(), device, num_kinds))

        threading.Thread(target=move, daemon=True).start()

    def next(self) -> OnDevice:
        """Return the next batch."""
        start = time.time()
        batch = self.ready.get(timeout=300)
        self.waited += time.time() - start
        return batch

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.kill()
