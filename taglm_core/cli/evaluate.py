"""`taglm evaluate`: the results of a run, or of its artefact on another labelled file."""

from pathlib import Path
from typing import Annotated

import typer

from taglm_core.cli.decode import (
    Beams,
    DecodeSeed,
    How,
    MaxNewTokens,
    OnDoubt,
    Tags,
    Temperature,
    TopP,
    error_handling,
    given_decoding,
)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run or an artefact folder.")],
    input_file: Annotated[
        Path | None,
        typer.Option("--input", "-i", help="Labelled table; without it the run's own results."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which task of a run with several.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="Which column holds a field or a target."),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Another copy of the same backbone.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    precision: Annotated[
        str | None,
        typer.Option(metavar="fp32|bf16", help="Arithmetic of the backbone; default: as trained."),
    ] = None,
    on_error: Annotated[
        str, typer.Option(metavar="raise|keep", help="A bad row ends the command, or is left out.")
    ] = "raise",
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Table to write the scored rows and predictions to."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Most rows of the file, its first ones.", min=1)
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            metavar="auto|computed|measured",
            help="Target of a task that computes it: computed, or measured in a column.",
        ),
    ] = "auto",
    on_doubt: OnDoubt = "raise",
    tag: Tags = None,
    decode: How = None,
    beams: Beams = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    decode_seed: DecodeSeed = None,
    max_new_tokens: MaxNewTokens = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Fix bad rows by the domains' rules before scoring.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show results, or score a labelled file.

    Where columns name the tags, results are also given for each combination of tags, those that
    training never saw marked. A file with one column for each tag is spread into all of them.
    """
    from taglm_core.api.evaluation import evaluate as score
    from taglm_core.cli.groups import print_groups
    from taglm_core.cli.screen import BarProgress, errors, parse_pairs, print_json, print_metrics
    from taglm_core.data.writers import TableWriter

    writer = TableWriter(output_file) if output_file is not None and input_file else None
    found = score(
        run,
        input_file,
        columns=parse_pairs(column or [], "--column"),
        fix=fix,
        on_error=error_handling(on_error),
        limit=limit,
        labels=labels,
        progress=BarProgress(),
        task=task,
        backbone=backbone,
        device=device,
        precision=precision,
        tags=tag or (),
        decode=given_decoding(decode, beams, temperature, top_p, decode_seed, max_new_tokens),
        on_doubt=on_doubt,
    )
    if writer is not None:
        with writer:
            writer.write(found.columns)
    if found.skipped:
        row, reason = found.skipped[0]
        errors.print(
            f"{len(found.skipped)} rows left out, the first is row {row}: {reason}", markup=False
        )
    if as_json:
        print_json(found.metrics)
    else:
        print_metrics(found.metrics)
        print_groups(found.metrics)
