"""`taglm new-plugin`: a complete package to begin a plugin with."""

from pathlib import Path
from typing import Annotated

import typer


def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the plugin, such as demo.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the package to write.", show_default="taglm-plugin-NAME"),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            metavar="TAG", help="Domain tag, such as DNA.", show_default="NAME, capitalized"
        ),
    ] = None,
) -> None:
    """Write a complete plugin package that runs without changes.

    The package has a domain with an encoder, a generated dataset, a task, a metric and tests.
    """
    from taglm_core.cli.screen import results
    from taglm_core.plugins.scaffold import plugin_files, plugin_names

    names = plugin_names(name, domain)
    folder = out or Path(names.distribution)
    write_new_folder(folder, plugin_files(names))
    lines = [
        f"{folder} holds the plugin '{names.name}'. Try it:",
        "",
        f"  cd {folder}",
        "  pip install -e '.[dev]'",
        "  pytest",
        f"  taglm check-plugin {names.name}",
        f"  taglm run {names.task}",
    ]
    results.print("\n".join(lines))


def write_new_folder(folder: Path, files: dict[str, str]) -> None:
    """Write files into a folder that is not there yet, all or none.

    Args:
        folder: The folder; its parents are made.
        files: Path inside the folder -> text.

    Raises:
        DataError: when something is there already.
    """
    from taglm_core.data.atomic import replace_folder
    from taglm_core.errors import DataError

    if folder.exists() or folder.is_symlink():
        raise DataError(
            f"{folder} already exists and was not changed. Name another folder with --out, or move "
            "it away."
        )
    with replace_folder(folder) as temporary:
        for name, text in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
