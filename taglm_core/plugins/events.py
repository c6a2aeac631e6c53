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
