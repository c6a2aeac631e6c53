"""Engines: found by name and opened; and the one that is this process."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from taglm_core.errors import ConfigError
from taglm_core.model.free_memory import free_bytes
from taglm_core.plugins import Registered, Registry
from taglm_core.specs import Call, Engine, Workers
from taglm_core.specs.reference import resolve


def find_engine(name: str, registry: Registry) -> Registered[Engine]:
    """Return the engine of a name.

    Raises:
        UnknownNameError: when there is no such engine.
        ConfigError: when it needs a package that is not installed.
    """
    found = registry.engines.get(name, where="--engine")
    reason = found.spec.why_not()
    if reason is not None:
        raise ConfigError(f"--engine {found.short}: {reason}. Or leave it out.")
    return found


def check_needs_engine(engine: str | None, address: str | None, workers: int | None) -> None:
    """Refuse options of an engine where none is chosen.

    Raises:
        ConfigError: naming the option.
    """
    given = {"--address": address, "--workers": workers}
    for option, value in given.items():
        if engine is None and value is not None:
            raise ConfigError(f"{option} {value}: name the engine too, such as --engine ray.")


@contextmanager
def opened_engine(
    name: str | None, registry: Registry, address: str | None = None, workers: int | None = None
) -> Iterator[Workers | None]:
    """Open the workers of an engine, and end them afterwards.

    Args:
        name: Of a registered engine; None: nothing is opened, and the rest must be None too.
        registry: Gives the engines.
        address: Of the cluster; None: the usual one.
        workers: How many; None: as many as fit.

    Yields:
        The workers; None where no engine is named.

    Raises:
        UnknownNameError: when there is no such engine.
        ConfigError: when it cannot be opened here.
    """
    check_needs_engine(name, address, workers)
    if name is None:
        yield None
        return
    found = find_engine(name, registry)
    opened: Workers = resolve(found.spec.open, f"engine {found.name}")(address, workers)
    try:
        yield opened
    finally:
        opened.close()


def open_local(address: str | None, workers: int | None) -> "LocalWorkers":
    """Return this process as an engine of one worker.

    Raises:
        ConfigError: for an address, or more than one worker.
    """
    if address is not None:
        raise ConfigError(f"--engine local is this process and takes no --address {address}.")
    if workers not in (None, 1):
        raise ConfigError(f"--engine local has one worker, not {workers}: leave --workers out.")
    return LocalWorkers()


class LocalWorkers:
    """This process: one node, one worker, calls in their order."""

    nodes: Sequence[str] = ("local",)
    count = 1

    def __init__(self) -> None:
        self._object: Any = None

    @property
    def shared_bytes(self) -> int:
        """Bytes that kept results may take."""
        import torch

        return free_bytes(torch.device("cpu")) // 4

    def start(self, factory: str, arguments: Mapping[str, Any]) -> None:
        """Make an object; see `Workers`."""
        make: Callable[..., Any] = resolve(factory, "engine local")
        self._object = make(**arguments)

    def run(self, calls: Iterable[Call]) -> Iterator[tuple[int, Any]]:
        """Run calls one after the other; a result that is kept is its own handle."""
        for number, call in enumerate(calls):
            shared = call.shared(self.nodes[0])
            yield number, getattr(self._object, call.method)(*call.arguments, *shared)

    def close(self) -> None:
        """Drop the object."""
        self._object = None
