"""Where the workers of a cluster are: one for each GPU, or one for a few cores."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from taglm_core.errors import ConfigError

_CORES = 4
"""Cores of a worker without a GPU where the user does not say how many workers there are."""


@attrs.frozen(kw_only=True)
class Place:
    """Where a worker runs, and what it takes of the machine."""

    node: str
    """Id of the node."""
    cores: float
    gpus: float = 0.0

    @property
    def threads(self) -> int:
        """Threads of torch."""
        return max(1, int(self.cores))


def find_places(nodes: Sequence[Mapping[str, Any]], workers: int | None) -> list[Place]:
    """Divide the machines of a cluster.

    Args:
        nodes: As `ray.nodes()` gives them.
        workers: How many; None: one for each GPU, without GPUs one for each four cores.

    Raises:
        ConfigError: when no machine has a core.
    """
    usable = {
        str(node["NodeID"]): node["Resources"]
        for node in nodes
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0
    }
    with_gpu = {name: has for name, has in usable.items() if has.get("GPU", 0) > 0}
    chosen = with_gpu or usable
    if not chosen:
        raise ConfigError("--engine ray: no machine of the cluster has a core for its workers.")
    if workers is None:
        counts = {
            n: int(has.get("GPU", 0)) or max(1, int(has["CPU"] // _CORES))
            for n, has in chosen.items()
        }
    else:
        counts = dict.fromkeys(chosen, 0)
        for number in range(workers):
            counts[list(chosen)[number % len(chosen)]] += 1
    return [
        Place(
            node=name,
            cores=_share(chosen[name]["CPU"], count),
            gpus=_share(chosen[name].get("GPU", 0), count),
        )
        for name, count in counts.items()
        for _ in range(count)
    ]


def _share(amount: float, count: int) -> float:
    """Return what each of several workers gets: whole ones where there are enough."""
    share = amount / count
    return float(int(share)) if share >= 1 else share
