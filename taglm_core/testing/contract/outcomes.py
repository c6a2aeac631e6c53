"""Outcomes of a check, and how a check says what a plugin's author should fix."""

import attrs


@attrs.frozen(kw_only=True)
class Check:
    """The outcome of one check of one object."""

    kind: str
    """Kind of object, such as "encoder"."""
    object: str
    """Short name of the object, such as "DNA"."""
    check: str
    """Name of the check, such as "round_trip"."""
    outcome: str
    """"passed", "failed" or "skipped"."""
    reason: str = ""
    """Why it failed and what to fix, or why it was skipped; empty when it passed."""

    @property
    def id(self) -> str:
        """`kind:object:check`, as pytest shows it."""
        return f"{self.kind}:{self.object}:{self.check}"


class Broken(Exception):
    """The object breaks its contract; the text says how, and what to fix."""


class NotApplicable(Exception):
    """The check cannot be made here; the text says why."""


def demand(holds: bool, reason: str) -> None:
    """Fail the check with a reason unless something holds."""
    if not holds:
        raise Broken(reason)
