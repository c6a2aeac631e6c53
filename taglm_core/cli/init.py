"""`taglm init`: write the run file that a table amounts to, without running it."""

from pathlib import Path
from typing import Annotated

import typer

from taglm_core.cli.options import Columns, Sheet, Targets


def init(
    table: Annotated[str, typer.Argument(help="Table of rows, such as lab.csv.")],
    target: Targets = None,
    column: Columns = None,
    sheet: Sheet = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Run file to write.", show_default="the table's name with .yaml"
        ),
    ] = None,
) -> None:
    """Write a commented run file for a table, to edit and run.

    Example: `taglm init lab.csv --target "LogS (mol/L)"`, then `taglm run lab.yaml`.
    """
    from taglm_core.api.request import prepare_run
    from taglm_core.api.tables import is_table
    from taglm_core.cli.asking import person_at_terminal
    from taglm_core.cli.screen import parse_pairs, print_line, print_note
    from taglm_core.errors import ConfigError
    from taglm_core.plugins import load_registry
    from taglm_core.training.runfile import check_run_file

    if not is_table(table, load_registry()):
        raise ConfigError(f"{table}: give a table, such as lab.csv.")
    path = output if output is not None else Path(f"{Path(table).name.partition('.')[0]}.yaml")
    check_run_file(path)
    given = {"columns": parse_pairs(column or [], "--column"), "sheet": sheet}
    data = {key: value for key, value in given.items() if value}
    prepared = prepare_run(
        table,
        target=target,
        settings=[{"data": data}] if data else [],
        source="taglm init",
        ask=person_at_terminal(),
    )
    prepared.save_config(path)
    for remark in prepared.remarks:
        print_note(remark)
    print_line(f"Wrote {path}. Read it, change it, and run it: taglm run {path}")
