"""What the commands share on screen: results to stdout, everything else to stderr."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

# names come from users and plugins: neither "[x]" nor ":smile:" has a meaning in them
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
results = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)

_SHORT_TEXT = 20
"""Characters of a text that are not folded where a table is too wide."""


def set_up_logging(is_debug: bool) -> None:
    """Send log records of taglm and its plugins to stderr, once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_ByLevel())
    handler.addFilter(lambda record: record.name.startswith("taglm_") or record.levelno > 20)
    handler.addFilter(_Once())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if is_debug else logging.INFO)


class _ByLevel(logging.Formatter):
    """Begins a warning with "warning: " and an error with "error: "."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message with its level, if that is more than a remark."""
        if record.levelno < logging.WARNING:
            return record.message
        level = "error" if record.levelno >= logging.ERROR else "warning"
        return f"{level}: {record.message}"


class _Once(logging.Filter):
    """Lets a warning pass once: a file that is read twice is warned of twice."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is new."""
        text = record.getMessage()
        is_new = record.levelno < logging.WARNING or text not in self._seen
        self._seen.add(text)
        return is_new


def print_line(text: str) -> None:
    """Print a line to stdout, where a program may read it; brackets are no markup."""
    results.print(text, markup=False)


def print_note(text: str) -> None:
    """Print a line to stderr, for the person in front of the screen."""
    errors.print(text, markup=False)


def end_with(faults: Sequence[Exception]) -> None:
    """Name what a listing could not read, and end the command with exit code 1 if there is any."""
    for fault in faults:
        print_note(f"error: {fault}")
    if faults:
        raise typer.Exit(1)


def print_json(content: Any) -> None:
    """Print JSON to stdout for a program to read."""
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "", blank: str = "-"
) -> None:
    """Print a table to stdout; numbers are set to the right and never broken.

    Columns that do not fit the screen follow in a table below, behind the leading columns of text;
    it has the rows that hold something in these columns.

    Args:
        columns: Names of the columns.
        rows: Cells of each row; a column in which all are numbers or None is set to the right.
        title: Line above the table; "": none.
        blank: What stands for None.
    """
    if title:
        results.print(title)
    cells = [[_cell(value, blank) for value in row] for row in rows]
    is_number = [
        bool(rows) and all(isinstance(row[i], int | float | None) for row in rows)
        for i in range(len(columns))
    ]
    widths = [
        max(cell_len(text) for text in (name, *(row[i] for row in cells)))
        for i, name in enumerate(columns)
    ]
    shown: set[int] = set()
    for chosen in _blocks(widths, is_number, results.width):
        table = Table(box=None, pad_edge=False)
        for i in chosen:
            side: Literal["right", "left"] = "right" if is_number[i] else "left"
            # names and numbers stay whole; text is folded
            least = widths[i] if is_number[i] else min(widths[i], _SHORT_TEXT)
            table.add_column(Text(columns[i]), justify=side, overflow="fold", min_width=least)
        added = [i for i in chosen if i not in shown]
        for row in cells:
            if not shown or any(row[i] != blank for i in added):
                table.add_row(*(Text(row[i]) for i in chosen))
        shown.update(chosen)
        results.print(table)


def _blocks(widths: Sequence[int], is_number: Sequence[bool], width: int) -> list[list[int]]:
    """Return the columns of each table into which one is cut that is wider than the screen.

    Leading columns of text stand in each of them. A table that no cut makes narrower stays whole.
    """
    everything = list(range(len(widths)))
    first = next((i for i in everything if is_number[i]), len(widths))
    key, others = everything[:first], everything[first:]
    if sum(widths) + 2 * len(widths) <= width or not others:
        return [everything]
    blocks: list[list[int]] = [[]]
    used = begin = sum(min(widths[i], _SHORT_TEXT) + 2 for i in key)
    for i in others:
        if blocks[-1] and used + widths[i] + 2 > width:
            blocks.append([])
            used = begin
        blocks[-1].append(i)
        used += widths[i] + 2
    return [[*key, *block] for block in blocks]


def _cell(value: Any, blank: str) -> str:
    if value is None:
        return blank
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def parse_pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """Read repeated `name=value` words of an option.

    Raises:
        ConfigError: for a word without '=', or a name with two values.
    """
    from taglm_core.errors import ConfigError

    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and name and value):
            raise ConfigError(f"{option} {word}: write it as NAME=VALUE.")
        if values.setdefault(name, value) != value:
            raise ConfigError(
                f"{option} {word}: '{name}' was given as {values[name]} before. Give it once."
            )
    return values


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Print the results of a run as a table: one row for each split and predictor."""
    from taglm_core.inference.report import metric_rows, task_title

    for name, task in metrics["tasks"].items():
        print_table(*metric_rows(task), task_title(name, task), blank="")
        for line in _scored_lines(task):
            results.print(line, markup=False)
        for split, facts in task["splits"].items():
            if "target_rows" in facts:
                counts = ", ".join(f"{n} {count:,}" for n, count in facts["target_rows"].items())
                results.print(f"{split}, rows with a value: {counts}", markup=False)
        for line in [*_censored_lines(task), *_interval_lines(task)]:
            results.print(line, markup=False)


def _scored_lines(task: Mapping[str, Any]) -> list[str]:
    """Say of which splits only some rows are scored."""
    return [
        f"{split}: taglm is scored on {facts['rows_scored']:,} of {facts['rows']:,} rows"
        for split, facts in task["splits"].items()
        if facts.get("rows_scored", facts["rows"]) != facts["rows"]
    ]


def _censored_lines(task: Mapping[str, Any]) -> list[str]:
    """Say how many rows of each split are censored, and how they were predicted."""
    lines = []
    for split, facts in task["splits"].items():
        for target, counts in facts.get("censored", {}).items():
            sides = [f"{counts[side]:,} {side}" for side in ("below", "above") if counts[side]]
            lines.append(
                f"{split}, {target}: {' and '.join(sides)} a limit, not in the metrics; "
                f"{counts['predicted_beyond']:,} of them predicted beyond it"
            )
    return lines


def _interval_lines(task: Mapping[str, Any]) -> list[str]:
    """Say how many rows of each split lie in their prediction intervals."""
    from taglm_core.inference.intervals import coverage_sentences

    return [  # the unit stands in the title
        line
        for split, facts in task["splits"].items()
        for line in coverage_sentences(facts, "row" if split == "input" else f"{split} row")
    ]


def print_members(metrics: Mapping[str, Any]) -> None:
    """Print the test result of each of several runs: the first metric, and the best baseline's."""
    from taglm_core.inference.report import best_baseline

    members = metrics.get("members", ())
    for name, task in metrics["tasks"].items():
        if not members or "metric" not in task:
            continue
        key, best = task["metric"]["name"], best_baseline(task, "test")
        rows = []
        for member in members:
            test = member["test"][name]
            baseline = [] if best is None else [test["baselines"].get(best, {}).get(key)]
            rows.append([member["name"], test["rows"], test["metrics"][key], *baseline])
        columns = ["run", "rows", f"taglm {key}", *([] if best is None else [f"{best} {key}"])]
        print_table(columns, rows, f"\n{name}, test split of each run")
