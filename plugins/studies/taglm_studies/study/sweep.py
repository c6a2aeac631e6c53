"""A sweep: a task with every combination of some settings, drawn ones, or a search for the best."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from taglm_core.errors import ConfigError, nearest
from taglm_core.plugin import parse_settings
from taglm_studies.study.folder import Member, StudyFolder
from taglm_studies.study.runs import merged

SAMPLERS = ("grid", "random", "tpe")
TRIALS = 20
"""Trials of random and tpe."""
_TASK = "stages.task."
_SHORT = {
    "tag",
    "tag_length",
    "tag_lr",
    "lr",
    "head",
    "head_lr",
    "epochs",
    "batch_size",
    "pooling",
    "rows",
}
_HERE = "taglm_studies.study.runs"
_JOURNAL = "journal.log"
_POSITION = "position"
"""Attribute of a trial: which one of the search it is; one that failed is tried again in place."""

Choices = Mapping[str, Sequence[Any]]


def parse_choices(words: Sequence[str]) -> dict[str, list[Any]]:
    """Read `key=value,value,...` words.

    Keys are those of `--set`; the usual ones of the task's stage may be short, as tag_length.

    Raises:
        ConfigError: for a word of another form, or a key that is given twice.
    """
    found: dict[str, list[Any]] = {}
    for word in words:
        key, equals, values = word.partition("=")
        if not equals or not key.strip() or not values.strip():
            raise ConfigError(f"{word}: write KEY=VALUE,VALUE,..., such as tag_length=1,5,10.")
        full = _TASK + key.strip() if key.strip() in _SHORT else key.strip()
        if full in found:
            raise ConfigError(f"{word}: {full} is given twice. Give it once, with all its values.")
        if not all(value.strip() for value in values.split(",")):
            raise ConfigError(f"{word}: a value between two commas is empty. Remove the comma.")
        found[full] = [_value(full, value) for value in values.split(",")]
        if len({str(value) for value in found[full]}) < len(found[full]):
            raise ConfigError(f"{word}: a value is given twice. Give each value once.")
    if not found:
        raise ConfigError("give what varies, such as tag_length=1,5,10.")
    return found


def num_trials(sampler: str, trials: int | None) -> int | None:
    """Return the number of trials of a sampler, None for a grid, which has all of them.

    Raises:
        ConfigError: for an unknown sampler, or for a grid of some trials.
    """
    if sampler not in SAMPLERS:
        raise ConfigError(
            f"--sampler must be one of {', '.join(SAMPLERS)}, not {sampler}."
            f"{nearest(sampler, SAMPLERS)}"
        )
    if sampler == "grid":
        if trials is not None:
            raise ConfigError(
                f"--trials {trials}: a grid runs all combinations. Add --sampler random or tpe to "
                "run some of them."
            )
        return None
    return TRIALS if trials is None else trials


def _value(key: str, text: str) -> Any:
    """Return a value as `--set` reads it."""
    held: Any = parse_settings([f"{key}={text.strip()}"])
    for part in key.split("."):
        held = held[part]
    return held


def combinations(choices: Choices, trials: int | None, seed: int) -> list[dict[str, Any]]:
    """Return the settings of each trial of a grid, or of trials drawn from it without repeats.

    Args:
        choices: Key -> values.
        trials: Number to draw; None: all.
        seed: Of the draw.
    """
    every = [dict(zip(choices, v, strict=True)) for v in itertools.product(*choices.values())]
    if trials is None or trials >= len(every):
        return every
    chosen = np.random.default_rng([seed, 23]).choice(len(every), trials, replace=False)
    return [every[i] for i in sorted(chosen.tolist())]


def each_value(choices: Choices) -> list[dict[str, Any]]:
    """Return few combinations that hold every value at least once."""
    count = max(map(len, choices.values()))
    return [{key: own[i % len(own)] for key, own in choices.items()} for i in range(count)]


def trial_member(
    task: Any, data: str | None, settings: Mapping[str, Any], trial: Mapping[str, Any], seed: int
) -> Member:
    """Return the run of one combination and seed."""
    own = merged(settings, {"baselines": ["none"]})
    for key, value in trial.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        own = merged(own, value)
    arguments = {"task": task, "data": data, "settings": own, "seed": seed}
    name = group_name(trial)
    return Member(group=name, seed=seed, function=f"{_HERE}:run_task", arguments=arguments, run=".")


def group_name(trial: Mapping[str, Any]) -> str:
    """Return a combination in words, such as `tag_length=5,lr=0.001`."""
    return ",".join(f"{key.removeprefix(_TASK)}={value}" for key, value in trial.items())


def search(
    study: StudyFolder,
    choices: Choices,
    trials: int,
    seed: int,
    run: Callable[[Mapping[str, Any]], float | None],
    greater_is_better: Callable[[], bool],
) -> Iterator[dict[str, Any]]:
    """Search with Optuna's TPE for the combination that validates best.

    The journal in the folder lets a search that was killed go on: what it had asked for and not
    finished is run first, and members that have finished are not run again. Each trial has a seed
    of its own, so that a search that was interrupted asks for what an unbroken one does.

    Args:
        study: Open.
        choices: Key -> values.
        trials: Trials in all.
        seed: Of the sampler.
        run: Runs a combination and returns its first metric on the validation split, None when it
            failed, which does not stop the search.
        greater_is_better: Of that metric; asked after the first trial has run.

    Yields:
        The combination of each trial, in order.
    """
    optuna = _optuna()
    search_study = _opened(optuna, study)
    texts = {key: [yaml.safe_dump(v).strip() for v in values] for key, values in choices.items()}
    complete, failed = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
    known = _earlier(search_study, failed)
    for position in range(trials):
        old = known.get(position)
        if old is not None and old.state == complete:
            yield {key: _chosen(choices, texts, key, old.params[key]) for key in choices}
            continue
        if old is not None:
            search_study.enqueue_trial(old.params)
        search_study.sampler = optuna.samplers.TPESampler(
            seed=(seed * 100_003 + position) % 2**32, n_startup_trials=min(5, trials)
        )
        trial = search_study.ask()
        drawn = {key: trial.suggest_categorical(key, texts[key]) for key in choices}
        trial.set_user_attr(_POSITION, position)
        combination = {key: _chosen(choices, texts, key, drawn[key]) for key in choices}
        value = run(combination)
        if value is None or math.isnan(value):
            search_study.tell(trial, state=failed)
        else:
            search_study.tell(trial, -value if greater_is_better() else value)
        yield combination


def _opened(optuna: Any, study: StudyFolder) -> Any:
    """Return the study of Optuna whose journal is in a folder, a new one where there is none."""
    backend = optuna.storages.journal.JournalFileBackend(str(study.path / _JOURNAL))
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name="sweep",
        direction="minimize",
        load_if_exists=True,
    )


def _earlier(search_study: Any, failed: Any) -> dict[int, Any]:
    """Return the trials of earlier calls by their positions; those that were killed have failed."""
    known = {
        old.user_attrs[_POSITION]: old
        for old in search_study.get_trials()
        if _POSITION in old.user_attrs
    }
    for old in known.values():
        if not old.state.is_finished():
            search_study.tell(old.number, state=failed)
    return known


def _chosen(choices: Choices, texts: Mapping[str, list[str]], key: str, text: str) -> Any:
    return choices[key][texts[key].index(text)]


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--sampler tpe needs Optuna: pip install 'taglm-plugin-studies[sweep]'. Or use "
            "--sampler grid or random."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
