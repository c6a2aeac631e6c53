"""Results as rows of a table, and as HTML for a notebook."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def metric_rows(task: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return the results of a task as a table: a row for each split, predictor and target.

    Args:
        task: What metrics.json says of the task.

    Returns:
        Column names and rows; None where a predictor lacks a value. With several targets a column
        names the target, "mean" for the mean over all of them. The column `seconds` holds the time
        of training: that of all stages, or of a baseline's fit and of the features that it reads.
    """
    splits = task.get("splits", {})
    keys = list(dict.fromkeys(k for facts in splits.values() for k in facts.get("metrics", {})))
    plain = [key for key in keys if "." not in key]
    targets = list(dict.fromkeys(key.partition(".")[2] for key in keys if "." in key))
    seconds = _seconds(task)
    rows: list[list[Any]] = []
    for split, facts in splits.items():
        own = {"taglm": facts["metrics"]} if "metrics" in facts else {}
        for name, scores in {**own, **facts.get("baselines", {})}.items():
            count = facts.get("rows") if name == "taglm" else None
            for target in ["", *targets]:
                values = [scores.get(f"{key}.{target}" if target else key) for key in plain]
                if not target or any(value is not None for value in values):
                    rows.append([split, name, *([target or "mean"] if targets else []), count])
                    rows[-1] += values
                    if seconds:
                        rows[-1].append(None if target else seconds.get(name))
    first = ["split", "predictor", *(["target"] if targets else []), "rows"]
    return [*first, *plain, *(["seconds"] if seconds else [])], rows


def _seconds(task: Mapping[str, Any]) -> dict[str, float]:
    """Return predictor -> seconds of training; empty where the task has no baselines."""
    seconds = {
        name: float(facts["fit_seconds"]) + float(facts.get("feature_seconds", 0.0))
        for name, facts in task.get("baselines", {}).items()
        if "fit_seconds" in facts
    }
    stages = [float(stage["seconds"]) for stage in task.get("stages", ()) if "seconds" in stage]
    return {"taglm": sum(stages), **seconds} if seconds and stages else seconds


def task_title(name: str, task: Mapping[str, Any]) -> str:
    """Return the heading of a task's results: its name, unit and split."""
    unit = task.get("target", {}).get("unit")
    return f"{name}{f' [{unit}]' if unit and unit != '1' else ''}, split: {task.get('split')}"


def html_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return an HTML table; every cell is escaped."""
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_report(title: str, facts: Mapping[str, Any], tables: Sequence[tuple[str, str]]) -> str:
    """Return a report for a notebook.

    Args:
        title: Heading.
        facts: Name -> value, shown as a list; None is left out.
        tables: (heading, HTML table) each.
    """
    shown = "".join(
        f"<div><b>{html.escape(name)}</b>: <code>{html.escape(str(value))}</code></div>"
        for name, value in facts.items()
        if value is not None
    )
    below = "".join(f"<div>{html.escape(head)}</div>{table}" for head, table in tables)
    return f"<div><div><b>{html.escape(title)}</b></div>{shown}{below}</div>"


def html_results(tasks: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (heading, HTML table) of the results of each task of a metrics.json."""
    return [
        (task_title(name, task), html_table(*metric_rows(task))) for name, task in tasks.items()
    ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
