"""Results by combination of tags, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from taglm_core.errors import counted

ZERO_SHOT = "*"
"""Stands behind a value of a combination that training never saw."""


def print_groups(metrics: Mapping[str, Any]) -> None:
    """Print each split's results by combination of tags, if the task has any.

    Two tag columns make a matrix of the first metric, first column down; others make a list.
    """
    from taglm_core.cli.screen import print_table, results

    for name, task in metrics["tasks"].items():
        for metric, signature in task.get("signatures", {}).items():
            results.print(f"{metric}: {signature}")
        for split, facts in task["splits"].items():
            if split == "train" or not facts.get("groups"):
                continue
            groups = facts["groups"]
            metric = next(iter(groups[0]["metrics"]))
            columns, rows = _table(groups, metric)
            title = f"\n{name}, {split}: {metric}; {ZERO_SHOT} never seen together in training"
            print_table(columns, rows, title)
            for kind in ("trained", "zero_shot"):
                if kind in facts:
                    values = ", ".join(
                        f"{k} {_shown(v)}" for k, v in facts[kind]["metrics"].items()
                    )
                    words = kind.replace("_", "-")
                    results.print(f"{words}: {counted(facts[kind]['rows'], 'row')}, {values}")


def _table(groups: Sequence[Mapping[str, Any]], metric: str) -> tuple[list[str], list[list[str]]]:
    names = list(groups[0]["tags"])
    if len(names) != 2:
        rows = [[*g["tags"].values(), _cell(g, metric), str(g["rows"])] for g in groups]
        return [*names, metric, "rows"], rows
    cells = {tuple(g["tags"].values()): _cell(g, metric) for g in groups}
    across = sorted({to for _, to in cells})
    down = sorted({start for start, _ in cells})
    corner = f"{names[0]} \\ {names[1]}"
    return [corner, *across], [[a, *(cells.get((a, b), "") for b in across)] for a in down]


def _cell(group: Mapping[str, Any], metric: str) -> str:
    return _shown(group["metrics"][metric]) + ("" if group["trained"] else ZERO_SHOT)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
