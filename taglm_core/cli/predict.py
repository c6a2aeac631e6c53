"""`taglm predict`: predictions for a file, every input row kept in order."""

from collections.abc import Callable
from pathlib import Path
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
    Address,
    Cache,
    Columns,
    Device,
    EngineName,
    NumWorkers,
    OtherBackbone,
    Precision,
    RunOrPredictor,
    Sheet,
    TaskOfRun,
    Verbose,
)

if TYPE_CHECKING:
    from taglm_core.inference.files import Written
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
        help="Table to write: all input columns, predictions, and a column `error`.",
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
    typer.Option(
        "--fix",
        help="Fix invalid rows by the rules of their domains before predicting; a column `fixed` "
        "says what was changed.",
    ),
]
OverwriteColumn = Annotated[
    bool,
    typer.Option(
        "--overwrite-column",
        help="Let prediction columns replace input columns of the same name.",
    ),
]
ChunkRows = Annotated[
    int | None,
    typer.Option(
        help="Number of rows in memory at a time; on an engine, rows of a part.",
        show_default="20000; on an engine by the number of workers",
        min=1,
    ),
]
Similarity = Annotated[
    bool,
    typer.Option(
        "--similarity/--no-similarity",
        help="Add the similarity of each row to the training rows (columns "
        "training_similarity and unlike_training), where its domain has one.",
    ),
]
Interval = Annotated[
    float | None,
    typer.Option(
        metavar="LEVEL",
        help="Add prediction intervals of numbers (columns NAME_low and NAME_high) that contain "
        "this share of new values, such as 0.9.",
        show_default="no interval",
    ),
]


def predict(
    run: RunOrPredictor,
    values: Values = None,
    input_file: Input = None,
    sheet: Sheet = None,
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
    chunk_rows: ChunkRows = None,
    engine: EngineName = None,
    address: Address = None,
    workers: NumWorkers = None,
    similarity: Similarity = True,
    interval: Interval = None,
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
    from taglm_core.cli.streams import STANDARD, chosen_input
    from taglm_core.data.columns import check_on_error
    from taglm_core.data.formats import writable_format
    from taglm_core.inference.engines import check_needs_engine

    check_on_error(on_error, "--on-error")
    source = chosen_input(values or [], input_file)
    if source != STANDARD and output_file in (None, STANDARD):
        writable_format(Path("standard output"), format)
    check_needs_engine(engine, address, workers)
    columns = parse_pairs(column or [], "--column")
    options: dict[str, Any] = {
        "backbone": backbone,
        "device": device,
        "precision": precision,
        "cache": cache,
        "tags": tag or (),
        "decode": given_decoding(decode, beams, temperature, top_p, decode_seed, max_new_tokens),
        "on_doubt": on_doubt,
    }
    how: dict[str, Any] = {
        "columns": columns,
        "fix": fix,
        "on_error": on_error,
        "overwrite": overwrite_column,
        "similarity": similarity,
        "sheet": sheet,
        "interval": interval,
    }
    if engine is not None:
        place = (engine, address, workers)
        asked = {"run": run, "task": task, "options": options, "part_rows": chunk_rows}
        _write_on(place, source, output_file, format, verbose, asked, how)
        return
    opened = functools.partial(load, run, task=task, **options)
    how["chunk_rows"] = chunk_rows or 20_000
    _write(opened, source, output_file, format, verbose, how)


def _write_on(
    place: tuple[str, str | None, int | None],
    source: Any,
    output_file: str | None,
    format: str,
    verbose: bool,
    asked: dict[str, Any],
    how: dict[str, Any],
) -> None:
    """Predict a table in parts on an engine.

    Args:
        place: Name of the engine, its address, number of workers.
        source: A path, or standard input.
        output_file: None: standard output.
        format: Of standard input and output.
        verbose: Whether technical lines are shown.
        asked: Fields of the request.
        how: How a part is predicted.
    """
    from taglm_core.api.parts import PartsRequest, predict_in_parts
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import errors
    from taglm_core.cli.streams import opened_input, opened_output
    from taglm_core.errors import ConfigError
    from taglm_core.inference.engines import opened_engine
    from taglm_core.inference.files import PartOptions
    from taglm_core.plugins import load_registry

    if isinstance(source, list):
        raise ConfigError(
            f"--engine {place[0]} predicts a table. Name a file, or leave --engine out."
        )
    name, address, workers = place
    with (
        opened_input(source, format) as data,
        opened_output(output_file, format, is_list=False) as out,
        opened_engine(name, load_registry(), address, workers) as opened,
    ):
        assert opened is not None, "an engine is named"
        request = PartsRequest(**asked, source=Path(data), output=out.path, how=PartOptions(**how))
        written = predict_in_parts(opened, request, BarProgress(verbose))
    errors.print(str(out.named(written)), markup=False)
    _check_useful(written)


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
    _check_useful(written)


def _check_useful(written: "Written") -> None:
    """End with an error where no row could be predicted.

    Raises:
        DataError: naming the first row; what was written says so of each.
    """
    from taglm_core.errors import DataError

    if written.is_useless:
        raise DataError(f"no row could be predicted; the first is {written.first_error}")
