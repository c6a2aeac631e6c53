"""The findings of `taglm data check` as lines of text."""

from collections.abc import Iterator, Mapping
from typing import Any

Report = Mapping[str, Any]

_SHOWN = 3  # examples in a line; JSON has more


def report_lines(report: Report) -> Iterator[str]:
    """Give the lines of a report: `ok` where nothing was found, `!!` where something was."""
    yield f"{report['file']}: {report['rows']:,} rows"
    for name, field in report["fields"].items():
        domain = f", domain {field['domain']}" if field["domain"] else ""
        yield f"field {name} (column {field['column']}{domain})"
        yield _line(field["empty"]["count"], "empty cells", _rows(field["empty"]))
        yield _line(field["invalid"]["count"], "invalid cells", _reasons(field["invalid"]))
    yield "rows"
    yield _line(report["empty_rows"]["count"], "empty rows", _rows(report["empty_rows"]))
    for kind, found in report["duplicates"].items():
        examples = "; ".join("rows " + _few(map(str, rows)) for rows in found["examples"][:_SHOWN])
        yield _line(found["repeated_rows"], f"rows repeat another ({kind})", examples)
    if "between_parts" in report:
        yield from _part_lines(report["between_parts"])
    for name, target in report["targets"].items():
        yield f"target {name} (column {target['column']}, {target['kind']})"
        yield from _target_lines(target)
    for note in report["notes"]:
        yield f"note: {note}"


def _part_lines(found: Report) -> Iterator[str]:
    counts = ", ".join(f"{part} {count:,}" for part, count in found["rows"].items())
    yield f"parts (column {found['column']}: {counts})"
    for kind in ("exact", "canonical"):
        groups = found[kind]["groups"]
        pairs = ", ".join(f"{pair} {count:,}" for pair, count in groups.items())
        examples = "; ".join(
            ", ".join(f"{part} row {row}" for part, row in one.items())
            for one in found[kind]["examples"]
        )
        what = f"inputs in several parts ({kind}{': ' if pairs else ''}{pairs})"
        yield _line(sum(groups.values()), what, examples)


def _target_lines(target: Report) -> Iterator[str]:
    yield _line(target["unusable"]["count"], "unusable cells", _reasons(target["unusable"]))
    conflicts = target["conflicts"]
    spread = ""
    if "largest_spread" in conflicts:
        spread = (
            f", spread median {conflicts['median_spread']:.4g}, "
            f"largest {conflicts['largest_spread']:.4g}"
        )
    what = f"of {conflicts['repeated_inputs']:,} repeated inputs have different targets{spread}"
    examples = "; ".join(
        ", ".join(
            f"row {row} {value}" for row, value in zip(one["rows"], one["values"], strict=True)
        )
        for one in conflicts["examples"]
    )
    yield _line(conflicts["groups"], what, examples)
    if "classes" in target:
        counts = ", ".join(f"{name} {count:,}" for name, count in target["classes"].items())
        yield f"       classes: {counts}"
    if "outliers" in target:
        found = target["outliers"]
        examples = ", ".join(
            f"row {one['row']} {one['value']:.6g} (z {one['z']})" for one in found["examples"]
        )
        yield _line(found["count"], "outliers, robust z above 6", examples)


def _line(count: int, what: str, examples: str) -> str:
    mark = "!!" if count else "ok"
    return f"  {mark}   {count:,} {what}" + (f": {examples}" if count and examples else "")


def _rows(found: Report) -> str:
    return ", ".join(f"row {one['row']}" for one in found["examples"])


def _reasons(found: Report) -> str:
    return "; ".join(f"row {one['row']}: {one['reason']}" for one in found["examples"])
