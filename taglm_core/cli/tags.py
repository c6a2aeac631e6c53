"""`taglm tags`: what the tag store holds."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from taglm_core.cli.completion import complete_tag
from taglm_core.cli.options import AsJson

app = typer.Typer(help="Show and remove the tags in the tag store.", no_args_is_help=True)


@app.command("list")
def list_tags(
    as_json: AsJson = False,
) -> None:
    """List the trained tags and the backbone of each."""
    from taglm_core.api import tags
    from taglm_core.cli.screen import end_with, print_json, print_table, results
    from taglm_core.store.tagstore import TagStore

    records, faults = tags.read_all()
    if as_json:
        print_json(records)
    elif not records and not faults:
        folder = TagStore().folder
        results.print(f"the tag store {folder} holds no tags yet; `taglm run` trains them")
    elif records:
        print_table(list(records[0]), [list(record.values()) for record in records])
    end_with(faults)


@app.command("show")
def show_tag(
    name: Annotated[
        str,
        typer.Argument(
            help="Name such as SMILES, the beginning of a fingerprint, or both: SMILES@1a2b.",
            autocompletion=complete_tag,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show the lineage of a tag: backbone, corpus, settings, results."""
    import yaml

    from taglm_core.api import tags
    from taglm_core.cli.screen import print_json, print_note

    records = tags.show(name)
    if len(records) > 1:
        shown = ", ".join(f"{each['tag']}@{each['fingerprint'][:8]}" for each in records)
        print_note(f"{len(records)} tags '{name}' are shown; to show one, name it: {shown}")
    if as_json:
        print_json(records)
    else:
        typer.echo(yaml.safe_dump(records, sort_keys=False, allow_unicode=True).rstrip())


@app.command("rm")
def remove_tag(
    name: Annotated[
        str,
        typer.Argument(
            help="Name such as SMILES, the beginning of a fingerprint, or both: SMILES@1a2b.",
            autocompletion=complete_tag,
        ),
    ],
) -> None:
    """Remove a tag from the store. Predictors that use it hold a copy and keep working."""
    from taglm_core.api import tags
    from taglm_core.cli.screen import print_line

    record = tags.remove(name)
    print_line(f"Removed {_named(record)}.")


@app.command("prune")
def prune_tags(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed, remove nothing.")
    ] = False,
) -> None:
    """Remove tags that were trained again later for the same backbone."""
    from taglm_core.api import tags
    from taglm_core.cli.screen import print_line

    records = tags.prune(dry_run)
    word = "Would remove" if dry_run else "Removed"
    for record in records:
        print_line(f"{word} {_named(record)}.")
    if not records:
        print_line("Nothing to remove: each tag is the newest of its name and backbone.")


def _named(record: Mapping[str, Any]) -> str:
    backbone = record["backbone"] or "damaged"
    return f"{record['tag']}@{record['fingerprint']} ({backbone})"
