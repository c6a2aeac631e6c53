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
    given_decoding,
)


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run or of an artefact.")],
    input_file: Annotated[Path, typer.Option("--input", "-i", help="Table of rows to predict.")],
    output_file: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Table to write: all input columns, predictions, and a column error.",
        ),
    ],
    task: Annotated[
        str | None, typer.Option(help="Task to use, for a run with several tasks.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN", help="Column that holds a field, such as smiles=Structure."
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="Name, folder or Hub id of another copy of the same backbone."),
    ] = None,
    device: Annotated[str, typer.Option(help="Device: cpu, cuda, cuda:1 or auto.")] = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="fp32|bf16", help="Arithmetic of the backbone.", show_default="as trained"
        ),
    ] = None,
    cache: Annotated[
        str,
        typer.Option(
            metavar="auto|off|SIZE",
            help="Memory limit for cached prompt segments: auto, off or a size such as 2GB. Append "
            "+disk to spill to disk.",
        ),
    ] = "auto",
    on_error: Annotated[
        str,
        typer.Option(
            metavar="raise|skip",
            help="How to handle invalid rows: raise stops at the first, skip writes them with an "
            "error message.",
        ),
    ] = "skip",
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Fix invalid rows by the rules of their domains before predicting."
        ),
    ] = False,
    overwrite_column: Annotated[
        bool,
        typer.Option(
            "--overwrite-column",
            help="Let prediction columns replace input columns of the same name.",
        ),
    ] = False,
    chunk_rows: Annotated[
        int, typer.Option(help="Number of rows in memory at a time.", min=1)
    ] = 20_000,
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
    The extension names the format: csv, tsv, jsonl (also with .gz) or parquet; input may also
    have a format of a plugin.
    """
    from taglm_core.api.loading import load
    from taglm_core.cli.screen import BarProgress, errors, parse_pairs
    from taglm_core.data.columns import check_on_error
    from taglm_core.inference.files import check_target_format

    check_on_error(on_error, "--on-error")
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
    if predictor.task_model.prefix_cache is not None:
        predictor.task_model.prefix_cache.on_plan = progress.say
    written = predictor.predict(
        input_file,
        output_file,
        columns=columns,
        fix=fix,
        on_error=on_error,
        overwrite=overwrite_column,
        chunk_rows=chunk_rows,
        progress=progress,
    )
    errors.print(str(written), markup=False)
