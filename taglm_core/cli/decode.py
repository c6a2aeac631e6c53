"""Options of the commands that write texts: how to decode, and further tags of a recombination."""

from typing import Annotated, Any

import typer

How = Annotated[
    str | None,
    typer.Option("--decode", metavar="greedy|beam|sample", help="How a text task writes."),
]
Beams = Annotated[int | None, typer.Option(help="Hypotheses of beam search.")]
Temperature = Annotated[float | None, typer.Option(help="Of sampling; below 1 sharper.")]
TopP = Annotated[
    float | None, typer.Option("--top-p", help="Share of probability that sampling keeps.")
]
DecodeSeed = Annotated[int | None, typer.Option("--decode-seed", help="Seed of sampling.")]
MaxNewTokens = Annotated[
    int | None, typer.Option("--max-new-tokens", help="Longest text in tokens.")
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TAG[=FOLDER]",
        help="A domain tag that the artefact lacks: the newest of the store, or of a folder.",
    ),
]


def set_decoding(
    predictor: Any,
    how: str | None,
    beams: int | None,
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
    max_new_tokens: int | None,
) -> None:
    """Lay the options that were given over what the run remembers.

    Raises:
        ConfigError: for a wrong value, or when the task writes no text.
    """
    import attrs

    from taglm_core.errors import ConfigError

    given = {
        "how": how,
        "beams": beams,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "max_new_tokens": max_new_tokens,
    }
    given = {name: value for name, value in given.items() if value is not None}
    task_model = predictor.task_model
    if given and task_model.task.is_numeric:
        raise ConfigError(f"task {task_model.task.name} writes no text, so nothing is decoded.")
    task_model.decoding = attrs.evolve(task_model.decoding, **given)
