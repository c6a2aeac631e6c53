"""Methods compared on the same rows, backbone and symbols, with the same head."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from taglm_core.errors import ConfigError, nearest
from taglm_studies.report.facts import TaskFacts, read_json
from taglm_studies.study.folder import COST, MEMBERS, Member
from taglm_studies.study.head import MOST_FIT, fit_head
from taglm_studies.study.results import write_results
from taglm_studies.study.rows import ROWS, Rows
from taglm_studies.study.runs import batch_size, merged, run_task

logger = logging.getLogger(__name__)

TAG, AS_SHIPPED, PROBE = "tag", "taglm", "probe:"
METHODS = ("tag", "taglm", "prompt-tuning", "lora", "linear-probe", "full", "text-prompt")
TRAINED = ("prompt-tuning", "lora", "full")
"""Methods that --lr gives a learning rate."""
_LINEAR = {"stages": {"task": {"head": "linear", "features": "off", "tag": "input"}}}
"""Settings of the tag's run: the paper's tag, trained with the head that all methods get."""
_HERE = "taglm_studies.study.compare"


def check_methods(methods: Sequence[str]) -> tuple[str, ...]:
    """Return the methods of a comparison, the tag first, since the others need its rows.

    Raises:
        ConfigError: for an unknown one, or one that needs a library that is missing.
    """
    for method in methods:
        if method not in METHODS and not (method.startswith(PROBE) and len(method) > len(PROBE)):
            raise ConfigError(
                f"--methods: unknown method '{method}'.{nearest(method, METHODS)} Known: "
                f"{', '.join(METHODS)}, and probe:OWNER/NAME for any Hugging Face model."
            )
    if {"prompt-tuning", "lora"} & set(methods):
        try:
            import peft  # noqa: F401
        except ModuleNotFoundError as error:
            raise ConfigError(
                "prompt-tuning and lora need PEFT: pip install 'taglm-plugin-studies[compare]'. "
                "Or leave them out of --methods."
            ) from error
    return tuple(dict.fromkeys([TAG, *methods]))


def check_rates(rates: Mapping[str, float], methods: Sequence[str]) -> None:
    """Demand that every learning rate is that of a method which trains with it.

    Raises:
        ConfigError: for another one.
    """
    own = [method for method in methods if method in TRAINED]
    for method in rates:
        if method not in own:
            among = f"of this comparison {', '.join(own)}" if own else "none of --methods"
            raise ConfigError(
                f"--lr {method}: no learning rate is used there. Methods that are trained with "
                f"one: {among}. That of the tag is --set stages.task.tag_lr=RATE."
            )


def compare_members(
    path: Path,
    task: Any,
    data: str | None,
    settings: Mapping[str, Any],
    methods: Sequence[str],
    seeds: Sequence[int],
    budget: Mapping[str, Any],
) -> list[Member]:
    """Return the members of a comparison, for each seed the tag first.

    Args:
        path: Folder of the study.
        task: As `taglm.run` takes it.
        data: Table of rows; None: the task's own.
        settings: Of every run, nested.
        methods: As `check_methods` gives them.
        seeds: Seeds of everything that is random.
        budget: `passes` and `seconds` of the rivals; None: as many passes as the tag trained.
    """
    made = []
    for seed in seeds:
        run = {"task": task, "data": data, "settings": merged(settings, _LINEAR), "seed": seed}
        tag = Member(group=TAG, seed=seed, function=f"{_HERE}:run_tag", arguments=run, run="run")
        shipped = {**run, "settings": merged(settings, {"baselines": ["none"]})}
        made.append(tag)
        rival = {"tag": str(path / MEMBERS / tag.name), "seed": seed, "budget": dict(budget)}
        for method in methods:
            if method == AS_SHIPPED:
                function = f"{_HERE}:run_as_shipped"
                made.append(attrs.evolve(tag, group=method, function=function, arguments=shipped))
            elif method != TAG:
                arguments = {**rival, "method": method}
                rival_of = attrs.evolve(tag, run=None, needs=tag.name, arguments=arguments)
                function = f"{_HERE}:run_rival"
                made.append(attrs.evolve(rival_of, group=method, function=function))
    return made


def run_tag(
    folder: Path, task: Any, data: str | None, settings: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Train the tag as a run does, and put the head of all methods onto its states."""
    import taglm

    cost = run_task(folder / "run", task, data, settings, seed)
    file = folder / "run" / ROWS
    if not file.is_file():
        raise ConfigError("compare takes a task that predicts numbers or classes, not text.")
    rows = Rows.read(file)
    task_model: Any = taglm.load(folder / "run").task_model
    if task_model.others:
        raise ConfigError("compare takes a single tag. Set stages.task.ensemble=1.")
    states = {}
    for split in rows.splits:
        most = MOST_FIT if split == "train" else None
        fields = {name: values[:most] for name, values in rows.fields(split).items()}
        states[split], _ = task_model.embed_fields(fields)
    write_results(folder, folder / "run", rows, fit_head(rows, states, seed)["test"])
    return cost


