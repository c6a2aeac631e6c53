"""`taglm predict`: predictions for a file, every input row kept in order."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

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
from taglm_core.cli.options import (
    Cache,
    Columns,
    Device,
    OtherBackbone,
    Precision,
    RunOrPredictor,
    TaskOfRun,
    Verbose,
)

if TYPE_CHECKING:
    from taglm_core.inference.predictor import Predictor


Values = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="VALUE...|FILE|-",
        help='Values, such as "CCO" "c1ccccc1O"; or FIELD=VALUE for each of several fields; or '
        "one table; or - for standard input.",
    ),
]
Input = Annotated[str | None, typer.Option("--input", "-i", help="Table of rows to predict, or -.")]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        help="Table to write: all input columns, predictions, and a column error.",
        show_default="standard output",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        help="Format of standard input and output, such as csv, tsv or jsonl.",
    ),
]
OnError = Annotated[
    str,
    typer.Option(
        metavar="raise|skip",
        help="How to handle invalid rows: raise stops at the first, skip writes them with an "
        "error message.",
    ),
]
Fix = Annotated[
    bool,
    typer.Option("--fix", help="Fix invalid rows by the rules of their domains before predicting."),
]
OverwriteColumn = Annotated[
    bool,
    typer.Option(
        "--overwrite-column",
        help="Let prediction columns replace input columns of the same name.",
    ),
]
ChunkRows = Annotated[int, typer.Option(help="Number of rows in memory at a time.", min=1)]
Similarity = Annotated[
    bool,
    typer.Option(
        "--similarity/--no-similarity",
        help="Add the similarity of each row to the training rows (columns "
        "training_similarity and unlike_training), where its domain has one.",
    ),
]


def predict(
    run: RunOrPredictor,
    values: Values = None,
    input_file: Input = None,
    output_file: Output = None,
    format: Format = "csv",
    task: TaskOfRun = None,
    column: Columns = None,
    backbone: OtherBackbone = None,
    device: Device = "auto",
    precision: Precision = None,
    cache: Cache = "auto",
    on_error: OnError = "skip",
    fix: Fix = False,
    overwrite_column: OverwriteColumn = False,
    chunk_rows: ChunkRows = 20_000,
    similarity: Similarity = True,
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

    The output holds all input columns, the predictions (six significant digits), the similarity of
    each row to the training rows, and a column `error`. If the input holds the truth, residuals
    (truth minus prediction) and the split that each row had in the run are added. The extension
    names the format: csv, tsv, jsonl (also with .gz), parquet or xlsx; input may also have a format
    of a plugin.
    """
    import functools

    from taglm_core.api.loading import load
    from taglm_core.cli.screen import parse_pairs
    from taglm_core.cli.streams import chosen_input
    from taglm_core.data.columns import check_on_error

    check_on_error(on_error, "--on-error")
    source = chosen_input(values or [], input_file)
    how = {
        "columns": parse_pairs(column or [], "--column"),
        "fix": fix,
        "on_error": on_error,
        "overwrite": overwrite_column,
        "chunk_rows": chunk_rows,
        "similarity": similarity,
    }
    opened = functools.partial(
        load,
        run,
        backbone,
        device,
        precision=precision,
        task=task,
        cache=cache,
        tags=tag or (),
        decode=given_decoding(decode, beams, temperature, top_p, decode_seed, max_new_tokens),
        on_doubt=on_doubt,
    )
    _write(opened, source, output_file, format, verbose, how)


def _write(
    opened: "Callable[[], Predictor]",
    source: Any,
    output_file: str | None,
    format: str,
    verbose: bool,
    how: dict[str, Any],
) -> None:
    """Predict the rows of a source, once its output can be written.

    Args:
        opened: Loads the predictor.
        source: Values of the command line, a path, or standard input.
        output_file: None: standard output.
        format: Of standard input and output.
        verbose: Whether technical lines are shown.
        how: Further arguments of `Predictor.predict`.
    """
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import errors
    from taglm_core.cli.streams import named_rows, opened_input, opened_output

    is_list = isinstance(source, list)
    with opened_input(source, format) as data, opened_output(output_file, format, is_list) as out:
        predictor = opened()
        progress = BarProgress(verbose)
        if predictor.task_model.prefix_cache is not None:
            predictor.task_model.prefix_cache.on_plan = progress.detail
        rows = named_rows(data, predictor.fields, predictor.task.name) if is_list else data
        written = predictor.predict(rows, out.path, progress=progress, **how)
    if not is_list or output_file:
        errors.print(str(out.named(written)), markup=False)
