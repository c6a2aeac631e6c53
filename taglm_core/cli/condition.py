"""`taglm condition`: tags that ask for a range of a property when rows are drawn."""

from pathlib import Path
from typing import Annotated

import typer

from taglm_core.cli.options import AsJson, Backbone, Device, TaggedRun

Domain = Annotated[str, typer.Argument(help="Domain, such as SMILES.")]
Name = Annotated[
    str, typer.Argument(help="Property that a task computes from the domain, such as QED.")
]
Data = Annotated[
    Path | None,
    typer.Option(help="Rows to train on.", show_default="the corpus of the domain tag"),
]
Rows = Annotated[int, typer.Option(help="Maximum number of training rows.", min=1)]
Bins = Annotated[int, typer.Option(help="Number of ranges, with equal numbers of rows.", min=2)]
MaxSteps = Annotated[int, typer.Option(help="Number of optimizer steps of 32 rows.", min=1)]
Seed = Annotated[int, typer.Option(help="Random seed of the rows and their order.")]


def condition(
    domain: Domain,
    name: Name,
    data: Data = None,
    rows: Rows = 10_000,
    bins: Bins = 5,
    max_steps: MaxSteps = 300,
    backbone: Backbone = "nano",
    from_run: TaggedRun = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Train tags of the ranges of a property, for `taglm sample --condition`.

    Example: `taglm condition SMILES QED`, then `taglm sample SMILES --condition QED=0.9`.
    """
    from taglm_core.api.conditioning import condition as train
    from taglm_core.cli.bars import BarProgress
    from taglm_core.cli.screen import print_json, print_line

    record = train(
        domain,
        name,
        data=data,
        rows=rows,
        bins=bins,
        max_steps=max_steps,
        backbone=backbone,
        run=from_run,
        seed=seed,
        device=device,
        progress=BarProgress(),
    )
    if as_json:
        print_json(record)
        return
    nats = record["held_out_nats_per_symbol"]
    ranges = ", ".join(f"{edge:.4g}" for edge in record["edges"])
    print_line(f"<{record['tag']}>: {len(record['edges']) + 1} ranges, divided at {ranges}")
    print_line(
        f"{record['rows']:,} rows, {record['steps']} steps; held-out nats per symbol "
        f"{nats['tag']:.4f}, with the domain tag alone {nats['domain_tag']:.4f}"
    )
