"""`taglm tags`: what the tag store holds."""

from typing import Annotated, Any

import typer

app = typer.Typer(help="Show the tags of the store.", no_args_is_help=True)


@app.command("list")
def list_tags(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List trained tags with the backbone that each belongs to."""
    from taglm_core.cli.screen import print_json, print_table, results
    from taglm_core.store.tagstore import TagStore

    store = TagStore()
    records = [_record(entry) for entry in store.entries()]
    if as_json:
        print_json(records)
    elif not records:
        results.print(f"the store {store.folder} holds no tags yet; `taglm run` trains them")
    else:
        print_table(list(records[0]), [list(record.values()) for record in records])


@app.command("show")
def show_tag(
    name: Annotated[str, typer.Argument(help="Full or short name, or a leading fingerprint.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the lineage of a tag: backbone, corpus, settings, results."""
    import yaml

    from taglm_core.cli.screen import print_json
    from taglm_core.store.artefact import load_artefact
    from taglm_core.store.tagstore import TagStore

    found = []
    for entry in TagStore().get(name):
        config = load_artefact(entry.folder).config
        found.append(
            {
                "tag": entry.name,
                "fingerprint": entry.fingerprint,
                "folder": str(entry.folder),
                "taglm_version": config.taglm_version,
                "plugins": config.plugins,
                "backbone": config.backbone.name,
                **_shown(config.tags[entry.name]),
            }
        )
    if as_json:
        print_json(found)
    else:
        typer.echo(yaml.safe_dump(found, sort_keys=False, allow_unicode=True).rstrip())


def _shown(tag: Any) -> dict[str, Any]:
    """Return what a tag's record says, without what it leaves open."""
    from taglm_core.store.schema import to_plain

    return {key: value for key, value in to_plain(tag).items() if value not in (None, {})}


def _record(entry: Any) -> dict[str, Any]:
    from taglm_core.store.artefact import load_artefact
    from taglm_core.store.schema import to_plain

    artefact = load_artefact(entry.folder)
    tag = artefact.config.tags[entry.name]
    lineage = to_plain(tag.lineage) or {}
    rows = lineage.get("corpus_rows", lineage.get("rows"))
    return {
        "tag": entry.name,
        "kind": tag.kind,
        "backbone": artefact.backbone,
        "fingerprint": entry.fingerprint,
        "rows": rows,
        "steps": lineage.get("steps"),
    }
