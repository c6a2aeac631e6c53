"""`taglm run`: train what a task needs, evaluate it, write the run folder."""

from pathlib import Path
from typing import Annotated, Any

import typer

from taglm_core.cli.completion import complete_task
from taglm_core.cli.options import Columns, Targets, Verbose


def run(
    task: Annotated[
        list[str],
        typer.Argument(
            help="Table such as lab.csv, registered task such as QED, several tasks, or a run "
            "file (YAML).",
            autocompletion=complete_task,
        ),
    ],
    target: Targets = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone: registered name, folder, GGUF file or Hub id.", show_default="nano"
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Table of rows, such as molecules.csv (csv, tsv, parquet, jsonl, or a format of "
            "a plugin).",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Registered dataset; with --data, the dataset that reads the file."),
    ] = None,
    domain_data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG=FILE",
            help="Unlabeled rows for stage 1, such as SMILES=library.smi.",
        ),
    ] = None,
    column: Columns = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of sample weights: what each training row counts, 0 or above.",
            show_default="all count the same",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Registered splitter, such as scaffold or random, or cv: a cross-validation whose "
            "folds are made by the task's own.",
            show_default="the task's own",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Cross-validate: each fold is the test split once; related rows stay in one fold.",
            show_default="5 with --split cv",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(help="Number of cross-validations, each with other folds.", show_default="1"),
    ] = None,
    fractions: Annotated[
        str | None,
        typer.Option(
            metavar="TRAIN,VALID,TEST",
            help="Shares of the splits, such as 0.7,0.1,0.2.",
            show_default="the splitter's own",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Set of defaults: default, quick or paper.", show_default="default"),
    ] = None,
    on_error: Annotated[
        str | None,
        typer.Option(
            metavar="raise|skip",
            help="How to handle invalid rows: raise stops at the first, skip skips and lists them.",
            show_default="raise",
        ),
    ] = None,
    fix: Annotated[
        bool | None,
        typer.Option(
            "--fix", help="Fix invalid rows by the rules of their domains; list each in fixed.csv."
        ),
    ] = None,
    on_long: Annotated[
        str | None,
        typer.Option(
            metavar="error|skip",
            help="How to handle rows too long for the backbone: error treats them as invalid, skip "
            "skips and lists them.",
            show_default="error",
        ),
    ] = None,
    on_doubt: Annotated[
        str | None,
        typer.Option(
            metavar="raise|warn",
            help="How to handle a file that looks like another kind of data, such as DNA for a "
            "protein: raise stops, warn continues.",
            show_default="raise",
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="auto|off|SIZE",
            help="Memory limit for cached prompt segments: auto, off or a size such as 2GB. Append "
            "+disk to spill to disk.",
            show_default="auto",
        ),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="default|all|none|NAMES",
            help="Baselines to fit and score beside the run, such as mean,ridge; all adds those "
            "that take long.",
            show_default="default",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device: cpu, cuda, cuda:1 or auto.", show_default="auto")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder to write.", show_default="runs/TASK")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.", show_default="0")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Random seeds of several runs, such as 0,1,2, with mean and deviation.",
        ),
    ] = None,
    refit: Annotated[
        bool | None,
        typer.Option("--refit", help="After the evaluation, train the kept predictor on all rows."),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Time that the run plans its steps by, such as 10m or 1.5h; the evaluation "
            "always happens.",
            show_default="as many steps as set",
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting, such as stages.task.epochs=4; may be repeated.",
        ),
    ] = None,
    save_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the run file that the command amounts to, such as task.yaml.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained, without training.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json.")] = False,
    verbose: Verbose = False,
) -> None:
    """Train a predictor from a table or for a task, and evaluate it.

    Examples: `taglm run lab.csv --target "LogS (mol/L)"`;
    `taglm run QED`; `taglm run QED --data molecules.csv --column smiles=Structure`;
    `taglm run esol.yaml --set stages.task.epochs=10 --out runs/long`.
    """
    from taglm_core.api.preparation import prepare_run
    from taglm_core.cli.asking import person_at_terminal
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import parse_pairs, print_note
    from taglm_core.progress import reporting
    from taglm_core.training.settings import parse_overrides

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
    progress = BarProgress(verbose)
    with reporting(progress):
        prepared = prepare_run(
            task,
            data,
            target=target,
            out=out,
            settings=settings,
            source="taglm run",
            ask=person_at_terminal(),
        )
    _warn(prepared.registry.failures)
    if save_config is not None:
        prepared.save_config(save_config)
        print_note(f"wrote {save_config}; `taglm run {save_config}` repeats this run")
    if dry_run:
        _show_stages(prepared.plans(progress), progress)
        return
    on_plans = (lambda plans: _show_stages(plans, progress)) if verbose else None
    try:
        metrics = prepared.execute(progress, on_plans)
    except KeyboardInterrupt as stop:
        progress.finish()
        print_note(f"{str(stop) or 'Stopped.'} Run the same command to continue.")
        raise typer.Exit(130) from stop
    _print(metrics, prepared.folder.path, as_json)


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


def _show_stages(plans: Any, progress: Any) -> None:
    from taglm_core.cli.screen import print_table

    records = [record for plan in plans for record in plan.table()]
    distinct = list(dict.fromkeys(tuple(record.values()) for record in records))
    print_table(["stage", "tag", "state", "parameters"], [list(row) for row in distinct])
    trained = sum(row[-1] for row in distinct if row[2] == "trained")
    lora = plans[0].lora_parameters()
    beside = f" (LoRA of rank 8 on q and v would train {lora:,})" if lora else ""
    progress.detail(f"{trained:,} parameters are trained{beside}")
    progress.detail(f"precision {plans[0].measured.line()}")


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
        errors.print(f"WARNING: {warning}", markup=False, style="bold red")
