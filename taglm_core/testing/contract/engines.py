"""Checks of engines: every call is answered once, results are kept, errors come back."""

from typing import Any

from taglm_core.errors import DataError
from taglm_core.specs import Call, Workers
from taglm_core.specs.reference import resolve
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import NotApplicable, demand
from taglm_core.testing.contract.report import Rule

_CALLS = 5


class Echo:
    """What the workers hold while an engine is checked."""

    def __init__(self, added: int) -> None:
        self._added = added

    def add(self, number: int, *more: int) -> int:
        """Return a sum."""
        return number + self._added + sum(more)

    def fail(self, number: int) -> int:
        """Raise from the second call on."""
        if number:
            raise DataError(f"row {number} is invalid")
        return number


def described(subject: Subject) -> None:
    """The engine says where the work runs."""
    demand(bool(subject.spec.description.strip()), "`description` is empty; say where it runs.")


def calls_answered(subject: Subject) -> None:
    """Each call is answered once, kept results reach later calls, and errors are raised."""
    reason = subject.spec.why_not()
    if reason is not None:
        raise NotApplicable(reason)
    opened: Workers = resolve(subject.spec.open, f"engine {subject.item.name}")(None, 1)
    try:
        _calls(opened)
    finally:
        opened.close()


def _calls(opened: Workers) -> None:
    demand(
        opened.count > 0 and len(opened.nodes) > 0,
        f"`count` is {opened.count} and `nodes` are {list(opened.nodes)}; there must be some.",
    )
    opened.start(f"{__name__}:Echo", {"added": 10})
    found = sorted(opened.run(Call(method="add", arguments=(k,)) for k in range(_CALLS)))
    wanted = [(k, k + 10) for k in range(_CALLS)]
    demand(found == wanted, f"`run` gave {found}, expected (number, result) {wanted}.")
    node = opened.nodes[0]
    kept = Call(method="add", arguments=(1,), node=node, keeps=True)
    handles: list[Any] = [value for _, value in opened.run([kept])]
    (read,) = opened.run([Call(method="add", arguments=(1,), shared=lambda _: handles)])
    demand(read == (0, 22), f"a kept result of 11 reached a later call as {read[1] - 11}.")
    try:
        list(opened.run(Call(method="fail", arguments=(k,)) for k in range(3)))
    except DataError as error:
        text = str(error)
        demand("row 1 " in text, f"of two errors the later one was raised: {text}")
        return
    demand(False, "`run` does not raise what a call raised.")


CHECKS = (Rule(described), Rule(calls_answered))
