"""Several processes that train one run: each computes its own rows, all hold the same results.

The processes run the same stages side by side. Each runs the backbone on the rows that it owns;
what comes out, states that a head reads or losses of rows, is put together in every process. From
there on all of them compute the same: heads in closed form see every row, gradients of tags are
summed. So a run has the result of one process with the same batches, to the order of sums. The
first process alone writes files and speaks. Stages that do not depend on each other are trained
`alone`, each by one process, and what came of them is `exchanged`.

`accelerate launch` and `torchrun` start such processes, and so does `taglm run --num-processes`;
a run joins them by itself. On CPUs they talk by gloo, GPUs by NCCL.
"""

import atexit
import contextlib
import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs
import numpy as np
import torch
from torch import Tensor, distributed

from taglm_core.store.environment import is_one_of_several

_PATIENCE = datetime.timedelta(days=7)
"""The others wait that long for the first process, which scores the run between two stages."""

Value = TypeVar("Value")


@attrs.define
class _World:
    rank: int = 0
    size: int = 1


_WORLD = _World()


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Work with the processes that were launched beside this one while the block runs.

    A process that was launched alone works alone; inside another `joined` nothing changes.
    """
    if _WORLD.size > 1 or not is_one_of_several():
        yield
        return
    if not distributed.is_initialized():  # it stays for the next run of this process
        backend = "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(_own_gpu())
            backend = "cpu:gloo,cuda:nccl"
        distributed.init_process_group(backend, timeout=_PATIENCE)
        atexit.register(_leave)
    _WORLD.rank, _WORLD.size = distributed.get_rank(), distributed.get_world_size()
    try:
        yield
    finally:
        _WORLD.rank, _WORLD.size = 0, 1


def _own_gpu() -> int:
    """Return the index of this process's GPU among those that it sees.

    A scheduler such as Slurm may show each process its own alone, which is then number 0.
    """
    if torch.cuda.device_count() == 1:
        return 0
    return int(os.environ.get("LOCAL_RANK", "0"))


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def size() -> int:
    """Return how many processes train this run."""
    return _WORLD.size


def rank() -> int:
    """Return the number of this process, from 0."""
    return _WORLD.rank


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Work as if this were the only process while the block runs; the others do the same."""
    before = attrs.evolve(_WORLD)
    _WORLD.rank, _WORLD.size = 0, 1
    try:
        yield
    finally:
        _WORLD.rank, _WORLD.size = before.rank, before.size


def is_first() -> bool:
    """Say whether this process writes and speaks."""
    return _WORLD.rank == 0


def is_own(indices: np.ndarray) -> np.ndarray:
    """Say which rows this process computes: bool `(rows,)`.

    A row belongs to the same process in every step, so that each keeps the segments of its own
    rows alone.

    Args:
        indices: int64 `(rows,)`, rows of a split.
    """
    found: np.ndarray = np.asarray(indices) % _WORLD.size == _WORLD.rank
    return found


def decided(decide: Callable[[], Value]) -> Value:
    """Return what the first process decides; the others do not ask.

    Args:
        decide: Called in the first process; its result is sent to the others, pickled.
    """
    if _WORLD.size == 1:
        return decide()
    held: list[Any] = [decide() if is_first() else None]
    distributed.broadcast_object_list(held, src=0)
    return held[0]  # type: ignore[no-any-return]


def known(value: Value | None) -> Value | None:
    """Return the value of the first process that has one, None where none has.

    Args:
        value: What this process has, such as a tag of its store.
    """
    if _WORLD.size == 1:
        return value
    has: list[bool] = [False] * _WORLD.size
    distributed.all_gather_object(has, value is not None)
    if not any(has):
        return None
    held = [value]
    distributed.broadcast_object_list(held, src=has.index(True))
    return held[0]


def exchanged(value: Value) -> list[Value]:
    """Return what each process has, by its number.

    Args:
        value: What this one has; it is sent to the others, pickled.
    """
    if _WORLD.size == 1:
        return [value]
    found: list[Any] = [None] * _WORLD.size
    distributed.all_gather_object(found, value)
    return found


def any_of(asked: bool) -> bool:
    """Say whether any process says so."""
    if _WORLD.size == 1:
        return asked
    found = torch.tensor(float(asked))
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return bool(found)


def make_equal(tensors: Sequence[Tensor]) -> None:
    """Give the tensors of every process the values of the first, in place."""
    if _WORLD.size == 1:
        return
    with torch.no_grad():
        for tensor in tensors:
            distributed.broadcast(tensor, src=0)


def sum_gradients(parameters: Sequence[Tensor]) -> None:
    """Add up what each process found of the gradients of parameters that rows run through."""
    if _WORLD.size == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:  # no row of this process reached it
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)


def total(part: Tensor) -> Tensor:
    """Return the sum of a number over all processes; the gradient reaches the own part.

    Args:
        part: `()`, such as the loss of the own rows.
    """
    if _WORLD.size == 1:
        return part
    return _Total.apply(part)  # type: ignore[no-any-return, no-untyped-call]


def whole(own: Tensor, places: np.ndarray, count: int) -> Tensor:
    """Put the rows of all processes together; the gradient reaches the own rows.

    Args:
        own: `(own rows, width)`.
        places: int64 `(own rows,)`: where they stand among all rows.
        count: Number of all rows.

    Returns:
        `(count, width)`, the same in every process.
    """
    if _WORLD.size == 1:
        return own
    where = torch.from_numpy(np.asarray(places)).to(own.device)
    return _Whole.apply(own, where, count)  # type: ignore[no-any-return, no-untyped-call]


class _Total(torch.autograd.Function):
    """Every process computes the whole loss, so that the gradient of its part is that of it."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        found = part.detach().clone()
        distributed.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class _Whole(torch.autograd.Function):
    """Rows of the other processes are constants here; each has the gradient of its own."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, places: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(places)
        found = own.new_zeros((count, *own.shape[1:]))
        found[places] = own
        distributed.all_reduce(found)  # the others add zeros, which changes nothing
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return grad[places], None, None
