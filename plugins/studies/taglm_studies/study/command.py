"""`taglm compare`, `taglm ablate` and `taglm sweep`: studies in one folder each."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from taglm_core.plugin import (
    AddressOption,
    BackboneOption,
    EngineOption,
    PresetOption,
    SettingOption,
    WorkersOption,
)
from taglm_studies.study.options import AsJson, Data, DryRun, Jobs, Out, Seeds, Task


def compare(
    task: Task,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Methods: tag, taglm (as shipped), prompt-tuning, lora, linear-probe, full, "
            "text-prompt, probe:OWNER/NAME.",
        ),
    ] = "tag,taglm,prompt-tuning,lora,linear-probe,full",
    data: Data = None,
    seeds: Seeds = "0",
    backbone: BackboneOption = None,
    preset: PresetOption = None,
    setting: SettingOption = None,
    passes: Annotated[
        int | None,
        typer.Option(
            help="Training rows that each other method passes through the backbone, repeats "
            "counted.",
            show_default="as many as the tag",
            min=1,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Time limit for the training of each other method, in seconds.", min=1),
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            "--lr", metavar="METHOD=RATE", help="Learning rate of a method, such as lora=3e-4."
        ),
    ] = None,
    out: Out = None,
    jobs: Jobs = 1,
    engine: EngineOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Compare methods on the same rows, backbone and symbols, with the same head.

    Example: `taglm compare QED --methods tag,lora,linear-probe --seeds 0,1,2 --preset quick`.
    """
    from taglm_core.plugin import parse_pairs
    from taglm_studies.study import compare as comparing
    from taglm_studies.study.conduct import conduct

    names = comparing.check_methods([m.strip() for m in methods.split(",") if m.strip()])
    rates = {k: _positive(v, f"--lr {k}") for k, v in parse_pairs(rate or [], "--lr").items()}
    comparing.check_rates(rates, names)
    settings = _settings(setting, preset, backbone)
    budget = {"passes": passes, "seconds": seconds, "learning_rates": rates}
    request = _request("compare", task, data, seeds, settings, methods=list(names), budget=budget)
    path = out or Path("studies") / f"compare-{Path(task).stem}"
    members = comparing.compare_members(path, task, data, settings, names, request["seeds"], budget)
    place = (jobs, engine, address, workers)
    conduct(request, path, members, comparing.TAG, place, dry_run, as_json, _COMPARE_NOTES)


_COMPARE_NOTES = (
    "Every method reads the same rows and symbols with the same frozen or copied backbone. All but "
    "taglm and text-prompt have the same head: ridge or logistic regression on their states, "
    "alpha chosen on the validation split.",
    "tag: the states of the trained function tag. taglm: the run as shipped, with the head and "
    "features that it chooses. The other methods read the prompt in words, without tags, at its "
    "last token.",
    "Numbers of parameters exclude the head. Seconds of the tag include stage 1 only if it was "
    "trained.",
)


