"""`taglm compare`, `taglm ablate` and `taglm sweep`: studies in one folder each."""

import functools
from collections.abc import Callable, Mapping, Sequence
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
from taglm_studies.study.options import AsJson, Data, DryRun, Jobs, Out, Place, Seeds, Task


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

    names = comparing.check_methods([m.strip() for m in methods.split(",") if m.strip()])
    rates = {k: _positive(v, f"--lr {k}") for k, v in parse_pairs(rate or [], "--lr").items()}
    settings = _settings(setting, preset, backbone)
    budget = {"passes": passes, "seconds": seconds, "learning_rates": rates}
    request = _request("compare", task, data, seeds, settings, methods=list(names), budget=budget)
    path = out or Path("studies") / f"compare-{Path(task).stem}"
    members = comparing.compare_members(path, task, data, settings, names, request["seeds"], budget)
    place = (jobs, engine, address, workers)
    if _is_beside(place):  # rivals need the rows and the backbone of the tag of their seed
        members.sort(key=lambda member: member.group != comparing.TAG)
    _conduct(request, path, members, comparing.TAG, place, dry_run, as_json, _COMPARE_NOTES)


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

    numbers = [_whole(word, "--lengths") for word in lengths.split(",") if word.strip()]
    names = ablation.check_variants([v.strip() for v in variants.split(",") if v.strip()], numbers)
    settings = _settings(setting, preset, backbone)
    request = _request("ablate", task, data, seeds, settings, variants=list(names))
    path = out or Path("studies") / f"ablate-{Path(task).stem}"
    members = ablation.ablation_members(path, task, data, settings, names, request["seeds"])
    known = ablation.VARIANTS
    notes = [f"{name}: {known[name].description}." for name in names if name in known]
    place = (jobs, engine, address, workers)
    _conduct(request, path, members, ablation.FULL, place, dry_run, as_json, notes)


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
    from taglm_core.errors import ConfigError
    from taglm_studies.study import sweep as sweeping

    if sampler not in sweeping.SAMPLERS:
        raise ConfigError(
            f"--sampler must be one of {', '.join(sweeping.SAMPLERS)}, not {sampler}."
        )
    values = sweeping.parse_choices(choices)
    settings = _settings(setting, preset, backbone)
    asked = {"choices": values, "sampler": sampler, "trials": trials}
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
        _search(request, path, values, trials or 20, make, place, as_json, notes)
        return
    drawn = sweeping.combinations(values, sampler, trials, own[0])
    members = [make(trial, seed) for seed in own for trial in drawn]
    _conduct(request, path, members, None, place, dry_run, as_json, notes)


def _search(
    request: Mapping[str, Any],
    path: Path,
    values: Mapping[str, Sequence[Any]],
    trials: int,
    make: Callable[[Mapping[str, Any], int], Any],
    place: Place,
    as_json: bool,
    notes: Sequence[str],
) -> None:
    """Run a search by TPE: the members are known only when they are asked for."""
    import statistics

    from taglm_core.errors import ConfigError
    from taglm_core.plugin import load_registry, opened_engine, print_note
    from taglm_studies.study import sweep as sweeping
    from taglm_studies.study.folder import StudyFolder
    from taglm_studies.study.members import run_members

    study, seeds = StudyFolder(path), request["seeds"]
    facts: dict[str, Any] = {}

    def run(trial: Mapping[str, Any]) -> float:
        own = [make(trial, seed) for seed in seeds]
        failed = run_members(own, study, print_note, workers=workers)
        if failed:
            raise ConfigError("; ".join(f"{name}: {why}" for name, why in failed.items()))
        found = [study.facts_of(member) for member in own]
        records = [task.record for task in found if task is not None]
        facts["metric"] = records[0]["metric"]
        metric = facts["metric"]["name"]
        return statistics.fmean(r["splits"]["valid"]["metrics"][metric] for r in records)

    study.open(request)
    try:
        with opened_engine(place[1], load_registry(), *place[2:]) as workers:
            greater = lambda: bool(facts["metric"]["greater_is_better"])  # noqa: E731
            asked = list(sweeping.search(study, values, trials, seeds[0], run, greater))
        distinct = {sweeping.group_name(trial): trial for trial in asked}
        members = [make(trial, seed) for seed in seeds for trial in distinct.values()]
        _finish(request, study, members, None, as_json, notes, {})
    finally:
        study.close()


