"""The page itself: facts of runs put into the template, written whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.errors import ConfigError
from taglm_core.plugin import Registry, check_writable, load_registry, write_text
from taglm_studies.report import sections
from taglm_studies.report.bootstrap import difference, metric_functions
from taglm_studies.report.facts import RunFacts, TaskFacts
from taglm_studies.report.parts import Section, Table
from taglm_studies.report.sections import TaskPage

REPORT = "report.html"
"""Name of the file in a run folder."""


@attrs.frozen(kw_only=True)
class RunPage:
    """What a report says of a run."""

    name: str
    tasks: list[TaskPage]
    sections: list[Section]
    warnings: Sequence[str]


def write_report(folders: Sequence[Path], out: Path, registry: Registry | None = None) -> Path:
    """Write the report of one or several finished runs.

    Args:
        folders: Run folders.
        out: The HTML file.
        registry: Where metrics and domains are looked up; None: a new one.

    Returns:
        The file.

    Raises:
        ConfigError: when a folder holds no finished run.
    """
    registry = registry or load_registry()
    runs = [RunFacts.read(folder) for folder in folders]
    if not runs:
        raise ConfigError("a report needs the folder of a run, such as runs/QED.")
    pages = [_run_page(run, registry) for run in runs]
    beside = side_by_side(runs, registry) if len(runs) > 1 else []
    title = f"taglm report: {', '.join(run.folder.name for run in runs)}"
    return render_page(out, title=title, runs=pages, beside=beside)


def _run_page(run: RunFacts, registry: Registry) -> RunPage:
    return RunPage(
        name=str(run.folder),
        tasks=[sections.task_page(run, task, registry) for task in run.tasks.values()],
        sections=[sections.cost(run), sections.repeat(run)],
        warnings=run.metrics.get("warnings", ()),
    )


def side_by_side(runs: Sequence[RunFacts], registry: Registry) -> list[Table]:
    """Return a table for each task: the test metrics of each run, and paired differences.

    The first run that has the task is what the others are held against. A difference is given
    where two runs predict the same test rows.
    """
    names = dict.fromkeys(name for run in runs for name in run.tasks)
    return [_beside(name, runs, registry) for name in names]


def _beside(name: str, runs: Sequence[RunFacts], registry: Registry) -> Table:
    held = [run for run in runs if name in run.tasks]
    first = held[0].tasks[name]
    keys = [k for k in first.record["splits"].get("test", {}).get("metrics", {}) if "." not in k]
    rows: list[list[Any]] = []
    for run in held:
        test = run.tasks[name].record["splits"].get("test", {})
        values = [test.get("metrics", {}).get(key) for key in keys]
        said = "" if run is held[0] else _difference(run.tasks[name], first, registry)
        rows.append([str(run.folder), test.get("rows"), *values, said])
    columns = ["run", "test rows", *keys, f"difference to {held[0].folder.name} (95 %)"]
    return Table(f"{name}, test split", columns, rows)


def _difference(task: TaskFacts, first: TaskFacts, registry: Registry) -> str:
    functions = metric_functions(first, registry)
    metric = first.record.get("metric", {}).get("name")
    if task.num_rows < 2 or not task.has_rows_of(first):
        return "other test rows"
    own, other = task.predicted(), first.predicted()
    if task.kind == "text" or metric not in functions or own is None or other is None:
        return ""
    found = difference(first, own, other, metric, functions[metric])
    chance = "" if found.excludes_zero else ", within chance"
    return f"{metric} {found.value:+.3g} ({found.low:.3g} to {found.high:.3g}){chance}"


def render_page(
    out: Path,
    *,
    title: str,
    sentence: str = "",
    top: Sequence[Section] = (),
    beside: Sequence[Table] = (),
    runs: Sequence[RunPage] = (),
) -> Path:
    """Write a page whole.

    Args:
        out: The HTML file.
        title: Its heading.
        sentence: The result, below the heading.
        top: Sections that belong to no run.
        beside: Tables that set runs side by side.
        runs: Runs, one after the other.

    Returns:
        The file.

    Raises:
        ConfigError: when its name is that of another kind of file, such as of a table.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"{out}: the name of a report must end in .html, such as {out.stem}.html."
        )
    check_writable(out)
    content = {"title": title, "sentence": sentence, "top": top, "beside": beside, "runs": runs}
    write_text(out, _render(content))
    return out


def _render(content: Mapping[str, Any]) -> str:
    import jinja2
    from markupsafe import Markup

    loader = jinja2.PackageLoader("taglm_studies.report", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["picture"] = Markup
    environment.filters["cell"] = _cell
    environment.tests["figure"] = lambda value: isinstance(value, int | float)
    return environment.get_template("page.html").render(content)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
