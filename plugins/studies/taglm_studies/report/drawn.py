"""Single test rows as they are drawn: by their domain, shaded by attention."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from taglm_core.errors import TaglmError
from taglm_core.plugin import Registry, draw_row
from taglm_studies.report.facts import TaskFacts

MOST_SYMBOLS = 600
"""Symbols of a field without a picture that are shown."""


@attrs.frozen(kw_only=True)
class DrawnField:
    """A field of a row: a picture, or its symbols with a shade from 0 to 1 each."""

    name: str
    text: str
    svg: str | None = None
    symbols: Sequence[tuple[str, float]] = ()
    is_cut: bool = False


@attrs.frozen(kw_only=True)
class Drawn:
    """A row of the test split."""

    kind: str
    """worst or best."""
    row: Any
    truth: str
    predicted: str
    fields: Sequence[DrawnField]
    shares: str
    """How the attention is spread over fields, text and tags."""


def drawn_rows(task: TaskFacts, registry: Registry) -> list[Drawn]:
    """Return the rows of which details.json knows the attention."""
    return [_drawn(task, record, registry) for record in task.details.get("attention", ())]


def _drawn(task: TaskFacts, record: Mapping[str, Any], registry: Registry) -> Drawn:
    i = int(record["index"])
    fields = [_field(name, field, registry) for name, field in record["fields"].items()]
    shares = {name: sum(field["weights"]) for name, field in record["fields"].items()}
    shares |= {
        "prompt text": record["text"],
        "domain tags": record["domain_tags"],
        "function tag": record["function_tag"],
    }
    truth, predicted = _outcome(task, i)
    return Drawn(
        kind=str(record["kind"]),
        row=record["row"],
        truth=truth,
        predicted=predicted,
        fields=fields,
        shares=", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
    )


def _outcome(task: TaskFacts, i: int) -> tuple[str, str]:
    """Return truth and prediction of a row in words."""
    truth, predicted = task.truth()[i], task.predicted()
    assert predicted is not None, "rows are chosen by their errors"
    values = predicted[i]
    if task.kind == "classification" and not task.is_multi_label:
        best = int(max(range(len(values)), key=lambda k: values[k]))
        return task.classes[int(truth)], f"{task.classes[best]} ({values[best]:.0%})"
    names = task.targets if len(task.targets) > 1 else [""]
    said = [
        "; ".join(f"{name} {value:.4g}".strip() for name, value in zip(names, row, strict=True))
        for row in (truth, values)
    ]
    unit = f" {task.unit}" if task.unit else ""
    return said[0] + unit, said[1] + unit


def _field(name: str, field: Mapping[str, Any], registry: Registry) -> DrawnField:
    symbols, weights = field["symbols"], field["weights"]
    text, top = "".join(symbols), max(weights, default=0.0) or 1.0
    svg = _picture(registry, field.get("domain"), text, weights)
    shown = [(s, round(w / top, 2)) for s, w in zip(symbols, weights, strict=True)]
    return DrawnField(
        name=name,
        text=text,
        svg=svg,
        symbols=() if svg is not None else shown[:MOST_SYMBOLS],
        is_cut=len(shown) > MOST_SYMBOLS,
    )


def _picture(
    registry: Registry, domain: str | None, row: str, weights: Sequence[float]
) -> str | None:
    """Return the picture that a domain draws of a row, None where it draws none."""
    try:
        spec = registry.domains.get(domain or "").spec
    except TaglmError:  # of a plugin that is gone
        return None
    return draw_row(spec, row, weights)