def ablate(
    task: Task,
    variants: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Variants: enriched, no-domain-tag, no-function-tag, as-text, lm-tokenizer, "
            "causal, paper-start, adapter, as-shipped.",
        ),
    ] = "no-domain-tag,no-function-tag,as-text,lm-tokenizer,causal,paper-start,adapter,as-shipped",
    lengths: Annotated[
        str,
        typer.Option(metavar="N,N,...", help="Tag lengths to try beside that of the full method."),
    ] = "1,5,20",
    data: Data = None,
    seeds: Seeds = "0",
    backbone: BackboneOption = None,
    preset: PresetOption = None,
    setting: SettingOption = None,
    out: Out = None,
    jobs: Jobs = 1,
    engine: EngineOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Remove or change one part of the method at a time, and measure the effect.

    Example: `taglm ablate QED --seeds 0,1,2 --preset quick`.
    """
    from taglm_studies.study import ablation
    from taglm_studies.study.conduct import conduct

    numbers = [_whole(word, "--lengths") for word in lengths.split(",") if word.strip()]
    names = ablation.check_variants([v.strip() for v in variants.split(",") if v.strip()], numbers)
    settings = _settings(setting, preset, backbone)
    request = _request("ablate", task, data, seeds, settings, variants=list(names))
    path = out or Path("studies") / f"ablate-{Path(task).stem}"
    members = ablation.ablation_members(path, task, data, settings, names, request["seeds"])
    known = ablation.VARIANTS
    notes = [f"{name}: {known[name].description}." for name in names if name in known]
    place = (jobs, engine, address, workers)
    conduct(request, path, members, ablation.FULL, place, dry_run, as_json, notes)


def sweep(
    task: Task,
    choices: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE,VALUE...",
            help="Setting and the values to try, such as tag_length=1,5,10.",
        ),
    ],
    sampler: Annotated[
        str,
        typer.Option(
            metavar="grid|random|tpe",
            help="grid tries all combinations, random draws some, tpe searches by the validation "
            "split.",
        ),
    ] = "grid",
    trials: Annotated[
        int | None,
        typer.Option(help="Number of trials of random and tpe.", show_default="20", min=1),
    ] = None,
    data: Data = None,
    seeds: Seeds = "0",
    backbone: BackboneOption = None,
    preset: PresetOption = None,
    setting: SettingOption = None,
    out: Out = None,
    jobs: Jobs = 1,
    engine: EngineOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Run a task with every combination of some settings, or search for the best.

    Example: `taglm sweep QED tag_length=1,5,10 tag_lr=0.01,0.05 --preset quick`.
    """
    from taglm_studies.study import sweep as sweeping
    from taglm_studies.study.conduct import conduct, search

    count = sweeping.num_trials(sampler, trials)
    values = sweeping.parse_choices(choices)
    settings = _settings(setting, preset, backbone)
    asked = {"choices": values, "sampler": sampler, "trials": count}
    request = _request("sweep", task, data, seeds, settings, **asked)
    path = out or Path("studies") / f"sweep-{Path(task).stem}"
    make = functools.partial(sweeping.trial_member, task, data, settings)
    own = request["seeds"]
    notes = [
        "Rows are compared with the combination that validates best. Choose by the validation "
        "split: the best of many on the test split is optimistic."
    ]
    place = (jobs, engine, address, workers)
    if sampler == "tpe" and not dry_run:
        search(request, path, values, make, place, as_json, notes)
        return
    drawn = sweeping.combinations(values, count, own[0])
    members = [make(trial, seed) for seed in own for trial in drawn]
    conduct(request, path, members, None, place, dry_run, as_json, notes)


def _request(
    kind: str, task: str, data: str | None, seeds: str, settings: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    from taglm_core.errors import ConfigError

    numbers = [_whole(word, "--seeds") for word in seeds.split(",") if word.strip()]
    if not numbers or len(set(numbers)) < len(numbers):
        raise ConfigError(f"--seeds {seeds}: write different whole numbers, such as 0,1,2.")
    for key in ("seed", "seeds"):
        if key in settings or key in more.get("choices", ()):
            raise ConfigError(f"{key}: a study takes its seeds by --seeds, such as --seeds 0,1,2.")
    asked = {"kind": kind, "task": task, "data": data, "seeds": numbers}
    return {**asked, "settings": dict(settings), **more}


def _settings(
    setting: Sequence[str] | None, preset: str | None, backbone: str | None
) -> dict[str, Any]:
    from taglm_core.plugin import parse_settings

    given = {"preset": preset, "backbone": backbone}
    return {**{k: v for k, v in given.items() if v is not None}, **parse_settings(setting or [])}


def _whole(word: str, option: str) -> int:
    from taglm_core.errors import ConfigError

    if not word.strip().isdecimal():
        raise ConfigError(f"{option}: '{word.strip()}' is not a whole number.")
    return int(word)


def _positive(word: str, option: str) -> float:
    from taglm_core.errors import ConfigError

    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{option}: '{word}' is not a positive number.")
    return value
