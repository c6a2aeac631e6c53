"""The findings of `taglm data check` as lines of text."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from taglm_core.errors import counted

Report = Mapping[str, Any]

_SHOWN = 3  # examples below a line; JSON has more


def report_lines(report: Report) -> Iterator[str]:
    """Give the lines of a report: `ok` where nothing was found, `!!` where something was."""
    yield f"{report['file']}: {counted(report['rows'], 'row')}"
    for name, field in report["fields"].items():
        domain = f", domain {field['domain']}" if field["domain"] else ""
        yield f"field {name} (column {field['column']}{domain})"
        yield from _found(field["empty"]["count"], "empty cells", _rows(field["empty"]))
        yield from _found(field["invalid"]["count"], "invalid cells", _rows(field["invalid"]))
        what = "cells that look like another kind of data"
        yield from _found(field["doubtful"]["count"], what, _rows(field["doubtful"]))
    yield "rows"
    yield from _found(report["empty_rows"]["count"], "empty rows", _rows(report["empty_rows"]))
    for kind, finding in report["duplicates"].items():
        examples = ["rows " + ", ".join(map(str, rows)) for rows in finding["examples"]]
        yield from _found(finding["repeated_rows"], f"rows repeat another ({kind})", examples)
    if "between_splits" in report:
        yield from _split_lines(report["between_splits"])
    for name, target in report["targets"].items():
        yield f"target {name} (column {target['column']}, {target['kind']})"
        yield from _target_lines(target)
    if "without_targets" in report:
        finding = report["without_targets"]
        yield from _found(finding["count"], "rows without any target", _rows(finding))
    for note in report["notes"]:
        yield f"note: {note}"


def _split_lines(report: Report) -> Iterator[str]:
    yield f"splits (column {report['column']}: {_counts(report['rows'])})"
    for kind in ("exact", "canonical"):
        groups = report[kind]["groups"]
        what = f"inputs in several splits ({kind})"
        what += f": {_counts(groups)}" if groups else ""
        examples = [
            ", ".join(f"{split} row {row}" for split, row in one.items())
            for one in report[kind]["examples"]
        ]
        yield from _found(sum(groups.values()), what, examples)
    for name, near in report.get("near", {}).items():
        what = f"of {near['compared']:,} new test values of {name} are nearly equal to one in train"
        what += f" (similarity {near['threshold']} and more)"
        examples = [f"{e['test']} and {e['train']}: {e['similarity']}" for e in near["examples"]]
        yield from _found(near["count"], what, examples)


def _target_lines(target: Report) -> Iterator[str]:
    yield from _found(target["unusable"]["count"], "unusable cells", _rows(target["unusable"]))
    if target.get("missing"):
        yield f"       {target['missing']:,} empty cells; the other targets of the rows are used"
    finding = target["conflicts"]
    what = f"of {finding['repeated_inputs']:,} repeated inputs have different targets"
    if "largest_spread" in finding:
        what += f": spread {_number(finding['median_spread'])} (median)"
        what += f" to {_number(finding['largest_spread'])}"
    examples = [
        ", ".join(
            f"row {row} {_number(value)}"
            for row, value in zip(one["rows"], one["values"], strict=True)
        )
        for one in finding["examples"]
    ]
    yield from _found(finding["groups"], what, examples)
    if "classes" in target:
        yield f"       classes: {_counts(target['classes'])}"
    if "outliers" in target:
        finding = target["outliers"]
        examples = [
            f"row {one['row']} {_number(one['value'])}, robust z {one['z']}"
            for one in finding["examples"]
        ]
        yield from _found(finding["count"], "outliers", examples)
    for odd in target.get("units", ()):
        examples = [f"row {one['row']} {_number(one['value'])}" for one in odd["examples"]]
        yield from _found(odd["count"], f"odd units: {odd['what']}", examples)


def _found(count: int, what: str, examples: Iterable[str]) -> Iterator[str]:
    yield f"  {'!!' if count else 'ok'}   {count:,} {what}"
    for example in list(examples)[:_SHOWN]:
        yield f"         {example}"


def _rows(finding: Report) -> list[str]:
    return [f"row {one['row']}: {one['reason']}" for one in finding["examples"]]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
