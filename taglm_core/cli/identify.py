"""`taglm identify`: which of the trained domains a text is of, or none of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from taglm_core.cli.options import AsJson, Backbone, Device
from taglm_core.errors import counted

Texts = Annotated[list[str] | None, typer.Argument(help="Texts to identify, such as CCO.")]
Input = Annotated[Path | None, typer.Option("--input", "-i", help="Table of texts to identify.")]
Column = Annotated[str, typer.Option(help="Column that holds the texts.")]
Label = Annotated[
    str | None, typer.Option(help="Column that holds the true domain, to score the results.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Table to write: one result for each text."),
]
Domains = Annotated[
    str | None,
    typer.Option(help="Domains to choose from, such as SMILES,Protein.", show_default="all"),
]
Calibrate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DOMAIN=FILE",
        help="Table of validation rows; default: held-out rows of the corpus.",
    ),
]


def identify(
    texts: Texts = None,
    input_file: Input = None,
    column: Column = "text",
    label: Label = None,
    output_file: Output = None,
    domains: Domains = None,
    calibrate: Calibrate = None,
    backbone: Backbone = "nano",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Rank the trained domain tags by the likelihood that they give to a text.

    Margin and limits are calibrated on validation rows. The result is "none of these" if no domain
    fits the text, "unsure" if two domains fit it about equally well, and "empty text" of a
    missing one.
    """
    from taglm_core.api.identification import identify as rank
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import parse_pairs, print_json
    from taglm_core.data.formats import is_table_file
    from taglm_core.data.writers import TableWriter
    from taglm_core.errors import ConfigError

    if bool(texts) == (input_file is not None):
        raise ConfigError("give texts on the command line, or a table with --input FILE.")
    for text in texts or ():
        is_path = is_table_file(text) and not any(c.isspace() for c in text)
        if is_path or (Path(text).suffix and os.path.isfile(text)):
            raise ConfigError(f"'{text}' is the name of a file, not a text: --input {text}")
    given = "--label" if label is not None else "--column" if column != "text" else None
    if texts and given is not None:
        raise ConfigError(f"{given} names a column of a table. Give the table with --input.")
    writer = TableWriter(output_file, reads=[input_file]) if output_file is not None else None
    identification = rank(
        texts or input_file,
        column=column,
        label=label,
        domains=domains.split(",") if domains is not None else None,
        calibrate=parse_pairs(calibrate or [], "--calibrate"),
        backbone=backbone,
        device=device,
        progress=BarProgress(),
    )
    if writer is not None:
        with writer:
            writer.write(identification.columns)
    if as_json:
        print_json(identification.report)
    else:
        _print(identification.report, output_file)


def _print(report: Mapping[str, Any], out: Path | None) -> None:
    from taglm_core.cli.screen import print_table, results

    shown = []
    for row in report["rows"][:50]:
        first, *rest = row["ranking"]
        second = rest[0] if rest else {"domain": "", "bits_per_byte": None}
        text = row["text"] if len(row["text"]) <= 50 else row["text"][:47] + "..."
        shown.append(
            [
                text,
                row["domain"],
                first["domain"],
                first["bits_per_byte"],
                second["domain"],
                second["bits_per_byte"],
            ]
        )
    print_table(["text", "verdict", "best", "bits/byte", "second", "bits/byte"], shown)
    if len(report["rows"]) > len(shown):
        results.print(f"and {len(report['rows']) - len(shown):,} more", markup=False)
    calibration = report["calibration"]
    domains = counted(len(report["domains"]), "domain")
    results.print(
        f"calibrated on {counted(calibration['rows'], 'held-out row')} of {domains}: "
        f"margin {calibration['margin']:.3g} bits, best domain right for "
        f"{calibration['accuracy']:.1%}, {calibration['accepted']:.1%} accepted"
        if calibration["rows"]
        else "not calibrated: no validation rows; give some with --calibrate DOMAIN=FILE",
        markup=False,
    )
    if "scored" in report:
        _print_scored(report["scored"])
    if out is not None:
        results.print(f"verdicts: {out}", markup=False)


def _print_scored(scored: Mapping[str, Any]) -> None:
    from taglm_core.cli.screen import results

    for key, words in (("of_domains", "rows of a domain"), ("of_none", "rows of no domain")):
        score = scored.get(key)
        if score is None:
            continue
        best = score.get("accuracy_of_best")
        results.print(
            f"{score['rows']:,} {words}: "
            + (f"likeliest domain right for {best:.1%}; " if best is not None else "")
            + f"accepted and right {score['accepted_and_right']:.1%}, accepted and wrong "
            f"{score['accepted_and_wrong']:.1%}, unsure {score['unsure']:.1%}, none of these "
            f"{score['none']:.1%}",
            markup=False,
        )
    for words, count in list(scored["wrong"].items())[:8]:
        results.print(f"  {count} {words}", markup=False)