def _is_beside(place: Place) -> bool:
    """Say whether several members may run at a time.

    Raises:
        ConfigError: when processes of this machine and an engine are asked for.
    """
    from taglm_core.errors import ConfigError

    jobs, engine = place[:2]
    if jobs > 1 and engine is not None:
        raise ConfigError(f"give --jobs {jobs} or --engine {engine}, whose --workers say how many.")
    return jobs > 1 or engine is not None


def _conduct(
    request: Mapping[str, Any],
    path: Path,
    members: Sequence[Any],
    first: str | None,
    place: Place,
    dry_run: bool,
    as_json: bool,
    notes: Sequence[str],
) -> None:
    """Run what has not finished, and write table and page; or say what would run."""
    from taglm_core.plugin import load_registry, opened_engine, print_note
    from taglm_studies.study.folder import StudyFolder
    from taglm_studies.study.members import run_members

    is_beside, jobs = _is_beside(place), place[0]
    study = StudyFolder(path)
    if dry_run:
        _list_members(request, study, members, as_json)
        return
    study.open(request)
    try:
        early = [m for m in members if m.group == first] if is_beside and first else []
        late = [m for m in members if m not in early]
        with opened_engine(place[1], load_registry(), *place[2:]) as workers:
            failed = run_members(early, study, print_note, jobs, workers) if early else {}
            failed |= run_members(late, study, print_note, jobs, workers)
        _finish(request, study, members, first, as_json, notes, failed)
    finally:
        study.close()


def _finish(
    request: Mapping[str, Any],
    study: Any,
    members: Sequence[Any],
    first: str | None,
    as_json: bool,
    notes: Sequence[str],
    failed: Mapping[str, str],
) -> None:
    from taglm_core.errors import ConfigError, counted
    from taglm_core.plugin import load_registry, print_json, print_line, print_note, print_table
    from taglm_studies.study import page
    from taglm_studies.study.table import best_on_valid, study_table

    finished = [member for member in members if study.cost_of(member) is not None]
    first = first or best_on_valid(finished, study)
    if first is None or not any(member.group == first for member in finished):
        raise ConfigError(
            f"{study.path}: the member that the others are compared with has not finished: "
            + "; ".join(f"{name}: {why}" for name, why in failed.items())
        )
    table = study_table(finished, study, load_registry(), first)
    said = [*notes, *(f"{name} failed: {why}" for name, why in failed.items())]
    said += page.unread_answers(finished, study)
    page.write_study(study, request, table, said)
    if as_json:
        print_json(page.as_json(request, table))
    else:
        print_table(*page.table_of(table), title=page.sentence(table), blank="")
        print_line(f"report: {study.path / 'report.html'}")
    if failed:
        print_note(f"{counted(len(failed), 'member')} failed; run the same command again to retry")
        raise typer.Exit(1)


def _list_members(
    request: Mapping[str, Any], study: Any, members: Sequence[Any], as_json: bool
) -> None:
    from taglm_core.plugin import print_json, print_line, print_table, shown_seconds
    from taglm_studies.study.estimate import estimated

    waiting = study.unfinished(members)
    seconds, how = estimated(request, waiting, members, study)
    if as_json:
        states = {m.name: "waiting" if m in waiting else "finished" for m in members}
        print_json({"members": states, "seconds": seconds, "estimated_by": how})
        return
    rows = [[m.group, m.seed, "waiting" if m in waiting else "finished"] for m in members]
    print_table(["group", "seed", "state"], rows)
    total = f"about {shown_seconds(seconds)}" if seconds is not None else "unknown"
    print_line(f"{len(waiting)} of {len(members)} members to run; time: {total} ({how})")


def _request(
    kind: str, task: str, data: str | None, seeds: str, settings: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    from taglm_core.errors import ConfigError

    numbers = [_whole(word, "--seeds") for word in seeds.split(",") if word.strip()]
    if not numbers or len(set(numbers)) < len(numbers):
        raise ConfigError(f"--seeds {seeds}: write different whole numbers, such as 0,1,2.")
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
