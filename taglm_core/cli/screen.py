"""What the commands share on screen: results to stdout, everything else to stderr."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table

errors = Console(stderr=True, highlight=False, soft_wrap=True)
results = Console(highlight=False, soft_wrap=True)


def set_up_logging(is_debug: bool) -> None:
    """Send log records of taglm and its plugins to stderr, once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(lambda record: record.name.startswith("taglm_") or record.levelno > 20)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if is_debug else logging.INFO)


def print_line(text: str) -> None:
    """Print a line to stdout, where a program may read it; brackets are no markup."""
    results.print(text, markup=False)


def print_note(text: str) -> None:
    """Print a line to stderr, for the person in front of the screen."""
    errors.print(text, markup=False)


def print_json(content: Any) -> None:
    """Print JSON to stdout for a program to read."""
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print a table to stdout; numbers are set to the right."""
    if title:
        results.print(title, markup=False)
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[i], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    results.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    from rich.markup import escape

    return escape(str(value))


class BarProgress:
    """Progress bars with remaining time on stderr; single lines when it is no terminal."""

    def __init__(self) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=errors,
            disable=not errors.is_terminal,
        )
        self._task: TaskID | None = None
        self._note = ""

    def start(self, description: str, total: int | None) -> None:
        """Begin a bar."""
        self._bars.start()
        self._task = self._bars.add_task(description, total=total, note="")
        if not errors.is_terminal:
            errors.print(description, markup=False)

    def advance(self, done: int, note: str = "") -> None:
        """Set the bar."""
        if self._task is None:
            return
        self._bars.update(self._task, completed=done, note=note)
        if note and note != self._note and not errors.is_terminal:
            errors.print(f"  {done}/{self._bars.tasks[self._task].total:.0f}: {note}", markup=False)
        self._note = note

    def finish(self) -> None:
        """End the bar."""
        self._bars.stop()
        self._task = None

    def say(self, text: str) -> None:
        """Print one line."""
        errors.print(text, markup=False)


def parse_pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """Read repeated `name=value` words of an option.

    Raises:
        ConfigError: for a word without '='.
    """
    from taglm_core.errors import ConfigError

    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and name and value):
            raise ConfigError(f"{option} {word}: write it as NAME=VALUE.")
        found[name] = value
    return found


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Print the results of a run as a table: one row for each part and predictor."""
    from taglm_core.inference.report import metric_rows, task_title

    for name, task in metrics["tasks"].items():
        print_table(*metric_rows(task), task_title(name, task))
        for part, held in task["splits"].items():
            if "target_rows" in held:
                counts = ", ".join(f"{n} {count:,}" for n, count in held["target_rows"].items())
                results.print(f"{part}, rows with a value: {counts}", markup=False)
