"""Gradients of micro-batches: by one rank, or by several processes on the cores of a CPU."""

import argparse
import multiprocessing as mp
from typing import TYPE_CHECKING, Any

import model
import readout
import torch
from feed import Feed, OnDevice
from torch import Tensor

if TYPE_CHECKING:
    from train import Trainer

NOISE = 1.5  # most noise of a stand-in, in root mean squares of the embeddings
# Loss sums: of up to so many kinds of documents, then of the read-out's tables.
NUM_TABLES = len(readout.NAMES)
NUM_SUMS = 3 + NUM_TABLES


class Rank:
    """One process's view of the parameters, with a gradient and loss sums of its own."""

    def __init__(
        self,
        args: argparse.Namespace,
        shape: model.Shape,
        low: Tensor,
        maps: Tensor,
        read_out: readout.ReadOut | None,
    ) -> None:
        """Make the gradients; in shared memory where several processes work.

        Args:
            args: Command line.
            shape: Shape of the model.
            low: Parameters of the model in the type of the computation, flat and shared.
            maps: Parameters of the read-out, flat and shared.
            read_out: The read-out, if there is one.
        """
        self.low_grads, self.map_grads = torch.zeros_like(low), torch.zeros_like(maps)
        self.sums = torch.zeros(NUM_SUMS, 2, device=low.device)
        if args.device == "cpu":
            for tensor in (self.low_grads, self.map_grads, self.sums):
                tensor.share_memory_()
        self.params = self._leaves(
            model.fused_views(low, shape), model.fused_views(self.low_grads, shape)
        )
        self.read_out = read_out
        self.maps: dict[int, Tensor] = {}
        if read_out is not None:
            self.maps = self._leaves(read_out.views(maps), read_out.views(self.map_grads))
        self.tables = [t.to(low.device, low.dtype) for t in model.rope_tables()]
        self.parts = model.Parts(args.compile)

    @staticmethod
    def _leaves(views: dict[Any, Tensor], grads: dict[Any, Tensor]) -> dict[Any, Tensor]:
        leaves = {name: view.detach().requires_grad_() for name, view in views.items()}
        for name, leaf in leaves.items():
            leaf.grad = grads[name]
        return leaves

    def micro(self, batch: OnDevice, share: float) -> None:
        """Add the gradient of one batch.

        Args:
            batch: The batch.
            share: Its weight in the step.
        """
        embed = self.params["embed"]
        scale = embed.detach().float().square().mean().sqrt() * NOISE
        amount = torch.rand(batch.ids.shape, device=embed.device) * batch.stand_ins * scale
        noise = torch.randn(
            *batch.ids.shape, embed.shape[1], device=embed.device, dtype=embed.dtype
        )
        noise *= amount[..., None].to(embed.dtype)
        states = model.hidden_states(self.params, batch.ids, *self.tables, noise, self.parts)
        states = states.flatten(0, 1)
        losses = self.parts.token_losses(states, embed, batch.targets)
        is_real = (batch.targets >= 0).float()
        loss = losses.sum() / is_real.sum().clamp(min=1.0)
        if self.read_out is not None:
            for table, value in self.read_out.loss(self.maps, states, batch.reads).items():
                loss = loss + value
                place = table - NUM_TABLES
                self.sums[place] += torch.stack([value.detach(), torch.ones_like(value)])
        (loss * share).backward()
        with torch.no_grad():
            pairs = torch.stack([losses.detach().float(), is_real], dim=1)
            self.sums[: batch.kinds.shape[1]] += batch.kinds.T @ pairs


class Team:
    """Further ranks on a CPU: forked processes that take micro-batches of the same step."""

    def __init__(self, args: argparse.Namespace, trainer: "Trainer", feed: Feed) -> None:
        """Start them; each waits until the first step is opened."""
        context = mp.get_context("fork")
        self.total, self.taken = args.micro_batches, context.Value("i", 0)
        self.barrier = context.Barrier(args.ranks)
        self.workers = [
            context.Process(target=self._work, args=(args, trainer, feed, rank), daemon=True)
            for rank in range(1, args.ranks)
        ]
        for worker in self.workers:
            worker.start()
        feed.start(trainer.device, len(trainer.kinds), 0, args.ranks)
        self.feed, self.rank = feed, trainer.ranks[0]
        self.is_first = True

    def _work(self, args: argparse.Namespace, trainer: "Trainer", feed: Feed, number: int) -> None:
        torch.manual_seed(1000 * args.seed + number)
        feed.start(trainer.device, len(trainer.kinds), number, args.ranks)
        self.feed, self.rank = feed, trainer.ranks[number]
        self.is_first = False
        while True:
            self.step()

    def step(self) -> None:
        """Do this rank's part of a step, between two meetings of all ranks."""
        if self.is_first:
            # The others stand at the barrier that opens the step.
            self.taken.value = 0
        self.barrier.wait(600)
        while True:
            with self.taken.get_lock():
                number = self.taken.value
                self.taken.value += 1
            if number >= self.total:
                break
            self.rank.micro(self.feed.next(), 1.0 / self.total)
        self.barrier.wait(600)

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.kill()
