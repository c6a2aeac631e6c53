"""The workers of a Ray cluster: actors that are replaced when they are lost.

Ray's own actors and object store are used, not Ray Data: its readers give cells types of their own,
and a part has to be what predicting here gives.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psutil

from taglm_core import Call
from taglm_core.errors import ConfigError, TaglmError
from taglm_core.plugin import usable_cores
from taglm_ray.host import Host
from taglm_ray.places import Place, find_places
from taglm_ray.running import Run, Worker

logger = logging.getLogger(__name__)

_MOST_LOSSES = 3
"""Workers that may be lost one after the other, for each that there is."""
_OWN_STORE_BYTES = 2 * 2**30
"""Most memory that kept results take of this machine, where no cluster was running."""


def open_ray(address: str | None, workers: int | None) -> "RayWorkers":
    """Connect to a cluster, or start one on this machine that ends with the program.

    Args:
        address: Such as `auto` or `HOST:PORT`; None: `RAY_ADDRESS`, else a cluster of its own.
        workers: How many; None: one for each GPU, without GPUs one for each four cores.

    Raises:
        ConfigError: when no cluster answers.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray's default, which it warns of
        # despite its name: a cluster of one machine, all of whose ports are on the loopback
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    is_own = not ray.is_initialized()
    if is_own:
        _connect(ray, address)
    return RayWorkers(ray, find_places(ray.nodes(), workers), is_own)


def _connect(ray: Any, address: str) -> None:
    own: dict[str, Any] = {}
    if address == "local":
        own = {"num_cpus": usable_cores(), "include_dashboard": False}
        free = int(psutil.virtual_memory().available)
        own["object_store_memory"] = max(100 * 2**20, min(free // 4, _OWN_STORE_BYTES))
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"--address {address}: no Ray cluster answers there: {reason} Start one as Ray's "
            "documentation says, or leave --address out to use this machine."
        ) from error


class RayWorkers:
    """Workers of a Ray cluster; see `taglm.Workers`."""

    def __init__(self, ray: Any, places: Sequence[Place], is_own: bool) -> None:
        """Place the workers; none is started yet.

        Args:
            ray: The module, connected.
            places: One for each worker.
            is_own: Whether the connection ends with the workers.
        """
        self._ray = ray
        self._places = list(places)
        self._is_own = is_own
        self.workers: list[Worker] = []
        self._made: tuple[Any, ...] = ()
        self._losses = 0
        self.nodes: Sequence[str] = list(dict.fromkeys(place.node for place in places))

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self._places)

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that are ready."""
        return [worker.pid for worker in self.workers if worker.pid]

    @property
    def shared_bytes(self) -> int:
        """Bytes of the object store of the node that has the least."""
        stores = [
            node["Resources"].get("object_store_memory", 0)
            for node in self._ray.nodes()
            if node["NodeID"] in self.nodes
        ]
        return int(min(stores, default=0))

    def start(self, factory: str, arguments: Mapping[str, Any]) -> None:
        """Make an object in each worker; see `taglm.Workers`."""
        self._made = (factory, self._ray.put(dict(arguments)))
        for worker in self.workers:  # their processes are used again
            worker.jobs.clear()
            worker.ready = self._prepare(worker.actor, worker.place)
        if not self.workers:
            self.workers = [self._begin(place) for place in self._places]

    def _begin(self, place: Place) -> Worker:
        """Start an actor and have it make the object."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = (
            self._ray.remote(Host)
            .options(
                num_cpus=place.cores,
                num_gpus=place.gpus,
                max_restarts=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=True),
            )
            .remote()
        )
        return Worker(place, actor, actor.alive.remote(), self._prepare(actor, place))

    def _prepare(self, actor: Any, place: Place) -> Any:
        factory, arguments = self._made
        return actor.prepare.remote(os.getcwd(), place.threads, factory, arguments)

    def run(self, calls: Iterable[Call]) -> Iterator[tuple[int, Any]]:
        """Run calls; see `taglm.Workers`."""
        yield from Run(self, calls).results()

    def replace(self, worker: Worker, reason: str) -> Worker:
        """Start another worker for one that is lost.

        Raises:
            TaglmError: when many were lost and nothing was answered meanwhile.
        """
        self._losses += 1
        if self._losses > _MOST_LOSSES * len(self._places):
            raise TaglmError(
                f"--engine ray: {self._losses} workers were lost before any of them finished a "
                f"part: {reason[:300]} Use fewer workers (--workers), or machines with more memory."
            )
        logger.warning("a worker of the Ray cluster was lost; its work is run again")
        logger.debug("%s", reason)
        self._ray.kill(worker.actor)
        other = self._begin(worker.place)
        self.workers[self.workers.index(worker)] = other
        return other

    def note_success(self) -> None:
        """Forget earlier losses: the cluster works."""
        self._losses = 0

    def _end_workers(self) -> None:
        for worker in self.workers:
            self._ray.kill(worker.actor)
        self.workers = []

    def close(self) -> None:
        """End the workers, and the connection where it was opened for them."""
        self._end_workers()
        if self._is_own:
            self._ray.shutdown()
