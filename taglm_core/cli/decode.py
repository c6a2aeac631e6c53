"""Options of the commands that write texts: how to decode, and additional domain tags."""

from typing import Annotated, Any

import typer

How = Annotated[
    str | None,
    typer.Option("--decode", metavar="greedy|beam|sample", help="Decoding method of a text task."),
]
Beams = Annotated[int | None, typer.Option(help="Number of hypotheses of beam search.")]
Temperature = Annotated[
    float | None,
    typer.Option(
        help="Sampling temperature; below 1 sharpens the distribution, above 1 flattens it."
    ),
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", help="Sampling: probability mass to draw from, such as 0.9."),
]
DecodeSeed = Annotated[int | None, typer.Option("--decode-seed", help="Random seed of sampling.")]
MaxNewTokens = Annotated[
    int | None, typer.Option("--max-new-tokens", help="Maximum length of the output in tokens.")
]
OnDoubt = Annotated[
    str,
    typer.Option(
        "--on-doubt",
        metavar="raise|warn",
        help="How to handle a file that looks like another kind of data, such as DNA for a "
        "protein: raise stops, warn continues.",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TAG[=FOLDER]",
        help="Additional domain tag, such as ES (newest in the tag store) or ES=runs/other.",
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
    options = {
        "how": how,
        "beams": beams,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "max_new_tokens": max_new_tokens,
    }
    return {name: value for name, value in options.items() if value is not None}
