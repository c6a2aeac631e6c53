"""`taglm sample`: rows drawn from a domain tag, and how good they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from taglm_core.cli.options import AsJson, Backbone, Device, TaggedRun

Domain = Annotated[str, typer.Argument(help="Domain to draw from, such as SMILES.")]
Count = Annotated[int, typer.Option("-n", "--count", help="Number of rows to draw.", min=1)]
Out = Annotated[Path | None, typer.Option(help="Table to write, such as drawn.csv.")]
NoTag = Annotated[bool, typer.Option("--no-tag", help="Draw without the tag, for comparison.")]
Corpus = Annotated[
    Path | None,
    typer.Option(
        help="Table of known rows for novelty, such as train.csv.", show_default="the tag's corpus"
    ),
]
Metrics = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Additional metrics of the domain, such as moses.",
        show_default="none",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(help="Table of rows that --metrics compares with, such as test.csv."),
]
Condition = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Property to ask for, such as QED=0.9; may be repeated. Train it with `taglm "
        "condition`.",
    ),
]
Guidance = Annotated[
    float, typer.Option(help="Weight of a condition, such as 3; above 1 takes twice as long.")
]
Temperature = Annotated[
    float,
    typer.Option(
        help="Sampling temperature; below 1 sharpens the distribution, above 1 flattens it."
    ),
]
TopP = Annotated[float, typer.Option("--top-p", help="Probability mass to draw from, such as 0.9.")]
MaxLength = Annotated[int, typer.Option(help="Maximum number of symbols in a row.", min=1)]
Seed = Annotated[int, typer.Option(help="Random seed of the draws.")]


def sample(
    domain: Domain,
    count: Count = 100,
    out: Out = None,
    backbone: Backbone = "nano",
    from_run: TaggedRun = None,
    no_tag: NoTag = False,
    corpus: Corpus = None,
    metrics: Metrics = "",
    reference: Reference = None,
    condition: Condition = None,
    guidance: Guidance = 1.0,
    temperature: Temperature = 1.0,
    top_p: TopP = 1.0,
    max_length: MaxLength = 256,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw rows from a domain and report validity, uniqueness, novelty and properties.

    Example: `taglm sample SMILES -n 1000 --out drawn.csv`.
    """
    from taglm_core.api.sampling import sample as draw
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import print_json
    from taglm_core.data.writers import TableWriter
    from taglm_core.errors import ConfigError

    if no_tag and from_run is not None:
        raise ConfigError(f"--no-tag draws without the tag of --from {from_run}. Give one of them.")
    writer = TableWriter(out, reads=[corpus, reference]) if out is not None else None
    drawn = draw(
        domain,
        count,
        backbone=backbone,
        run=from_run,
        with_tag=not no_tag,
        corpus=corpus,
        metrics=tuple(word.strip() for word in metrics.split(",") if word.strip()),
        reference=reference,
        conditions=tuple(condition or ()),
        guidance=guidance,
        temperature=temperature,
        top_p=top_p,
        max_length=max_length,
        seed=seed,
        device=device,
        progress=BarProgress(),
    )
    if writer is not None:
        with writer:
            writer.write(drawn.columns)
    if as_json:
        print_json(drawn.report)
    else:
        _print(drawn.report, out)


def _print(report: Mapping[str, Any], out: Path | None) -> None:
    from taglm_core.cli.screen import print_table, results

    names = ("rows", "finished", "valid", "unique", "novel", "mean_length")
    tag = "with" if report["tag"] else "without"
    print_table(names, [[report[name] for name in names]], f"{report['domain']}, {tag} its tag")
    results.print(f"checked by {report['checked_by']}", markup=False)
    if report["conditions"]:
        columns = list(report["conditions"][0])
        print_table(columns, [list(each.values()) for each in report["conditions"]], "\nconditions")
    for name, scores in report["metrics"].items():
        print_table(["metric", "value"], [list(item) for item in scores.items()], f"\n{name}")
    for name, facts in report["properties"].items():
        rows = [
            [kind, part["rows"], part["mean"], part["std"], _bars(part["counts"])]
            for kind in ("drawn", "corpus")
            if (part := facts.get(kind)) is not None
        ]
        if rows:
            low, high = facts["edges"][0], facts["edges"][-1]
            title = f"\n{name}, histogram from {low:g} to {high:g}"
            print_table(["", "rows", "mean", "std", "histogram"], rows, title)
    if out is not None:
        results.print(f"\nrows: {out}", markup=False)


def _bars(counts: list[int]) -> str:
    """Return a histogram as a word of blocks."""
    blocks = " ▁▂▃▄▅▆▇█"
    top = max([*counts, 1])
    return "".join(blocks[-(-count * (len(blocks) - 1) // top)] for count in counts)
