"""What plugins return from run events, checked before anything of it is written."""

from collections.abc import Mapping
from typing import Any

from taglm_core.specs.isolation import shown


def checked_result(hook: str, value: Any) -> tuple[Any, list[str]]:
    """Keep what is usable of an event hook's result.

    Args:
        hook: The event hook.
        value: What it returned.

    Returns:
        The usable split, None when there is none; and a reason for everything that was left out.
    """
    if value is None:
        return None, []
    if hook == "on_rows_loaded":
        return _remarks(value)
    return None, [f"returned {shown(value)}, but nothing is expected of this hook; return None"]


def _remarks(value: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """Check the lines and the report about the rows of a task."""
    if not isinstance(value, Mapping):
        return None, [
            f"returned {shown(value)}, expected {{'summary': [...], 'report': {{...}}}} or None"
        ]
    usable: dict[str, Any] = {}
    faults: list[str] = []
    for key, item in value.items():
        if key == "summary" and _are_lines(item):
            usable[key] = list(item)
        elif key == "report" and isinstance(item, Mapping):
            usable[key] = dict(item)
        elif key in ("summary", "report"):
            wanted = "a list of lines" if key == "summary" else "a dictionary"
            faults.append(f"the {key} is {shown(item)}, expected {wanted}")
        else:
            faults.append(f"returned the unknown key {shown(key)}; known: summary, report")
    return usable or None, faults


def _are_lines(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(line, str) for line in value)
