"""`taglm evaluate`: the results of a run, or of its predictor on another labeled file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

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
    AsJson,
    Device,
    OtherBackbone,
    Precision,
    RunOrPredictor,
    TaskOfRun,
)
from taglm_core.errors import ConfigError, counted
from taglm_core.specs.decoding import OPTIONS

Input = Annotated[
    Path | None,
    typer.Option(
        "--input", "-i", help="Labeled table to score; default: show the results of the run."
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=COLUMN",
        help="Column that holds a field or a target, such as smiles=Structure.",
    ),
]
OnError = Annotated[
    str,
    typer.Option(
        metavar="raise|skip",
        help="How to handle invalid rows: raise stops at the first, skip skips them.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Table to write: the scored rows and their predictions."),
]
Limit = Annotated[
    int | None, typer.Option(help="Score only the first rows of the file, such as 1000.", min=1)
]
Labels = Annotated[
    str,
    typer.Option(
        metavar="auto|computed|measured",
        help="Target of a task that computes it: computed, or measured (read from a column).",
    ),
]
Fix = Annotated[
    bool,
    typer.Option("--fix", help="Fix invalid rows by the rules of their domains before scoring."),
]


def evaluate(
    run: RunOrPredictor,
    input_file: Input = None,
    task: TaskOfRun = None,
    column: Columns = None,
    backbone: OtherBackbone = None,
    device: Device = "auto",
    precision: Precision = None,
    on_error: OnError = "raise",
    output_file: Output = None,
    limit: Limit = None,
    labels: Labels = "auto",
    on_doubt: OnDoubt = "raise",
    tag: Tags = None,
    decode: How = None,
    beams: Beams = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    decode_seed: DecodeSeed = None,
    max_new_tokens: MaxNewTokens = None,
    fix: Fix = False,
    as_json: AsJson = False,
) -> None:
    """Show results, or score a labeled file.

    If columns name the tags, the results also list each combination of tags and mark those that
    were never trained. A file with one column for each tag is scored in all combinations.
    """
    from taglm_core.api.evaluation import evaluate as score
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import parse_pairs
    from taglm_core.data.columns import check_on_error
    from taglm_core.data.writers import TableWriter

    check_on_error(on_error, "--on-error")
    decoding = given_decoding(decode, beams, temperature, top_p, decode_seed, max_new_tokens)
    if input_file is None:
        _check_no_table(
            {
                "--column": column,
                "--output": output_file,
                "--limit": limit,
                "--fix": fix,
                "--tag": tag,
                "--labels": labels != "auto",
                "--on-error": on_error != "raise",
                **{OPTIONS[key]: True for key in decoding},
            }
        )
    writer = TableWriter(output_file, reads=[input_file]) if output_file is not None else None
    evaluation = score(
        run,
        input_file,
        columns=parse_pairs(column or [], "--column"),
        fix=fix,
        on_error=on_error,
        limit=limit,
        labels=labels,
        progress=BarProgress(),
        task=task,
        backbone=backbone,
        device=device,
        precision=precision,
        tags=tag or (),
        decode=decoding,
        on_doubt=on_doubt,
    )
    if writer is not None:
        with writer:
            writer.write(evaluation.columns)
    _print(evaluation, as_json)


def _check_no_table(options: Mapping[str, Any]) -> None:
    """Demand that no option is given that is about a table, where there is none.

    Raises:
        ConfigError: naming the option.
    """
    given = next((name for name, value in options.items() if value), None)
    if given is not None:
        raise ConfigError(f"{given} is for scoring a table. Name the table with --input.")


def _print(evaluation: Any, as_json: bool) -> None:
    from taglm_core.cli.groups import print_groups
    from taglm_core.cli.screen import errors, print_json, print_metrics

    if evaluation.skipped:
        row, reason = evaluation.skipped[0]
        errors.print(
            f"{counted(len(evaluation.skipped), 'row')} skipped, the first is row {row}: {reason}",
            markup=False,
        )
    if as_json:
        print_json(evaluation.metrics)
    else:
        print_metrics(evaluation.metrics)
        print_groups(evaluation.metrics)