def run_as_shipped(
    folder: Path, task: Any, data: str | None, settings: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Run the task as `taglm run` does: with the head and the features that it chooses itself."""
    cost = run_task(folder / "run", task, data, settings, seed)
    predicted = TaskFacts.only(folder / "run").predicted()
    assert predicted is not None, "a finished run has test predictions"
    rows = Rows.read(folder / "run" / ROWS)
    write_results(folder, folder / "run", rows, np.asarray(predicted))
    return cost


def run_rival(
    folder: Path, tag: str, method: str, seed: int, budget: Mapping[str, Any]
) -> dict[str, Any]:
    """Train a rival on the rows and the backbone of the tag, and fit the head of all methods."""
    import taglm

    rows = Rows.read(Path(tag) / "run" / ROWS)
    passes = budget.get("passes") or read_json(Path(tag) / COST).get("passes") or 0
    predictor = taglm.load(Path(tag) / "run", precision="fp32", cache="off")
    if method == "text-prompt":
        return _prompted(folder, Path(tag), rows, predictor, seed)
    if method.startswith(PROBE):
        return _probed(folder, Path(tag), rows, method.removeprefix(PROBE), seed)
    from taglm_studies.study.rivals import Budget, Rival

    rival = Rival(predictor, rows, method, seed)
    cost: dict[str, Any] = {"parameters": rival.parameters, "seconds": 0.0, "passes": 0}
    if rival.trained:
        batch = batch_size(Path(tag) / "run")
        cost |= rival.train(
            Budget(
                passes=max(int(passes), batch),
                seconds=budget.get("seconds"),
                batch_size=batch,
                learning_rate=(budget.get("learning_rates") or {}).get(method),
            )
        )
    states = {s: rival.states(s, MOST_FIT if s == "train" else None) for s in rows.splits}
    write_results(folder, Path(tag) / "run", rows, fit_head(rows, states, seed)["test"])
    head = (states["test"].shape[1] + 1) * rows.num_outputs
    return {**cost, "disk_bytes": 4 * (rival.parameters + head)}


def _prompted(folder: Path, tag: Path, rows: Rows, predictor: Any, seed: int) -> dict[str, Any]:
    from taglm_studies.study.prompting import EXAMPLES, predict_by_prompt

    made, unread = predict_by_prompt(predictor, rows, "test", seed)
    write_results(folder, tag / "run", rows, made)
    return {"parameters": 0, "disk_bytes": 0, "examples": EXAMPLES, "answers_not_read": unread}


def _probed(folder: Path, tag: Path, rows: Rows, name: str, seed: int) -> dict[str, Any]:
    from taglm_studies.study.rivals import probe_states

    states, size = probe_states(name, rows, logger.info)
    write_results(folder, tag / "run", rows, fit_head(rows, states, seed)["test"])
    head = (states["test"].shape[1] + 1) * rows.num_outputs
    return {"parameters": 0, "disk_bytes": 4 * head, "model_parameters": size}
