"""Calls on their way through the workers of a cluster: given out, answered, repeated when lost."""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import attrs

from taglm_core import Call
from taglm_core.errors import TaglmError
from taglm_ray.places import Place

logger = logging.getLogger(__name__)

_MOST_LOSSES = 3
"""How often the same call may lose its worker before that counts as its fault."""
_AHEAD = 2
"""Calls that a worker has at a time: one that runs, and one that waits for it."""
_MOST_HELD = 1000
"""Calls that are taken from the caller and wait for a worker of their node."""
_PATIENCE = 60.0
"""Seconds without a ready worker after which it is said that the cluster lets it wait."""


@attrs.define(eq=False)
class Job:
    """A call on its way."""

    number: int
    call: Call
    losses: int = 0


@attrs.define(eq=False)
class Worker:
    """An actor, and what it has to do, in order."""

    place: Place
    actor: Any
    alive: Any
    """What it gives as soon as the cluster has begun it."""
    ready: Any
    """What its `prepare` will give; None: it is ready."""
    jobs: deque[Job] = attrs.field(factory=deque)
    pid: int = 0


class Cluster(Protocol):
    """What running calls needs of the workers."""

    @property
    def workers(self) -> Sequence[Worker]:
        """All workers, also those that are not ready."""
        ...

    def replace(self, worker: Worker, reason: str) -> Worker:
        """Start another worker for one that is lost."""
        ...

    def note_success(self) -> None:
        """Hear that a call was answered."""
        ...


class Run:
    """One run of calls."""

    def __init__(self, cluster: Cluster, calls: Iterable[Call]) -> None:
        """Give out nothing yet.

        Args:
            cluster: Its workers.
            calls: Taken one by one, when a worker can have them.
        """
        import ray

        self._ray = ray
        self._cluster = cluster
        self._source = enumerate(calls)
        self._is_all_taken = False
        self._again: deque[Job] = deque()
        self._held: dict[str, deque[Job]] = defaultdict(deque)
        self._pending: dict[Any, tuple[Worker, Job | None, Any]] = {}
        self._failed: dict[int, Exception] = {}
        self._began = time.monotonic()

    def results(self) -> Iterator[tuple[int, Any]]:
        """Yield (number of the call, its result) as they come."""
        for worker in self._cluster.workers:
            if worker.ready is not None:
                self._pending[worker.ready] = (worker, None, None)
        while True:
            while self._give_out():
                pass
            if not self._is_waiting():
                break
            done, _ = self._ray.wait(list(self._pending), timeout=1.0)
            for ref in done:
                if ref in self._pending:  # not of a worker that was lost meanwhile
                    yield from self._answered(ref)
            self._say_if_slow()
        if self._failed:
            raise self._failed[min(self._failed)] from None

    def _is_waiting(self) -> bool:
        """Say whether a call has to be given out or answered that still counts."""
        if not (self._is_all_taken or self._failed):
            return True
        jobs = [job for worker in self._cluster.workers for job in worker.jobs]
        jobs += self._again
        jobs += [job for held in self._held.values() for job in held]
        return any(job.number < self._end for job in jobs)

    @property
    def _end(self) -> float:
        """Number from which on calls no longer count, since an earlier one failed."""
        return min(self._failed, default=float("inf"))

    def _give_out(self) -> bool:
        """Give a call to the worker that has the least to do; False: no worker takes one."""
        for load in range(_AHEAD):
            for worker in self._cluster.workers:
                if worker.ready is None and len(worker.jobs) == load:
                    job = self._next_for(worker.place.node)
                    if job is not None and job.call.is_long and load:
                        self._again.appendleft(job)
                        return False
                    if job is not None:
                        self._submit(worker, job)
                        return True
        return False

    def _next_for(self, node: str) -> Job | None:
        """Return the next call that may run on a node."""
        for job in self._again:
            if job.call.node in (None, node) and job.number < self._end:
                self._again.remove(job)
                return job
        if self._failed:
            return None
        if self._held[node]:
            return self._held[node].popleft()
        while sum(map(len, self._held.values())) < _MOST_HELD:
            taken = next(self._source, None)
            if taken is None:
                self._is_all_taken = True
                return None
            job = Job(*taken)
            if job.call.node in (None, node):
                return job
            self._held[str(job.call.node)].append(job)
        return None

    def _submit(self, worker: Worker, job: Job) -> None:
        # a call that is repeated does without: what it shared may have been lost too
        shared = job.call.shared(worker.place.node) if not job.losses else ()
        method = worker.actor.call.options(num_returns=2)
        value, lines = method.remote(job.call.method, job.call.arguments, *shared)
        worker.jobs.append(job)
        self._pending[lines] = (worker, job, value)

    def _answered(self, ref: Any) -> Iterator[tuple[int, Any]]:
        """Take what a worker says: that it is ready, a result, an error, or that it is lost."""
        worker, job, value = self._pending.pop(ref)
        try:
            said = self._ray.get(ref)
            found = value if job is None or job.call.keeps else self._ray.get(value)
        except self._ray.exceptions.RayError as error:
            self._went_wrong(error, worker, job)
            return
        if job is None:
            worker.ready = None
            worker.pid, said = said
        for name, level, text in said:
            logging.getLogger(name).log(level, "%s", text)
        if job is not None:
            worker.jobs.remove(job)
            self._cluster.note_success()
            yield job.number, found

    def _went_wrong(self, error: Exception, worker: Worker, job: Job | None) -> None:
        """Raise or note what a call raised; repeat one whose worker or arguments were lost."""
        kinds = self._ray.exceptions
        cause = getattr(error, "cause", None) if isinstance(error, kinds.RayTaskError) else None
        if isinstance(cause, Exception) and not isinstance(cause, kinds.RayError):
            if job is None:
                raise cause from None
            worker.jobs.remove(job)
            self._failed[job.number] = cause
            return
        reason = " ".join(str(error).split())
        lost = (kinds.RayActorError, kinds.WorkerCrashedError, kinds.NodeDiedError)
        if job is not None and not isinstance(error, (*lost, kinds.OutOfMemoryError)):
            worker.jobs.remove(job)
            self._repeat([job], reason)
            return
        self._pending = {r: entry for r, entry in self._pending.items() if entry[0] is not worker}
        self._repeat(list(worker.jobs), reason)
        other = self._cluster.replace(worker, reason)
        self._pending[other.ready] = (other, None, None)

    def _repeat(self, jobs: Sequence[Job], reason: str) -> None:
        """Put calls back; the first of them was running, and may be at fault."""
        if jobs:
            jobs[0].losses += 1
            if jobs[0].losses >= _MOST_LOSSES:
                raise TaglmError(
                    f"--engine ray: a worker was lost {_MOST_LOSSES} times at the same work "
                    f"(killed, or out of memory): {reason[:300]} Give smaller parts "
                    "(--chunk-rows), fewer workers (--workers), or machines with more memory."
                )
        self._again.extendleft(reversed(jobs))

    def _say_if_slow(self) -> None:
        """Say once that no worker has begun."""
        if time.monotonic() - self._began > _PATIENCE:
            self._began = float("inf")
            begun = [worker.alive for worker in self._cluster.workers]
            if self._ray.wait(begun, timeout=0)[0]:
                return  # loading a large backbone takes its time
            cores = self._cluster.workers[0].place.cores
            logger.warning(
                "the Ray cluster has not started a worker of %g cores for %.0f s: it is busy, or "
                "has fewer. `ray status` shows what runs; --workers takes fewer or smaller ones.",
                cores,
                _PATIENCE,
            )
