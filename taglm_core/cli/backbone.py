"""`taglm backbone`: which backbones there are, and what one of them is and can do here."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from taglm_core.cli.options import AsJson, Device

app = typer.Typer(help="List backbones; measure one before a run with it.", no_args_is_help=True)


@app.command("list")
def list_backbones(
    as_json: AsJson = False,
) -> None:
    """List the registered backbones, and those for which the tag store holds tags."""
    from taglm_core.api import backbones, tags
    from taglm_core.cli.screen import end_with, print_json, print_note, print_table

    stored, faults = tags.read_all()
    records = backbones.beside_tags(stored)
    if as_json:
        print_json(records)
    else:
        columns = ["backbone", "source", "description", "tags"]
        print_table(columns, [list(record.values()) for record in records])
        print_note("any folder, GGUF file or Hub id works too: taglm backbone show FOLDER")
    end_with(faults)


@app.command("show")
def show_backbone(
    name: Annotated[str, typer.Argument(help="Registered name, folder, GGUF file or Hub id.")],
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Show a backbone's size and memory, measure its speed here, and say what works with it."""
    from taglm_core.api import backbones
    from taglm_core.cli.screen import print_json, print_table

    facts = backbones.show(name, device)
    if as_json:
        print_json(facts)
        return
    print_table(["property", "value"], _properties(facts))
    typer.echo("")
    columns, rows = _precisions(facts)
    print_table(columns, rows)
    typer.echo("")
    print_table(
        ["what", "works", "how"],
        [[a["name"], "yes" if a["works"] else "no", a["reason"]] for a in facts["abilities"]],
    )


def _precisions(facts: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of the table of precisions."""
    columns = ["precision", "memory of weights", "tokens/s forward", "tokens/s with backward"]
    rows = []
    for kind, size in facts["memory"].items():
        speed = facts["speed"].get(kind)
        paces = ["-", "-"] if speed is None else [round(v) for v in speed.values()]
        rows.append([kind, _size(size), *paces])
    if not facts["elsewhere"] and facts["speed"]:
        return columns, rows
    for row in rows:
        count = facts["elsewhere"].get(row[0])
        row.append("does not fit" if count is None else f"{count} of {facts['layers']}")
    return [*columns, "layers elsewhere"], rows


def _size(count: float) -> str:
    from taglm_core.model.prefix_cache import shown

    return shown(count)


def _properties(facts: Mapping[str, Any]) -> list[list[Any]]:
    rows = [
        ["backbone", facts["name"]],
        ["architecture", facts["architecture"]],
        ["parameters", f"{facts['parameters']:,}"],
        ["hidden size", f"{facts['hidden_size']:,}"],
        ["layers", f"{facts['layers']:,}"],
        ["attention heads", facts["heads"]],
        ["vocabulary", f"{facts['vocabulary']:,} tokens"],
        ["longest sequence", f"{facts['context']:,} tokens"],
        ["cache of a token", _size(facts["cache_bytes"])],
        ["device", f"{facts['device']}, {facts['threads']} thread(s) of the processor"],
        ["free memory", f"{_size(facts['free_memory'])} with the backbone loaded"],
        ["content", facts["content"]],
    ]
    if "stored_as" in facts:
        kinds = facts["stored_as"]
        total = sum(kinds.values())
        shares = ", ".join(f"{name} {count / total:.0%}" for name, count in kinds.items())
        rows.append(["stored as", f"{shares}; unpacked when loaded"])
    return rows
