"""What plugins return from run events, checked before anything of it reaches metrics.json."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

from taglm_core.errors import listed, nearest
from taglm_core.specs.isolation import shown


def checked_result(hook: str, event: Any, value: Any) -> tuple[Any, list[str]]:
    """Keep what is usable of an event hook's result.

    Args:
        hook: The event hook.
        event: What it was called with.
        value: What it returned.

    Returns:
        The usable part, None when there is none; and a reason for everything that was left out.
    """
    if value is not None and hook == "on_rows_loaded":
        return _remarks(value)
    if value is None or hook != "on_evaluated":
        return None, []
    if not isinstance(value, Mapping):
        return None, [f"returned {shown(value)}, expected {{'references': {{...}}}} or None"]
    faults = [
        f"returned the unknown key {shown(key)}; 'references' is the only one"
        for key in value
        if key != "references"
    ]
    references, wrong = _references(value.get("references") or {}, event)
    return ({"references": references} if references else None), faults + wrong


def _remarks(value: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """Check the lines and the report about the rows of a task."""
    if not isinstance(value, Mapping):
        return None, [
            f"returned {shown(value)}, expected {{'summary': [...], 'report': {{...}}}} or None"
        ]
    kept: dict[str, Any] = {}
    faults: list[str] = []
    for key, item in value.items():
        if key == "summary" and _are_lines(item):
            kept[key] = list(item)
        elif key == "report" and isinstance(item, Mapping):
            kept[key] = dict(item)
        elif key in ("summary", "report"):
            wanted = "a list of lines" if key == "summary" else "a dictionary"
            faults.append(f"the {key} is {shown(item)}, expected {wanted}")
        else:
            faults.append(f"returned the unknown key {shown(key)}; known: summary, report")
    return kept or None, faults


def _are_lines(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(line, str) for line in value)


def _references(value: Any, event: Any) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Check part -> predictor -> metric -> number, level by level."""
    parts = tuple(getattr(event, "parts", ()))
    kept: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    if not isinstance(value, Mapping):
        return kept, [f"references are {shown(value)}, expected part -> predictor -> metric"]
    for part, predictors in value.items():
        if part not in parts:
            advice = f"{nearest(str(part), parts)} Known: {listed(parts)}"
            faults.append(f"references of the unknown part {shown(part)}.{advice}")
        elif not isinstance(predictors, Mapping):
            faults.append(f"references of {part} are {shown(predictors)}, expected a dictionary")
        else:
            for name, metrics in predictors.items():
                if isinstance(metrics, Mapping) and all(
                    isinstance(key, str) and isinstance(number, Real)
                    for key, number in metrics.items()
                ):
                    kept.setdefault(part, {})[str(name)] = dict(metrics)
                else:
                    faults.append(
                        f"references of {part}, {shown(name)}: {shown(metrics)} is not a "
                        "dictionary of metric names and numbers"
                    )
    return kept, faults
