"""`taglm predict`: predictions for a file, every input row kept in order."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from taglm_core.cli.decode import (
    Beams,
    DecodeSeed,
    How,
    MaxNewTokens,
    Tags,
    Temperature,
    TopP,
    set_decoding,
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
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend bad rows by the domains' rules before predicting.")
    ] = False,
    overwrite_column: Annotated[
        bool, typer.Option("--overwrite-column", help="Replace input columns of the same name.")
    ] = False,
    chunk_rows: Annotated[int, typer.Option(help="Rows held in memory at a time.", min=1)] = 20_000,
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
    Formats by extension: csv, tsv, parquet, jsonl, also with .gz; smi and fasta for input.
    """
    from taglm_core.cli.screen import BarProgress, errors, pairs
    from taglm_core.data.readers import iter_tables
    from taglm_core.data.rows import raise_rows
    from taglm_core.data.table import file_format
    from taglm_core.data.writers import TableWriter
    from taglm_core.errors import ConfigError
    from taglm_core.inference.further import add_tags
    from taglm_core.inference.predictor import load_predictor
    from taglm_core.plugins import load_registry
    from taglm_core.store.artefact import find_artefact, load_artefact
    from taglm_core.store.tagstore import TagStore

    if on_error not in ("raise", "keep"):
        raise ConfigError(f"--on-error {on_error}: write raise or keep.")
    if (found_format := file_format(output_file).name) in ("smi", "fasta"):
        raise ConfigError(
            f"{output_file}: a {found_format} file has no columns to write to; write a .csv."
        )
    mapping = pairs(column or [], "--column")
    artefact = load_artefact(find_artefact(run, task))
    registry = load_registry()
    predictor = load_predictor(artefact, registry, backbone, device, cache)
    add_tags(predictor, tag or [], registry, TagStore())
    set_decoding(predictor, decode, beams, temperature, top_p, decode_seed, max_new_tokens)
    progress = BarProgress()
    if predictor.task_model.reuse is not None:
        predictor.task_model.reuse.on_plan = progress.say
    done = failed = 0
    first_error = ""
    with TableWriter(output_file) as writer:
        progress.start("predicting", None)
        for table in iter_tables(input_file, chunk_rows):
            _check_clash(list(table.columns), predictor.names, overwrite_column, input_file)
            found = predictor.predict(table, mapping, partial(_advance, progress, done), mend)
            bad = [(row, e) for row, e in zip(table.rows, found.errors, strict=True) if e]
            if bad and on_error == "raise":
                raise_rows(table.source, bad, table.num_rows, "Mend them, or use --on-error keep.")
            failed += len(bad)
            first_error = first_error or (f"row {bad[0][0]}: {bad[0][1]}" if bad else "")
            columns: dict[str, list[Any]] = {**table.columns, **found.columns}
            columns["error"] = [e or "" for e in found.errors]
            writer.write(columns)
            done += table.num_rows
        progress.finish()
    text = f"{done:,} rows written to {output_file}"
    if failed:
        text += f"; {failed:,} could not be predicted (column 'error'), the first is {first_error}"
    errors.print(text, markup=False)


def _advance(progress: Any, base: int, done: int) -> None:
    progress.advance(base + done)


def _check_clash(held: list[str], made: list[str], overwrite: bool, source: Path) -> None:
    from taglm_core.errors import DataError

    clash = [name for name in [*made, "error"] if name in held]
    if clash and not overwrite:
        raise DataError(
            f"{source}: already has the column '{clash[0]}', which the prediction would fill. "
            "Rename it, or replace it with --overwrite-column."
        )
