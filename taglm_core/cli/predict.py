"""`taglm predict`: predictions for a file, every input row kept in order."""

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


def predict(
    run: Annotated[Path, typer.Argument(help="A finished run or an artefact folder.")],
    input_file: Annotated[Path, typer.Option("--input", "-i", help="Table to predict.")],
    output_file: Annotated[Path, typer.Option("--output", "-o", help="Table to write.")],
    task: Annotated[str | None, typer.Option(help="Which task of a run with several.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=COLUMN", help="Which column holds a field."),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Another copy of the same backbone.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    precision: Annotated[
        str | None,
        typer.Option(metavar="fp32|bf16", help="Arithmetic of the backbone; default: as trained."),
    ] = None,
    cache: Annotated[
        str,
        typer.Option(
            metavar="auto|off|SIZE", help="Room for what rows share; auto+disk adds a file."
        ),
    ] = "auto",
    on_error: Annotated[
        str,
        typer.Option(
            metavar="raise|keep", help="A bad row ends the command, or is kept with its error."
        ),
    ] = "keep",
    fix: Annotated[
        bool, typer.Option("--fix", help="Fix bad rows by the domains' rules before predicting.")
    ] = False,
    overwrite_column: Annotated[
        bool, typer.Option("--overwrite-column", help="Replace input columns of the same name.")
    ] = False,
    chunk_rows: Annotated[int, typer.Option(help="Rows held in memory at a time.", min=1)] = 20_000,
    on_doubt: OnDoubt = "raise",
    tag: Tags = None,
    decode: How = None,
    beams: Beams = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    decode_seed: DecodeSeed = None,
    max_new_tokens: MaxNewTokens = None,
) -> None:
    """Predict every row of a file.

    The output holds all input columns, the predictions, and a column `error`.
    Formats by extension: csv, tsv, jsonl (also with .gz), parquet; for input those of plugins too.
    """
    from taglm_core.api.loading import load
    from taglm_core.cli.screen import BarProgress, errors, parse_pairs
    from taglm_core.inference.files import check_target_format

    handling = error_handling(on_error)
    check_target_format(output_file)
    columns = parse_pairs(column or [], "--column")
    decoding = given_decoding(decode, beams, temperature, top_p, decode_seed, max_new_tokens)
    predictor = load(
        run,
        backbone,
        device,
        precision=precision,
        task=task,
        cache=cache,
        tags=tag or (),
        decode=decoding,
        on_doubt=on_doubt,
    )
    progress = BarProgress()
    if predictor.task_model.reuse is not None:
        predictor.task_model.reuse.on_plan = progress.say
    written = predictor.predict(
        input_file,
        output_file,
        columns=columns,
        fix=fix,
        on_error=handling,
        overwrite=overwrite_column,
        chunk_rows=chunk_rows,
        progress=progress,
    )
    errors.print(str(written), markup=False)
