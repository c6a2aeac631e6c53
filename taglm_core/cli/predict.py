"""`taglm predict`: predictions for a file, every input row kept in order."""

from pathlib import Path
from typing import Annotated

import typer

from taglm_core.cli.completion import complete_run
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
from taglm_core.cli.options import Columns, Device, OtherBackbone, Precision, Verbose


def predict(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder of a finished run or of a predictor.", autocompletion=complete_run
        ),
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VALUE...|FILE|-",
            help='Values, such as "CCO" "c1ccccc1O"; or FIELD=VALUE for each of several fields; or '
            "one table; or - for standard input.",
        ),
    ] = None,
    input_file: Annotated[
        str | None, typer.Option("--input", "-i", help="Table of rows to predict, or -.")
    ] = None,
    output_file: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Table to write: all input columns, predictions, and a column error.",
            show_default="standard output",
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            help="Format of standard input and output, such as csv, tsv or jsonl.",
        ),
    ] = "csv",
    task: Annotated[
        str | None, typer.Option(help="Task to use, for a run with several tasks.")
    ] = None,
    column: Columns = None,
    backbone: OtherBackbone = None,
    device: Device = "auto",
    precision: Precision = None,
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
    verbose: Verbose = False,
) -> None:
    """Predict values, or every row of a table.

    The output holds all input columns, the predictions (six significant digits), and a column
    `error`. If the input holds the truth, residuals (truth minus prediction) and the split that
    each row had in the run are added. The extension names the format: csv, tsv, jsonl (also with
    .gz), parquet or xlsx; input may also have a format of a plugin.
    """
    from taglm_core.api.loading import load
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import errors, parse_pairs
    from taglm_core.cli.streams import chosen_input, named_rows, opened_input, opened_output
    from taglm_core.data.columns import check_on_error

    check_on_error(on_error, "--on-error")
    source = chosen_input(values or [], input_file)
    columns = parse_pairs(column or [], "--column")
    decoding = given_decoding(decode, beams, temperature, top_p, decode_seed, max_new_tokens)
    is_list = isinstance(source, list)
    with opened_input(source, format) as data, opened_output(output_file, format, is_list) as out:
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
        progress = BarProgress(verbose)
        if predictor.task_model.prefix_cache is not None:
            predictor.task_model.prefix_cache.on_plan = progress.detail
        written = predictor.predict(
            named_rows(data, predictor.fields, predictor.task.name) if is_list else data,
            out.path,
            columns=columns,
            fix=fix,
            on_error=on_error,
            overwrite=overwrite_column,
            chunk_rows=chunk_rows,
            progress=progress,
        )
    if not is_list or output_file:
        errors.print(str(out.named(written)), markup=False)
