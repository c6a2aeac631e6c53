"""An engine: where the parts of a large job run, such as this process or a Ray cluster."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from taglm_core.specs.fields import identifier, reference
from taglm_core.specs.packages import why_missing


def _nothing(node: str) -> Sequence[Any]:
    return ()


@attrs.frozen(kw_only=True)
class Call:
    """One call of a method of the object that each worker holds."""

    method: str
    """Name of the method."""
    arguments: tuple[Any, ...] = ()
    """Plain data."""
    shared: Callable[[str], Sequence[Any]] = _nothing
    """Node on which the call runs -> kept results, which follow the arguments as values. A call
    that is repeated because its worker was lost gets none: they only save work."""
    node: str | None = None
    """Node on which it must run; None: any."""
    is_long: bool = False
    """True: it takes minutes, so that it waits for a free worker and not behind another call."""
    keeps: bool = False
    """True: the result stays where it was computed, and a handle comes back for `shared`."""


class Workers(Protocol):
    """Workers of an engine: each holds one object, and is called one call at a time."""

    @property
    def nodes(self) -> Sequence[str]:
        """Names of the machines; workers of one share memory."""
        ...

    @property
    def count(self) -> int:
        """How many workers there are."""
        ...

    @property
    def shared_bytes(self) -> int:
        """Bytes that kept results may take on each node."""
        ...

    def start(self, factory: str, arguments: Mapping[str, Any]) -> None:
        """Make an object in each worker, instead of the one before.

        Args:
            factory: Reference to what makes it.
            arguments: Plain data, passed by name.
        """
        ...

    def run(self, calls: Iterable[Call]) -> Iterator[tuple[int, Any]]:
        """Run calls, of which only a few are taken ahead.

        What a call raises is raised here, that of the earliest call first.

        Yields:
            (number of the call, its result) as they come, in any order, each once.
        """
        ...

    def close(self) -> None:
        """End the workers and whatever was started for them."""
        ...


@attrs.frozen(kw_only=True)
class Engine:
    """Where the parts of a large job run; chosen by `--engine`."""

    name: str = attrs.field(validator=identifier)
    """Word of `--engine`, such as "ray"."""
    open: str = attrs.field(validator=reference)
    """`(address: str | None, workers: int | None) -> Workers`: connects to a cluster, None the
    usual one, with so many workers, None as many as fit."""
    needs_package: str = ""
    """Package without which it cannot be opened."""
    install: str = ""
    """What pip installs to have the package; "": its own name."""
    description: str = ""
    """One sentence for listings."""

    def why_not(self) -> str | None:
        """Return why it cannot be opened here, None when it can."""
        return why_missing(self.needs_package, self.install)
