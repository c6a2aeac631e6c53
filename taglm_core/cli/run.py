"""`taglm run`: train what a task needs, evaluate it, write the run folder."""

from pathlib import Path
from typing import Annotated, Any

import typer


def run(
    task: Annotated[
        list[str],
        typer.Argument(help="A registered task, several of them, or a run file (YAML)."),
    ],
    backbone: Annotated[
        str | None, typer.Option(help="Registered name, folder or Hub id.", show_default="nano")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Rows: csv, tsv, parquet, jsonl, smi or fasta."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Registered dataset; with --data the one that reads the file."),
    ] = None,
    domain_data: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG=FILE", help="Unlabelled rows for stage 1 of a domain tag."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=COLUMN", help="Which column holds a field."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Registered split, such as scaffold or random.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="default, paper or quick.")] = None,
    on_error: Annotated[
        str | None, typer.Option(metavar="raise|keep", help="What a bad row does.")
    ] = None,
    mend: Annotated[
        bool | None,
        typer.Option("--mend", help="Mend bad rows by the domains' rules; each one is reported."),
    ] = None,
    on_long: Annotated[
        str | None, typer.Option(metavar="error|keep", help="What a row too long does.")
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="auto|off|SIZE",
            help="Room for what rows share; auto+disk adds a file.",
            show_default="auto",
        ),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="all|none|NAMES",
            help="Baselines to score beside the run, such as mean,ridge.",
            show_default="all",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="runs/TASK")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting, such as stages.task.epochs=4."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the stages and stop before training.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json.")] = False,
) -> None:
    """Train what a task needs, evaluate it, write a predictor.

    Examples: `taglm run QED`; `taglm run QED --data molecules.csv --column smiles=Structure`;
    `taglm run esol.yaml --set stages.task.epochs=10 --out runs/long`.
    """
    from taglm_core.cli.screen import BarProgress, pairs
    from taglm_core.plugins import load_registry
    from taglm_core.store.runfolder import RunFolder
    from taglm_core.store.tagstore import TagStore
    from taglm_core.training.config import RunConfig
    from taglm_core.training.settings import parse_overrides, read_run_file, run_config

    is_file = task[0].endswith((".yaml", ".yml"))
    base = _named(task) if not is_file or len(task) > 1 else read_run_file(task[0])
    flags: dict[str, Any] = {
        "backbone": backbone,
        "seed": seed,
        "preset": preset,
        "baselines": baselines,
        "data": _given(
            file=data,
            dataset=dataset,
            domain=pairs(domain_data or [], "--domain-data") or None,
            columns=pairs(column or [], "--column") or None,
            split={"name": split, "column": None, "file": None} if split else None,
            on_error=on_error,
            on_long=on_long,
            mend=mend,
        )
        or None,
        "stages": {"task": {"cache": cache}} if cache is not None else None,
    }
    overrides = parse_overrides(setting or [])
    registry = load_registry()
    config: RunConfig = run_config(
        task[0] if is_file else "taglm run", base, _given(**flags), overrides, registry=registry
    )
    _warn(registry.failures)
    folder = RunFolder(out or Path("runs") / config.name)
    progress = BarProgress()
    if dry_run:
        _show_plans(config, registry, TagStore(), progress)
        return
    _execute(config, registry, folder, TagStore(), progress, as_json)


def _named(tasks: list[str]) -> dict[str, Any]:
    from taglm_core.errors import ConfigError

    files = [name for name in tasks if name.endswith((".yaml", ".yml"))]
    if files:
        raise ConfigError(
            f"{files[0]}: a run file stands alone; its key 'tasks' takes a list of tasks."
        )
    return {"task": {"name": tasks[0]}} if len(tasks) == 1 else {"tasks": tasks}


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _warn(failures: Any) -> None:
    from taglm_core.cli.screen import errors

    for failure in failures:
        errors.print(f"warning: {failure}", markup=False)


def _show_plans(config: Any, registry: Any, store: Any, progress: Any) -> Any:
    from taglm_core.cli.screen import print_table
    from taglm_core.training.plan import make_plans

    progress.say("reading data and backbone")
    plans = make_plans(config, registry, store)
    for plan in plans:
        _show_rows(plan, progress)
    records = [record for plan in plans for record in plan.table()]
    distinct = list(dict.fromkeys(tuple(record.values()) for record in records))
    print_table(["stage", "tag", "state", "parameters"], [list(row) for row in distinct])
    trained = sum(row[-1] for row in distinct if row[2] == "trained")
    lora = plans[0].lora_parameters()
    beside = f" (LoRA of rank 8 on q and v would train {lora:,})" if lora else ""
    progress.say(f"{trained:,} parameters are trained{beside}")
    return plans


def _show_rows(plan: Any, progress: Any) -> None:
    counts = {part: plan.rows.parts.count(part) for part in ("train", "valid", "test")}
    shown = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    left_out = f", {len(plan.rows.rejected)} left out" if plan.rows.rejected else ""
    progress.say(f"{plan.rows.source}: {shown} rows by {plan.rows.rule}{left_out}")
    most = plan.config.stages.task.rows
    if most is not None and most < counts["train"]:
        progress.say(
            f"{most:,} of the {counts['train']:,} training rows will be used; "
            "--set stages.task.rows=null takes all"
        )


def _execute(
    config: Any, registry: Any, folder: Any, store: Any, progress: Any, as_json: bool
) -> None:
    from taglm_core.cli.groups import print_groups
    from taglm_core.cli.screen import print_json, print_metrics, results
    from taglm_core.training.config import RunConfig
    from taglm_core.training.run import execute, fingerprint_files, resolved

    existed, num_failures = folder.path.exists(), len(registry.failures)
    metrics = None
    folder.open(resolved(config, fingerprint_files(config)), RunConfig)
    try:
        metrics = folder.metrics
        if metrics is None:
            plans = _show_plans(config, registry, store, progress)
            metrics = execute(plans, folder, store, progress)
        else:
            progress.say(f"{folder.path} holds the finished run of these settings")
    finally:
        folder.close(discard=metrics is None and not existed)
    _warn(registry.failures[num_failures:])  # what event hooks did wrong during the run
    if as_json:
        print_json(metrics)
        return
    print_metrics(metrics)
    print_groups(metrics)
    results.print(f"\nrun: {folder.path}", markup=False)
