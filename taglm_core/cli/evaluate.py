"""`taglm evaluate`: the results of a run, or of its artefact on another labelled file."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run or an artefact folder.")],
    input_file: Annotated[
        Path | None,
        typer.Option("--input", "-i", help="Labelled table; without it the run's own results."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="Which column holds a field or a target."),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Another copy of the same backbone.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    on_error: Annotated[
        str, typer.Option(metavar="raise|keep", help="A bad row ends the command, or is left out.")
    ] = "raise",
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend bad rows by the domains' rules before scoring.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show results, or score a labelled file."""
    from taglm_core.cli.screen import errors, pairs, print_json, print_metrics
    from taglm_core.errors import CheckpointError
    from taglm_core.inference.evaluate import evaluate_file
    from taglm_core.inference.predictor import load_predictor
    from taglm_core.plugins import load_registry
    from taglm_core.store.artefact import find_artefact, load_artefact
    from taglm_core.store.runfolder import RunFolder

    if input_file is None:
        found = RunFolder(run).metrics
        if found is None:
            raise CheckpointError(
                f"{run}: holds no results (metrics.json is missing). Finish the run, or score its "
                "artefact on a labelled file with --input FILE."
            )
    else:
        artefact = load_artefact(find_artefact(run))
        predictor = load_predictor(artefact, load_registry(), backbone, device)
        found, left_out = evaluate_file(
            predictor, input_file, pairs(column or [], "--column"), on_error, mend
        )
        if left_out:
            errors.print(
                f"{len(left_out)} rows left out, the first is row {left_out[0][0]}: "
                f"{left_out[0][1]}",
                markup=False,
            )
    if as_json:
        print_json(found)
    else:
        print_metrics(found)
