"""The ablation without a head: the LM writes the number or class as text, as translations do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from taglm_core.errors import ConfigError
from taglm_core.plugin import write_table, write_text
from taglm_studies.report.facts import TaskFacts
from taglm_studies.study.answers import predictions_of, write_answers
from taglm_studies.study.results import write_results
from taglm_studies.study.rows import ROWS, Rows
from taglm_studies.study.runs import run_cost

_ANSWER, _SPLIT = "answer_as_text", "split_of_row"
_HEAD_ONLY = (
    "head",
    "head_options",
    "head_init",
    "head_lr",
    "features",
    "pooling",
    "ensemble",
    "huber",
    "fit_rows",
    "fit_epochs",
    "function_tag_from",
)
"""Settings of the task's stage that a task which writes text has no use for."""


def run_as_text(folder: Path, full: str, seed: int) -> dict[str, Any]:
    """Train the prompt of a finished run to be followed by its target as text; read the answers.

    Args:
        folder: Of the member.
        full: Folder of the run of all parts on the same rows, beside it.
        seed: Of the run.

    Raises:
        ConfigError: when a field is a record of several columns, or a row is lost on the way.
    """
    import taglm

    source = Path(full)
    rows = Rows.read(source / ROWS)
    task = taglm.load(source).task_model.task
    file = folder / "rows.csv"
    written = _write_rows(file, rows)
    settings = _settings(source, file, written, seed)
    settings["task"] = {
        "name": rows.task,
        "function_tag": task.function_tag.rpartition("/")[2],
        "template": f"{_qualified(task)}{{{_ANSWER}}}",
        "target": {"kind": "text"},
    }
    settings["data"]["columns"] = {name: name for name in [*rows.fields("train"), _ANSWER]}
    run_file = folder / "run-as-text.yaml"
    write_text(run_file, yaml.safe_dump(settings, sort_keys=False))
    run = taglm.run(str(run_file), out=folder / "run", progress=False)
    answers = TaskFacts.only(folder / "run").predicted()
    if answers is None or len(answers) != len(written["test"]):
        raise ConfigError(
            "as-text: a row of the full method is too long with its answer. Leave as-text out of "
            "--variants."
        )
    values, unread = predictions_of(rows, [str(answer) for answer in answers])
    write_results(folder, source, rows, values)
    return {**run_cost(run), "answers_not_read": unread}


def _qualified(task: Any) -> str:
    """Return the template for another plugin: full names of domain tags, the short function tag."""
    text = str(task.prompt.text)
    text = text.replace(f"<{task.function_tag}>", f"<{task.function_tag.rpartition('/')[2]}>")
    for written, domain in task.domains.items():
        text = text.replace(f"<{written}>", f"<{domain.name}>")
        text = text.replace(f"<{written}/>", f"<{domain.name}/>")
    return text


def _write_rows(file: Path, rows: Rows) -> dict[str, list[str]]:
    """Write the rows of every split with the targets as text; return the texts by split."""
    table: dict[str, list[Any]] = {}
    texts = {}
    for split in ("train", "valid", "test"):
        fields, answers = rows.fields(split), write_answers(rows, split)
        truth = rows.truth(split)
        known = np.ones(len(answers), dtype=bool)
        if not rows.has_classes and split != "test":  # a test row is scored where it is known
            known = np.isfinite(truth).any(axis=1)
        for name, values in fields.items():
            if any(isinstance(value, tuple) for value in values):
                raise ConfigError(
                    f"as-text: the field '{name}' is a record of several columns, for which there "
                    "is no such variant. Leave it out of --variants."
                )
            table.setdefault(name, []).extend(v for v, k in zip(values, known, strict=True) if k)
        texts[split] = [a for a, k in zip(answers, known, strict=True) if k]
        table.setdefault(_ANSWER, []).extend(texts[split])
        table.setdefault(_SPLIT, []).extend([split] * len(texts[split]))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_table(file, table)
    return texts


def _settings(
    source: Path, file: Path, written: Mapping[str, list[str]], seed: int
) -> dict[str, Any]:
    """Return the settings of a run for a text task on a file, those of a head left out.

    Paths in them are relative to the folder of the run, and members lie beside each other.
    """
    settings: dict[str, Any] = yaml.safe_load((source / "run.yaml").read_text(encoding="utf-8"))
    stages = settings.get("stages", {})
    stages["task"] = {k: v for k, v in stages.get("task", {}).items() if k not in _HEAD_ONLY}
    longest = max(len(text) for texts in written.values() for text in texts)
    data = {key: settings["data"][key] for key in ("domain",) if key in settings["data"]}
    data |= {"file": file.name, "split": {"column": _SPLIT}, "check": False}
    return {
        **{k: v for k, v in settings.items() if k not in ("task", "tasks", "attention", "seeds")},
        "data": data,
        "stages": stages,
        "decode": {"max_new_tokens": longest + 2},
        "baselines": ["none"],
        "seed": seed,
        "refit": False,
    }
