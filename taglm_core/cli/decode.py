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
OnDoubt = Annotated[
    str,
    typer.Option(
        "--on-doubt",
        metavar="raise|warn",
        help="How to handle a file that looks like another kind of data, such as DNA for a "
        "protein: raise stops, warn predicts it.",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TAG[=FOLDER]",
        help="A domain tag that the artefact lacks: the newest of the store, or of a folder.",
    ),
]


def given_decoding(
    how: str | None,
    beams: int | None,
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
    max_new_tokens: int | None,
) -> dict[str, Any]:
    """Return the options that were given, as keys of the settings `decode`."""
    given = {
        "how": how,
        "beams": beams,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "max_new_tokens": max_new_tokens,
    }
    return {name: value for name, value in given.items() if value is not None}


def error_handling(word: str) -> str:
    """Return what `--on-error` asks for, as the API names it.

    Raises:
        ConfigError: for another word.
    """
    from taglm_core.errors import ConfigError

    if word not in ("raise", "keep"):
        raise ConfigError(f"--on-error {word}: write raise or keep.")
    return "skip" if word == "keep" else word
