"""Results as rows of a table, and as HTML for a notebook."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from taglm_core.errors import counted, told_apart


def metric_rows(task: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return the results of a task as a table: a row for each split, predictor and target.

    Args:
        task: What metrics.json says of the task.

    Returns:
        Column names and rows, the test split first; None where a predictor lacks a value. With
        several targets a column names the target, "mean" for the mean over all of them; of one
        target taglm and its best baseline are shown. Of several runs a metric is text, mean and
        standard deviation. The column `seconds` holds, once for each predictor, the time
        of training: that of all stages (of tags that came with a package there is none), or of a
        baseline's fit and of the features that it reads;
        `MB` the largest memory of the process meanwhile, where the system tells it.
    """
    splits = _ordered(task.get("splits", {}))
    keys = list(dict.fromkeys(k for facts in splits.values() for k in facts.get("metrics", {})))
    plain = [key for key in keys if "." not in key]
    targets = list(dict.fromkeys(key.partition(".")[2] for key in keys if "." in key))
    seconds, memory = _seconds(task), _memory(task)
    rows: list[list[Any]] = []
    for place, (split, facts) in enumerate(splits.items()):
        for target in ["", *targets]:
            ending = f".{target}" if target else ""
            best = best_baseline(task, split, target)
            for name, scores, deviations in _predictors(facts):
                values = [_spread(scores, deviations, f"{key}{ending}") for key in plain]
                is_shown = name in ("taglm", best) or best is None
                if target and not (is_shown and any(value is not None for value in values)):
                    continue
                count = scored_rows(facts) if name == "taglm" else None
                if target and count is not None:
                    count = facts.get("target_rows", {}).get(target, count)
                rows.append([split, name, *([target or "mean"] if targets else []), count])
                rows[-1] += values
                is_told = bool(target) or place > 0  # what training took does not vary
                if seconds:
                    rows[-1].append(None if is_told else seconds.get(name))
                if memory:
                    rows[-1].append(None if is_told else memory.get(name))
    first = ["split", "predictor", *(["target"] if targets else []), "rows"]
    last = [*(["seconds"] if seconds else []), *(["MB"] if memory else [])]
    return [*first, *plain, *last], rows


def scored_rows(facts: Mapping[str, Any]) -> int:
    """Return how many rows of a split its metrics count; censored ones of a target do not.

    Of many training rows some are scored, and a row that cannot be predicted is not.

    Args:
        facts: What metrics.json says of a split.
    """
    rows = int(facts.get("rows_scored", facts["rows"]))
    if "target_rows" in facts:  # each of several targets has rows of its own
        return rows
    censored = facts.get("censored", {}).values()
    return rows - sum(int(each["below"] + each["above"]) for each in censored)


def _ordered(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the splits, test first and train last."""
    order = ("input", "test", "valid", "train")
    return dict(sorted(splits.items(), key=lambda pair: order.index(pair[0])))


def _predictors(
    facts: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Give name, metrics and their deviations of taglm and of each baseline on a split."""
    if "metrics" in facts:
        yield "taglm", facts["metrics"], facts.get("deviations", {})
    for name, scores in facts.get("baselines", {}).items():
        yield name, scores, facts.get("baseline_deviations", {}).get(name, {})


def _spread(scores: Mapping[str, Any], deviations: Mapping[str, Any], key: str) -> Any:
    """Return a metric, with its standard deviation where several runs have one."""
    value, deviation = scores.get(key), deviations.get(key)
    if value is None or deviation is None:
        return value
    return f"{value:.3g} ± {deviation:.2g}"


def best_baseline(task: Mapping[str, Any], split: str, target: str = "") -> str | None:
    """Return the baseline with the best first metric, None where no baseline has it.

    Args:
        task: What metrics.json says of the task.
        split: Such as "test".
        target: One of several targets; "": the mean over all.
    """
    metric = task.get("metric")
    if metric is None:
        return None
    key = f"{metric['name']}.{target}" if target else metric["name"]
    facts = task["splits"].get(split, {}).get("baselines", {})
    values = {name: scores[key] for name, scores in facts.items() if scores.get(key) is not None}
    if not values:
        return None
    choose = max if metric["greater_is_better"] else min
    return str(choose(values, key=lambda name: values[name]))


def verdict(name: str, task: Mapping[str, Any]) -> str | None:
    """Return the result on the test split against the best baseline, in one sentence.

    Args:
        name: Of the task.
        task: What metrics.json says of it; None is returned for one without test metrics.
    """
    metric, test = task.get("metric"), task["splits"].get("test", {})
    value = test.get("metrics", {}).get(metric["name"]) if metric else None
    if metric is None or value is None:
        return None
    deviation = test.get("deviations", {}).get(metric["name"])
    spread = f" ± {deviation:.2g}" if deviation is not None else ""
    best = best_baseline(task, "test")
    other = test["baselines"][best][metric["name"]] if best is not None else value
    ours, theirs = told_apart(value, other, 3)
    said = f"{name}: taglm {metric['name']} {ours}{spread}"
    if best is not None:
        gain = value - other if metric["greater_is_better"] else other - value
        word = "better than" if gain > 0 else "worse than" if gain < 0 else "equal to"
        said += f", {word} the best baseline ({best}, {theirs})"
    members = task.get("num_members")
    count = counted(scored_rows(test), "test row")
    count += f" in each of {members} runs" if members else ""
    return f"{said}, on {count} (split: {task['split']})"


def _seconds(task: Mapping[str, Any]) -> dict[str, float]:
    """Return predictor -> seconds of training; empty where the task has no baselines.

    A domain tag that came with a plugin's package was trained elsewhere, as the backbone was.
    """
    seconds = {
        name: float(facts["fit_seconds"]) + float(facts.get("feature_seconds", 0.0))
        for name, facts in task.get("baselines", {}).items()
        if "fit_seconds" in facts
    }
    stages = [
        float(stage["seconds"])
        for stage in task.get("stages", ())
        if "seconds" in stage and "from_package" not in stage
    ]
    return {"taglm": sum(stages), **seconds} if seconds and stages else seconds


def _memory(task: Mapping[str, Any]) -> dict[str, int]:
    """Return predictor -> largest memory of the process in MB while it was trained."""
    bytes_ = {
        name: facts["peak_bytes"]
        for name, facts in task.get("baselines", {}).items()
        if "peak_bytes" in facts
    }
    own = [stage["peak_bytes"] for stage in task.get("stages", ()) if stage.get("peak_bytes")]
    if bytes_ and own:
        bytes_ = {"taglm": max(own), **bytes_}
    return {name: round(value / 1e6) for name, value in bytes_.items()}


def task_title(name: str, task: Mapping[str, Any]) -> str:
    """Return the heading of a task's results: its name, unit and split."""
    unit = task.get("target", {}).get("unit")
    split = task.get("split")
    where = f"split: {split}" if split != "none" else "the rows of the input"
    return f"{name}{f' [{unit}]' if unit and unit != '1' else ''}, {where}"


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
