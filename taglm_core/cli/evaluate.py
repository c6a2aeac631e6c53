"""`taglm evaluate`: the results of a run, or of its artefact on another labelled file."""

from pathlib import Path
from typing import Annotated

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
    tag: Tags = None,
    decode: How = None,
    beams: Beams = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    decode_seed: DecodeSeed = None,
    max_new_tokens: MaxNewTokens = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend bad rows by the domains' rules before scoring.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show results, or score a labelled file.

    Where columns name the tags, results are also given for each combination of tags, those that
    training never saw marked. A file with one column for each tag is spread into all of them.
    """
    from taglm_core.cli.groups import print_groups
    from taglm_core.cli.screen import BarProgress, errors, pairs, print_json, print_metrics
    from taglm_core.data.writers import TableWriter
    from taglm_core.errors import CheckpointError
    from taglm_core.inference.evaluate import evaluate_file
    from taglm_core.inference.further import add_tags
    from taglm_core.inference.predictor import load_predictor
    from taglm_core.plugins import load_registry
    from taglm_core.store.artefact import find_artefact, load_artefact
    from taglm_core.store.runfolder import RunFolder
    from taglm_core.store.tagstore import TagStore

    if input_file is None:
        found = RunFolder(run).metrics
        if found is None:
            raise CheckpointError(
                f"{run}: holds no results (metrics.json is missing). Finish the run, or score its "
                "artefact on a labelled file with --input FILE."
            )
    else:
        writer = TableWriter(output_file) if output_file is not None else None
        registry = load_registry()
        artefact = load_artefact(find_artefact(run, task))
        predictor = load_predictor(artefact, registry, backbone, device)
        add_tags(predictor, tag or [], registry, TagStore())
        set_decoding(predictor, decode, beams, temperature, top_p, decode_seed, max_new_tokens)
        progress = BarProgress()
        progress.start("predicting", None)
        mapping = pairs(column or [], "--column")
        scored = evaluate_file(
            predictor, input_file, mapping, on_error, mend, limit, progress.advance
        )
        progress.finish()
        found, left_out = scored.metrics, scored.left_out
        if writer is not None:
            with writer:
                writer.write(scored.columns)
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
        print_groups(found)
