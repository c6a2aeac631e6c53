"""`taglm run`: train what a task needs, evaluate it, write the run folder."""

from pathlib import Path
from typing import Annotated, Any

import typer


def run(
    task: Annotated[str, typer.Argument(help="A registered task, or a run file (YAML).")],
    backbone: Annotated[
        str | None, typer.Option(help="Registered name, folder or Hub id.", show_default="nano")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Rows: csv, tsv, parquet, jsonl or smi."),
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
    on_long: Annotated[
        str | None, typer.Option(metavar="error|keep", help="What a row too long does.")
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

    is_file = task.endswith((".yaml", ".yml"))
    base = read_run_file(task) if is_file else {"task": {"name": task}}
    flags: dict[str, Any] = {
        "backbone": backbone,
        "seed": seed,
        "preset": preset,
        "data": _given(
            file=data,
            dataset=dataset,
            domain=pairs(domain_data or [], "--domain-data") or None,
            columns=pairs(column or [], "--column") or None,
            split={"name": split, "column": None, "file": None} if split else None,
            on_error=on_error,
            on_long=on_long,
        )
        or None,
    }
    config: RunConfig = run_config(
        task if is_file else "taglm run", base, _given(**flags), parse_overrides(setting or [])
    )
    registry = load_registry()
    _warn(registry)
    folder = RunFolder(out or Path("runs") / config.task.name)
    progress = BarProgress()
    if dry_run:
        _show_plan(config, registry, TagStore(), progress)
        return
    _execute(config, registry, folder, TagStore(), progress, as_json)


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _warn(registry: Any) -> None:
    from taglm_core.cli.screen import errors

    for failure in registry.failures:
        errors.print(f"warning: {failure}", markup=False)


def _show_plan(config: Any, registry: Any, store: Any, progress: Any) -> Any:
    from taglm_core.cli.screen import print_table
    from taglm_core.training.plan import make_plan

    progress.say("reading data and backbone")
    plan = make_plan(config, registry, store)
    counts = {part: plan.rows.parts.count(part) for part in ("train", "valid", "test")}
    shown = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    left_out = f", {len(plan.rows.rejected)} left out" if plan.rows.rejected else ""
    progress.say(f"{plan.rows.source}: {shown} rows by {plan.rows.rule}{left_out}")
    most = config.stages.task.rows
    if most is not None and most < counts["train"]:
        progress.say(
            f"{most:,} of the {counts['train']:,} training rows will be used; "
            "--set stages.task.rows=null takes all"
        )
    rows = [list(record.values()) for record in plan.table()]
    print_table(["stage", "tag", "state", "parameters"], rows)
    trained = sum(r["parameters"] for r in plan.table() if r["state"] == "trained")
    lora = plan.lora_parameters()
    beside = f" (LoRA of rank 8 on q and v would train {lora:,})" if lora else ""
    progress.say(f"{trained:,} parameters are trained{beside}")
    return plan


def _execute(
    config: Any, registry: Any, folder: Any, store: Any, progress: Any, as_json: bool
) -> None:
    from taglm_core.cli.groups import print_groups
    from taglm_core.cli.screen import print_json, print_metrics, results
    from taglm_core.training.run import execute, fingerprint_files, resolved

    existed = folder.path.exists()
    metrics = None
    folder.open(resolved(config, fingerprint_files(config)))
    try:
        metrics = folder.metrics
        if metrics is None:
            plan = _show_plan(config, registry, store, progress)
            metrics = execute(plan, folder, store, progress)
        else:
            progress.say(f"{folder.path} holds the finished run of these settings")
    finally:
        folder.close(discard=metrics is None and not existed)
    _warn(registry)
    if as_json:
        print_json(metrics)
        return
    print_metrics(metrics)
    print_groups(metrics)
    results.print(f"\nrun: {folder.path}", markup=False)
