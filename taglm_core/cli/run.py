"""`taglm run`: train what a task needs, evaluate it, write the run folder."""

from pathlib import Path
from typing import Any

import typer

from taglm_core.cli import runoptions as options
from taglm_core.cli.options import (
    Columns,
    Preset,
    RunBackbone,
    RunCache,
    RunDevice,
    Setting,
    Sheet,
    Targets,
    Verbose,
)


def run(
    task: options.Task,
    target: Targets = None,
    backbone: RunBackbone = None,
    data: options.Data = None,
    sheet: Sheet = None,
    dataset: options.Dataset = None,
    domain_data: options.DomainData = None,
    column: Columns = None,
    weights: options.Weights = None,
    split: options.Split = None,
    folds: options.Folds = None,
    repeats: options.Repeats = None,
    fractions: options.Fractions = None,
    preset: Preset = None,
    on_error: options.OnError = None,
    fix: options.Fix = None,
    on_long: options.OnLong = None,
    on_doubt: options.OnDoubt = None,
    cache: RunCache = None,
    baselines: options.Baselines = None,
    device: RunDevice = None,
    out: options.Out = None,
    seed: options.Seed = None,
    seeds: options.Seeds = None,
    refit: options.Refit = None,
    time: options.Time = None,
    log_to: options.LogTo = None,
    num_processes: options.NumProcesses = None,
    setting: Setting = None,
    save_config: options.SaveConfig = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Train a predictor from a table or for a task, and evaluate it.

    Examples: `taglm run lab.csv --target "LogS (mol/L)"`;
    `taglm run QED`; `taglm run QED --data molecules.csv --column smiles=Structure`;
    `taglm run esol.yaml --set stages.task.epochs=10 --out runs/long`.
    """
    from taglm_core.cli.launch import run_several, speak_in_first
    from taglm_core.cli.screen import parse_pairs
    from taglm_core.errors import ConfigError
    from taglm_core.startup import without_collection
    from taglm_core.store.environment import is_one_of_several, launched_processes

    if seed is not None and seeds is not None:
        raise ConfigError(f"give --seed {seed} or --seeds {seeds}, not both.")
    with without_collection():  # torch comes with it
        from taglm_core.training.settings import parse_overrides

    if (num_processes or 1) > 1 and not is_one_of_several() and not dry_run:
        raise typer.Exit(run_several(num_processes or 1))
    speak_in_first()
    flags: dict[str, Any] = {
        "backbone": backbone,
        "seed": seed,
        "refit": refit,
        "time": time,
        "seeds": seeds.split(",") if seeds is not None else None,
        "device": device,
        "preset": preset,
        "baselines": baselines,
        "data": _given(
            dataset=dataset,
            sheet=sheet,
            domain=parse_pairs(domain_data or [], "--domain-data") or None,
            columns=parse_pairs(column or [], "--column") or None,
            weights=weights,
            split=_split(split, folds, repeats, fractions) or None,
            on_error=on_error,
            on_long=on_long,
            on_doubt=on_doubt,
            fix=fix,
        )
        or None,
        "stages": {"task": {"cache": cache}} if cache is not None else None,
    }
    settings = [_given(**flags), parse_overrides(setting or [])]
    asked = {"data": data, "target": target, "out": out, "settings": settings}
    asked["log_to"] = [name.strip() for name in (log_to or "").split(",") if name.strip()]
    several = num_processes or launched_processes()
    metrics, folder = _run(task, asked, save_config, several if dry_run else 0, verbose)
    if not dry_run:
        _print(metrics, folder, as_json)


def _run(
    task: list[str], asked: dict[str, Any], save_config: Path | None, planned: int, verbose: bool
) -> tuple[Any, Path]:
    """Prepare a run, and carry it out unless only its stages are asked for.

    Args:
        task: Words of the command.
        asked: Its options.
        save_config: File for the settings.
        planned: Number of processes for which the stages are shown; 0: the run is carried out.
        verbose: Whether details are shown.

    Returns:
        What metrics.json holds, None without a run; and the run folder.
    """
    from taglm_core.api.request import prepare_run
    from taglm_core.cli.asking import person_at_terminal
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import print_note
    from taglm_core.progress import reporting
    from taglm_core.store.environment import launched_processes
    from taglm_core.training.runfile import check_run_file

    if save_config is not None:
        check_run_file(save_config)
    progress = BarProgress(verbose)
    with reporting(progress):
        prepared = prepare_run(task, source="taglm run", ask=person_at_terminal(), **asked)
    _warn(prepared.registry.failures)
    if save_config is not None:
        prepared.save_config(save_config)
        print_note(f"wrote {save_config}; `taglm run {save_config}` repeats this run")
    if planned:
        _show_stages(prepared.plans(progress, is_sketch=True), progress, planned)
        return None, prepared.folder.path
    on_plans = (
        (lambda plans: _show_stages(plans, progress, launched_processes())) if verbose else None
    )
    try:
        return prepared.execute(progress, on_plans), prepared.folder.path
    except KeyboardInterrupt as stop:
        progress.finish()
        print_note(f"{str(stop) or 'Stopped.'} Run the same command to continue.")
        raise typer.Exit(130) from stop


def _split(
    method: str | None, folds: int | None, repeats: int | None, fractions: str | None
) -> dict[str, Any]:
    """Return what the options say of the splits; `cv` stands for folds of the task's splitter."""
    named = {"method": None if method == "cv" else method, "column": None, "file": None}
    folds = 5 if method == "cv" and folds is None else folds
    shares = fractions.split(",") if fractions is not None else None
    return {
        **(named if method is not None else {}),
        **_given(folds=folds, repeats=repeats, fractions=shares),
    }


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _warn(failures: Any) -> None:
    from taglm_core.cli.screen import errors

    for failure in failures:
        errors.print(f"warning: {failure}", markup=False)


def _show_stages(plans: Any, progress: Any, count: int) -> None:
    from taglm_core.cli.screen import print_note, print_table
    from taglm_core.training.build import domain_plans
    from taglm_core.training.domain_stages import divided_stages, shown_shares
    from taglm_core.training.plantable import plan_table

    records = [record for plan in plans for record in plan_table(plan)]
    distinct = list(dict.fromkeys(tuple(record.values()) for record in records))
    print_table(["stage", "tag", "state", "parameters"], [list(row) for row in distinct])
    tags = [item.tag for item in domain_plans(plans) if item.is_trained]
    shares = divided_stages(tags, count, plans[0].budget is not None)
    if shares:
        print_note(shown_shares(shares))
    trained = sum(row[-1] for row in distinct if row[2] == "trained")
    lora = plans[0].planned.outline.lora_parameters()
    beside = f" (LoRA of rank 8 on q and v would train {lora:,})" if lora else ""
    progress.detail(f"{trained:,} parameters are trained{beside}")
    progress.detail(f"precision {plans[0].planned.measured.line()}")


def _print(metrics: Any, folder: Path, as_json: bool) -> None:
    from taglm_core.cli.closing import closing_lines
    from taglm_core.cli.groups import print_groups
    from taglm_core.cli.screen import (
        errors,
        print_json,
        print_members,
        print_metrics,
        results,
    )

    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics)
        print_members(metrics)
        print_groups(metrics)
        for line in closing_lines(metrics, folder):
            results.print(line, markup=False)
    for warning in metrics.get("warnings", []):  # last, so that nobody overlooks them
        errors.print(f"warning: {warning}", markup=False, style="bold red")
