"""What a study writes at its end: study.json, a table for the screen, and its page."""

from collections.abc import Mapping, Sequence
from typing import Any

from taglm_core.errors import counted
from taglm_core.plugin import to_json, write_json
from taglm_studies.report.figures import Figure
from taglm_studies.report.page import REPORT, render_page
from taglm_studies.report.parts import Section, Table
from taglm_studies.report.svg import BLUE, GREY, Chart
from taglm_studies.study.folder import RESULTS, Member, StudyFolder
from taglm_studies.study.table import BASELINE, Row, StudyTable

_COSTS = {
    "parameters": "trained parameters",
    "disk_bytes": "bytes on disk",
    "seconds": "seconds of training",
    "wall_seconds": "seconds in all",
    "peak_memory_mib": "peak memory, MiB",
    "passes": "rows passed",
}


def table_of(table: StudyTable) -> tuple[list[str], list[list[Any]]]:
    """Return the table of a study: columns and rows."""
    columns = ["group", "seeds", table.metric, "deviation", f"minus {table.first} (95 %)"]
    columns += ["verdict", *_COSTS.values()]
    return columns, [_cells(table, row) for row in table.rows]


def _cells(table: StudyTable, row: Row) -> list[Any]:
    said = ""
    if row.difference is not None:
        own = row.difference
        said = f"{own.value:+.3g} ({own.low:.3g} to {own.high:.3g})"
    costs = [row.cost(key) for key in _COSTS]
    shown = [None if c is None else round(c) if c >= 100 else round(c, 2) for c in costs]
    return [
        row.group,
        len(row.values),
        row.mean,
        row.deviation,
        said,
        table.verdict(row),
        *shown,
    ]


def as_json(request: Mapping[str, Any], table: StudyTable) -> dict[str, Any]:
    """Return the results of a study as plain data."""
    groups = []
    for row in table.rows:
        own = row.difference
        groups.append(
            {
                "group": row.group,
                "values": row.values,
                "mean": row.mean,
                "deviation": row.deviation,
                "valid": row.valid,
                "difference": None if own is None else [own.value, own.low, own.high],
                "verdict": table.verdict(row),
                **{key: row.cost(key) for key in _COSTS},
            }
        )
    return {
        "study": dict(request),
        "task": table.task.name,
        "metric": table.metric,
        "greater_is_better": table.greater_is_better,
        "held_against": table.first,
        "test_rows": table.task.num_rows,
        "groups": groups,
    }


def sentence(table: StudyTable) -> str:
    """Return the result of a study in a sentence."""
    best, first = table.rows[0], next(row for row in table.rows if row.group == table.first)
    spread = "" if best.deviation is None else f" ± {best.deviation:.2g}"
    said = f"{table.task.name}: {best.group} has the best {table.metric}, {best.mean:.3g}{spread}"
    if best is not first:
        verdict = table.verdict(best)
        chance = verdict if verdict == "within chance" else "more than chance"
        said += f", against {first.mean:.3g} of {first.group} (the difference is {chance})"
    seeds = len(first.values)
    rows = counted(table.task.num_rows, "test row")
    return f"{said}, on {rows}, {counted(seeds, 'seed')}."


def unread_answers(members: Sequence[Member], study: StudyFolder) -> list[str]:
    """Return for each prompted member how many of its answers could not be read."""
    said = []
    for member in members:
        cost = study.cost_of(member) or {}
        if cost.get("answers_not_read"):
            said.append(
                f"{member.name}: {cost['answers_not_read']} answers could not be read; they count "
                "as the mean, or the class frequencies, of the train split."
            )
    return said


def write_study(
    study: StudyFolder,
    request: Mapping[str, Any],
    table: StudyTable,
    notes: Sequence[str],
) -> None:
    """Write study.json and report.html of a finished study."""
    write_json(study.path / RESULTS, to_json(as_json(request, table)))
    columns, rows = table_of(table)
    section = Section("Results", notes=list(notes))
    section.tables = [Table(f"{table.task.name}, test split, best first", columns, rows)]
    section.figures = [_intervals(table), *_against_cost(table)]
    asked = Section("To repeat it")
    asked.tables = [
        Table("What was asked", ["what", "value"], [[k, str(v)] for k, v in request.items()])
    ]
    title = f"taglm {request['kind']}: {table.task.name}"
    render_page(study.path / REPORT, title=title, sentence=sentence(table), top=[section, asked])


def _intervals(table: StudyTable) -> Figure:
    """Draw the difference of each group to the first one with its interval."""
    rows = [row for row in table.rows if row.difference is not None]
    spans = [(row.difference.low, row.difference.high) for row in rows if row.difference]
    low = min([0.0, *(span[0] for span in spans)])
    high = max([0.0, *(span[1] for span in spans)])
    margin = (high - low) * 0.05 or 1.0
    chart = Chart(
        "number of the row in the table",
        f"{table.metric} minus that of {table.first}",
        (0.5, len(table.rows) + 0.5),
        (low - margin, high + margin),
    )
    chart.line([0.5, len(table.rows) + 0.5], [0, 0], GREY, table.first, dashed=True)
    places = [float(k) for k, row in enumerate(table.rows, start=1) if row.difference is not None]
    chart.band(places, [span[0] for span in spans], [span[1] for span in spans])
    chart.points(places, [row.difference.value for row in rows if row.difference], BLUE)
    better = "above" if table.greater_is_better else "below"
    caption = (
        f"Difference of each row of the table to {table.first}, with 95 % intervals of a paired "
        f"bootstrap; what lies {better} the line is better."
    )
    return Figure(chart.svg(caption), caption)


def _against_cost(table: StudyTable) -> list[Figure]:
    """Draw the metric against the seconds of training."""
    found = [(row, row.cost("seconds")) for row in table.rows if not row.group.startswith(BASELINE)]
    known = [(row, seconds) for row, seconds in found if seconds is not None]
    if len(known) < 2:
        return []
    xs, ys = [float(s) for _, s in known], [row.mean for row, _ in known]
    margin = (max(ys) - min(ys)) * 0.1 or 1.0
    span = (min(ys) - margin, max(ys) + margin)
    chart = Chart("seconds of training", table.metric, (0, max(xs) * 1.05 or 1.0), span)
    chart.points(xs, ys)
    listed = ", ".join(f"{row.group} {seconds:.0f} s" for row, seconds in known)
    caption = f"{table.metric} against the seconds of training: {listed}."
    return [Figure(chart.svg(caption), caption)]
