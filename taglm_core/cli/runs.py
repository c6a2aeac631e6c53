"""`taglm runs`: the runs in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from taglm_core.cli.completion import complete_run
from taglm_core.cli.options import AsJson

app = typer.Typer(help="Show and remove runs.", no_args_is_help=True)


@app.command("list")
def list_all(
    folder: Annotated[
        Path, typer.Argument(help="Folder that holds run folders.", show_default="runs")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder, the latest first, with the first metric on the test split."""
    from taglm_core.cli.screen import end_with, print_json, print_line, print_table
    from taglm_core.store.runlist import list_runs

    records, faults = list_runs(folder)
    if as_json:
        print_json(records)
    elif not records:
        print_line(f"The folder {folder} holds no runs yet; `taglm run` writes them.")
    else:
        print_table(list(records[0]), [list(record.values()) for record in records])
    end_with(faults)


@app.command("show")
def show(
    run: Annotated[
        Path,
        typer.Argument(help="Run folder, such as runs/QED.", autocompletion=complete_run),
    ],
) -> None:
    """Show the settings and the results of a run."""
    import yaml

    from taglm_core.api.runs import Run
    from taglm_core.cli.screen import print_line, print_metrics
    from taglm_core.data.atomic import read_mapping
    from taglm_core.errors import CheckpointError
    from taglm_core.store.artifact import nearest_run

    file = run / "run.yaml"
    if not file.is_file():
        raise CheckpointError(f"{run} is not a run folder (run.yaml is missing).{nearest_run(run)}")
    settings, metrics = read_mapping(file), Run(run).metrics
    print_line(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).rstrip())
    print_metrics(metrics)


@app.command("rm")
def remove(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, such as runs/QED.", autocompletion=complete_run),
    ],
) -> None:
    """Remove runs with their predictors. Tags in the tag store stay."""
    from taglm_core.cli.screen import print_line
    from taglm_core.store.runlist import remove_run

    for run in runs:
        remove_run(run)
        print_line(f"Removed {run}.")
