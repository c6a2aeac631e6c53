"""`taglm tags`: what the tag store holds."""

from typing import Annotated

import typer

app = typer.Typer(help="Show the tags in the tag store.", no_args_is_help=True)


@app.command("list")
def list_tags(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the trained tags and the backbone of each."""
    from taglm_core.api import tags
    from taglm_core.cli.screen import print_json, print_table, results
    from taglm_core.store.tagstore import TagStore

    records = tags.list()
    if as_json:
        print_json(records)
    elif not records:
        folder = TagStore().folder
        results.print(f"the store {folder} holds no tags yet; `taglm run` trains them")
    else:
        print_table(list(records[0]), [list(record.values()) for record in records])


@app.command("show")
def show_tag(
    name: Annotated[
        str, typer.Argument(help="Full or short name, or the beginning of a fingerprint.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the lineage of a tag: backbone, corpus, settings, results."""
    import yaml

    from taglm_core.api import tags
    from taglm_core.cli.screen import print_json

    records = tags.show(name)
    if as_json:
        print_json(records)
    else:
        typer.echo(yaml.safe_dump(records, sort_keys=False, allow_unicode=True).rstrip())
