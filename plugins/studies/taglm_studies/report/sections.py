"""The sections of a report: what each one says, shows and lists."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.errors import counted
from taglm_core.plugin import Registry, coverage_sentences, metric_rows, verdict
from taglm_studies.report import figures
from taglm_studies.report.bootstrap import OWN, Interval, Intervals, intervals
from taglm_studies.report.choices import choice, is_untrained
from taglm_studies.report.drawn import drawn_rows
from taglm_studies.report.facts import RunFacts, TaskFacts
from taglm_studies.report.parts import Section, Table
from taglm_studies.report.rank import row_errors

_EXAMPLES = 12
_SHOWN = 400
"""Characters of a cell."""


@attrs.frozen(kw_only=True)
class TaskPage:
    """What a report says of a task."""

    name: str
    sentence: str
    asked: str
    sections: list[Section]


def task_page(run: RunFacts, task: TaskFacts, registry: Registry) -> TaskPage:
    """Return what the report of a run says of one of its tasks."""
    has_members = "members" in run.metrics
    found = None if has_members else intervals(task, registry, int(run.metrics.get("seed") or 0))
    makers: list[Callable[[], Section]] = [
        lambda: results(task, found),
        lambda: members(run, task),
        lambda: predictions(task),
        lambda: choice(task),
        lambda: learning(task),
        lambda: difficulty(task),
        lambda: drawn(task, registry),
        lambda: tags(task),
        lambda: data(task),
    ]
    sections = [section for make in makers if not (section := make()).is_empty]
    sentence = verdict(task.name, task.record) or f"{task.name}: no test rows were scored."
    return TaskPage(
        name=task.name,
        sentence=f"{sentence}. {chance(task, found)}".rstrip(),
        asked=_asked(run, task),
        sections=sections,
    )


def _asked(run: RunFacts, task: TaskFacts) -> str:
    what = {"regression": "predict", "classification": "classify", "text": "write"}[task.kind]
    names = ", ".join(task.targets) or "text"
    unit = f" [{task.unit}]" if task.unit else ""
    backbone = run.metrics.get("backbone", {}).get("name")
    source = Path(str(task.record.get("source"))).name
    return f"Task: {what} {names}{unit} on {source}, with the frozen backbone {backbone}."


def chance(task: TaskFacts, found: Intervals | None) -> str:
    """Return in a sentence which baselines differ from taglm by more than chance."""
    if found is None or not found.differences:
        return ""
    greater = bool(task.record["metric"]["greater_is_better"])
    words: dict[str, list[str]] = {"better": [], "worse": [], "within chance": []}
    for name, difference in found.differences.items():
        if not difference.excludes_zero:
            words["within chance"].append(name)
        else:
            words["better" if (difference.value > 0) == greater else "worse"].append(name)
    metric = task.record["metric"]["name"]
    parts = []
    if words["better"]:
        parts.append(f"better than {_list(words['better'])}")
    if words["worse"]:
        parts.append(f"worse than {_list(words['worse'])}")
    if words["within chance"]:
        parts.append(f"within chance of {_list(words['within chance'])}")
    return f"By {metric} on these test rows it is {'; '.join(parts)} (95 % paired bootstrap)."


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def results(task: TaskFacts, found: Intervals | None) -> Section:
    """Return the metrics of each split beside the baselines, with intervals."""
    section = Section("Results")
    if found is not None:
        section.tables.append(_interval_table(task, found))
        section.notes.append(
            f"Intervals hold 95 % of {found.samples:,} bootstrap resamples of the test rows; "
            "differences are taken on the same resamples. They show what the choice of test rows "
            "can change, not what another training would: run several seeds for that."
        )
    section.notes += _coverage(task)
    columns, rows = metric_rows(task.record)
    section.tables.append(Table("All metrics", columns, rows))
    return section


def _coverage(task: TaskFacts) -> list[str]:
    """Return how many test rows lie in their prediction intervals, in a sentence each target."""
    said = coverage_sentences(task.record["splits"].get("test", {}), unit=task.unit)
    if not said:
        return []
    return [f"Prediction intervals (taglm predict --interval 0.9): {'. '.join(said)}."]


def _interval_table(task: TaskFacts, found: Intervals) -> Table:
    metric = task.record["metric"]["name"]
    greater = task.record["metric"]["greater_is_better"]
    order = sorted(
        (name for name, key in found.metrics if key == metric),
        key=lambda name: found.metrics[name, metric].value,
        reverse=bool(greater),
    )
    rows = []
    for name in order:
        other = found.differences.get(name)
        said = ""
        if other is not None:
            said = "within chance"
            if other.excludes_zero:
                said = "taglm better" if (other.value > 0) == greater else f"{name} better"
        rows.append(
            [name, _said(found.metrics[name, metric]), "" if other is None else _said(other), said]
        )
    for own, key in found.metrics:
        if own == OWN and key != metric:
            rows.append([f"{OWN}, {key}", _said(found.metrics[own, key]), "", ""])
    better = "greater" if greater else "smaller"
    caption = f"Test split, {counted(task.num_rows, 'row')}; {better} {metric} is better"
    columns = ["predictor", f"{metric} (95 % interval)", "taglm minus it", "verdict"]
    return Table(caption, columns, rows)


def _said(interval: Interval) -> str:
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def members(run: RunFacts, task: TaskFacts) -> Section:
    """Return the test result of each of several runs."""
    section = Section("Runs")
    metric = task.record.get("metric", {}).get("name")
    found = run.metrics.get("members", ())
    if not found or metric is None:
        return section
    rows = []
    for member in found:
        test = member["test"][task.name]
        rows.append([member["name"], test["rows"], test["metrics"].get(metric), member["seconds"]])
    section.tables.append(Table("Test split", ["run", "rows", metric, "seconds"], rows))
    section.notes.append("Each of these runs has a report of its own in its folder in members/.")
    return section


def predictions(task: TaskFacts) -> Section:
    """Return the figures of the test predictions, or the first texts."""
    section = Section("Test predictions")
    if not task.num_rows:
        return section
    if task.kind == "text":
        section.figures += figures.of_directions(task)
        section.tables.append(_texts(task))
    elif task.predicted() is not None:
        is_regression = task.kind == "regression"
        section.figures += (figures.of_regression if is_regression else figures.of_classes)(task)
        section.figures += figures.of_directions(task)
    return section


def _texts(task: TaskFacts) -> Table:
    names = [n for n in task.predictions if n not in ("line", "split", task.name, "measured")]
    columns = [*names, "measured", task.name]
    rows = [
        [_cut(task.predictions[name][i]) for name in columns]
        for i in range(min(task.num_rows, _EXAMPLES))
    ]
    return Table(f"The first of {counted(task.num_rows, 'test row')}", columns, rows)


def _cut(value: Any) -> Any:
    text = str(value)
    return value if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def learning(task: TaskFacts) -> Section:
    """Return the learning curve of each stage."""
    metric = task.record.get("metric", {}).get("name")
    return Section(
        "Training", figures=list(figures.of_learning(task.record.get("stages", ()), metric))
    )


def difficulty(task: TaskFacts) -> Section:
    """Return where the errors are: by size, similarity, group, and columns of few values."""
    section = Section("Where the errors are")
    errors = row_errors(task)
    if errors is None:
        return section
    what = error_name(task)
    section.figures += figures.of_difficulty(task, errors, what)
    section.tables += _group_tables(task, errors, what)
    section.tables += _subgroup_tables(task, errors, what)
    return section


def error_name(task: TaskFacts) -> str:
    """Return what `rank.row_errors` gives for a task, in words."""
    if task.kind == "classification":
        return "1 minus the probability of the true class"
    several = len(task.targets) > 1
    return "mean absolute error in standard deviations" if several else "absolute error"


def _group_tables(task: TaskFacts, errors: np.ndarray, what: str) -> Iterator[Table]:
    rows = task.details.get("rows") or {}
    place = {str(number): i for i, number in enumerate(task.predictions.get("row", ()))}
    for field, known in rows.get("fields", {}).items():
        groups: dict[str, list[float]] = {}
        for number, group in zip(rows["row"], known.get("group", ()), strict=False):
            if str(number) in place and np.isfinite(errors[place[str(number)]]):
                groups.setdefault(group, []).append(float(errors[place[str(number)]]))
        large = sorted((g for g in groups.items() if len(g[1]) > 2), key=lambda g: -len(g[1]))
        if len(large) > 1:
            caption = f"Groups of related {field} with most test rows, of {len(groups):,} groups"
            cells = [[_cut(name), len(own), float(np.mean(own))] for name, own in large[:10]]
            yield Table(caption, ["group", "rows", what], cells)


def _subgroup_tables(task: TaskFacts, errors: np.ndarray, what: str) -> Iterator[Table]:
    """Give the error by each column of few values, such as a cell line or a laboratory."""
    own = {"row", "line", "split", "measured", "computed", task.name}
    for name, cells in task.predictions.items():
        is_own = name.startswith(f"{task.name}.") or name.partition(".")[0] in task.targets
        if is_own or name.removesuffix(" (input)") in own:
            continue
        values = [str(cell) for cell in cells]
        distinct = sorted(set(values))
        if not 2 <= len(distinct) <= 12 or len(values) < 5 * len(distinct):
            continue
        rows = []
        for value in distinct:
            held = np.array([e for e, v in zip(errors, values, strict=True) if v == value])
            held = held[np.isfinite(held)]
            if len(held):
                rows.append([value, len(held), float(held.mean())])
        yield Table(f"By {name}", [name, "rows", what], rows)


def drawn(task: TaskFacts, registry: Registry) -> Section:
    """Return the rows predicted worst and best, and what the function tag attends to in them."""
    section = Section("Best and worst test rows")
    section.rows = drawn_rows(task, registry)
    if section.rows:
        section.notes.append(
            "Shading shows what the function tag attends to, averaged over its tokens, all heads "
            "and all layers: where the model reads, not why it predicts what it does. The darkest "
            "part of a row has its largest weight."
        )
    if "attention_error" in task.details:
        section.notes.append(f"No attention is shown: {task.details['attention_error']}")
    return section


def tags(task: TaskFacts) -> Section:
    """Return where the tags lie among the embeddings of the backbone."""
    section = Section("Tags")
    geometry = task.details.get("geometry")
    if geometry:
        section.figures += figures.of_tags(geometry)
        rows = []
        for token in geometry["tokens"]:
            near = ", ".join(f"{w['word']!r} {w['cosine']:.2f}" for w in token["nearest"])
            rows.append([f"<{token['tag']}>", token["token"], token["norm"], near])
        columns = ["tag", "token", "norm", "nearest vocabulary words, with cosine"]
        section.tables.append(Table("Tag tokens among the vocabulary", columns, rows))
    return section


def data(task: TaskFacts) -> Section:
    """Return what was found in the data."""
    section = Section("Data")
    splits = task.record["splits"]
    counts = ", ".join(f"{name} {facts['rows']:,}" for name, facts in splits.items())
    section.notes.append(f"Rows: {counts}. Split: {task.record.get('split')}.")
    for key, word in (("rows_skipped", "skipped"), ("rows_fixed", "fixed")):
        if task.record.get(key):
            section.notes.append(
                f"{counted(task.record[key], 'row')} {word} ({word}.csv lists them)."
            )
    section.notes += [f"Note: {remark}" for remark in task.record.get("remarks", ())]
    for source, report in task.data_check.items():
        for line in report.get("summary", ()):
            section.notes.append(f"Data check by {source}: {line}.")
    return section


def cost(run: RunFacts) -> Section:
    """Return what the run has cost."""
    section = Section("Cost")
    rows: list[list[Any]] = []
    for name, task in run.tasks.items():
        for stage in task.record.get("stages", ()):
            count = sum(stage.get("trained", {}).values())
            lora = stage.get("lora_rank_8_q_v_parameters")
            label = f"stage {stage.get('stage')} <{stage.get('tag')}>"
            if stage.get("from_store"):
                label += f" (from {stage.get('from_package', 'the tag store')})"
            elif _stays_untrained(stage):
                label += " (the tag stays untrained)"
            rows.append([name, label, count, stage.get("steps"), stage.get("seconds"), lora])
        for baseline, facts in task.record.get("baselines", {}).items():
            seconds = facts.get("fit_seconds", 0) + facts.get("feature_seconds", 0)
            rows.append([name, f"baseline {baseline}", None, None, round(seconds, 2), None])
    columns = ["task", "what", "parameters", "steps", "seconds", "LoRA would train"]
    if rows:
        section.tables.append(Table("Trained and fitted", columns, rows))
    size = sum(f.stat().st_size for f in run.folder.glob("**/predictor/*") if f.is_file())
    said = f"The whole run took {run.metrics.get('seconds')} seconds; the predictor takes "
    said += f"{size / 1024:,.0f} KiB on disk."
    peak = max((t.details.get("peak_memory_mib") or 0 for t in run.tasks.values()), default=0)
    section.notes.append(said + (f" Peak memory of the process: {peak:,.0f} MiB." if peak else ""))
    return section


def _stays_untrained(stage: Mapping[str, Any]) -> bool:
    choices = stage.get("head_choice", {}).values()
    return not stage.get("steps") and any(map(is_untrained, choices))


def repeat(run: RunFacts) -> Section:
    """Return what it takes to get the same result again."""
    section = Section("To repeat it")
    environment = run.environment
    again = f"taglm run {shlex.quote(str(run.folder / 'run.yaml'))} --out again"
    rows: list[list[Any]] = [
        ["command", environment.get("command") or "(from Python)"],
        ["the same from its settings", again],
        ["seed", ", ".join(map(str, run.metrics.get("seeds", [run.metrics.get("seed")])))],
        ["precision", run.metrics.get("precision")],
        ["taglm", run.metrics.get("taglm")],
        ["backbone", _said_of(run.metrics.get("backbone", {}))],
    ]
    rows += [["started", environment["started"]]] if "started" in environment else []
    rows += [["plugins", _said_of(environment.get("plugins", {}))]]
    libraries = {"Python": environment.get("python"), **environment.get("libraries", {})}
    rows += [["libraries", _said_of(libraries)]]
    rows += [["machine", f"{environment.get('system')}, {environment.get('cpus')} CPUs"]]
    section.tables.append(Table("Command, versions, seed", ["what", "value"], rows))
    hashes = [[Path(name).name, digest] for name, digest in run.inputs.items()]
    if hashes:
        section.tables.append(Table("Files that were read", ["file", "hash"], hashes))
    return section


def _said_of(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
