"""Errors that taglm raises on purpose: each message says what, where and how to fix it."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Self


class TaglmError(Exception):
    """Base of every error that a user can fix; the CLI prints it as one message."""

    def renamed(self, old: str, new: str) -> Self:
        """Return the error with another name for a file."""
        return type(self)(str(self).replace(old, new))


class ConfigError(TaglmError, ValueError):
    """A setting, a run file or an option is wrong."""


class TemplateError(ConfigError):
    """A prompt template cannot be read; the message carries a caret at the place."""


class DataError(TaglmError, ValueError):
    """A file, a column or a row cannot be used."""


class UnavailableError(DataError):
    """Something that exists elsewhere cannot be had here, such as without a network."""


class RowError(DataError):
    """One or more rows are wrong; the message names file, row and reason of each."""

    def __init__(self, what: str, advice: str = "") -> None:
        """Join what is wrong with what to do, which differs by who calls.

        Args:
            what: What is wrong.
            advice: What to do; "": it is said already.
        """
        super().__init__(f"{what}\n{advice}" if advice else what)
        self.what, self.advice = what, advice

    def renamed(self, old: str, new: str) -> Self:
        """Return the error with another name for a file."""
        return type(self)(self.what.replace(old, new), self.advice.replace(old, new))


class ShapeError(TaglmError, ValueError):
    """An array or a tensor has not the promised shape."""


class UnknownNameError(TaglmError, LookupError):
    """A name that nothing provides; the message offers the nearest known one."""


class DuplicateNameError(TaglmError, ValueError):
    """A short name that several plugins give; the message lists the full names."""


class PluginError(TaglmError, RuntimeError):
    """A plugin broke its contract; the message names plugin, distribution, hook and object."""


class BackboneError(TaglmError, RuntimeError):
    """A backbone cannot be loaded, or is not the one that an artifact belongs to."""


class CheckpointError(TaglmError, RuntimeError):
    """An artifact, a checkpoint or a run folder cannot be read or continued."""


def no_results(folder: object, advice: str = "Run it again to finish it.") -> str:
    """Return what is wrong with the folder of a run that has not finished.

    Args:
        folder: As the user named it.
        advice: What to do.
    """
    return f"{folder} holds no results (metrics.json is missing). {advice}"


def indented(lines: Sequence[str]) -> str:
    """Return the first eight lines below each other, for a message."""
    return "\n".join(f"  {line}" for line in lines[:8])


def nearest(name: str, known: Iterable[str], cutoff: float = 0.55) -> str:
    """Return " Did you mean 'x'?" for the known name nearest to `name`, or "".

    A short form counts too: "evals" for "num_evaluations".
    """
    candidates = {k.lower(): k for k in known}
    matches = difflib.get_close_matches(name.lower(), list(candidates), n=1, cutoff=cutoff)
    stem = name.lower()[:4]
    if not matches and len(stem) == 4:
        matches = [c for c in candidates if any(w.startswith(stem) for w in c.split("_")[1:])]
    return f" Did you mean '{candidates[matches[0]]}'?" if matches else ""


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return the names sorted and joined by commas, cut after `limit` with a count."""
    ordered = sorted(names)
    head = ", ".join(ordered[:limit])
    return f"{head}, and {len(ordered) - limit} more" if len(ordered) > limit else head


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 row", "1,200 rows".

    Args:
        number: How many.
        noun: The noun for one.
        plural: The noun for several; "": `noun` with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def told_apart(one: float, other: float, digits: int) -> tuple[str, str]:
    """Return two numbers with so many significant digits, or with as many as tell them apart."""
    shown = [(f"{one:.{n}g}", f"{other:.{n}g}") for n in range(digits, 18)]
    return next((pair for pair in shown if pair[0] != pair[1]), shown[0])
