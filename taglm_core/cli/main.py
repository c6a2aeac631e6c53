"""The `taglm` program: commands are imported when they are used, errors are one message."""

import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from taglm_core import __version__
from taglm_core.caller import at_command_line
from taglm_core.cli.faults import message_of
from taglm_core.cli.fieldoptions import with_field_options
from taglm_core.errors import ConfigError

if TYPE_CHECKING:
    from taglm_core.plugins import Registry

_state = {"debug": False}


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"taglm {__version__}")
        raise typer.Exit


def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    _state["debug"] = debug
    context.with_resource(at_command_line())


def build_app() -> typer.Typer:
    """Return the program with the core's commands and those of plugins."""
    from taglm_core.cli.plugincommands import add_plugin_commands
    from taglm_core.cli.words import CORE_WORDS
    from taglm_core.plugins import load_registry

    registry = load_registry()
    app = core_app(registry)
    for note in registry.notes:
        typer.echo(f"warning: {note}", err=True)
    add_plugin_commands(app, registry, CORE_WORDS)
    return app


def core_app(registry: "Registry | None" = None) -> typer.Typer:
    """Return the program without the commands that are registered.

    Args:
        registry: Whose fields are options of the commands that read tables; None: no fields.
    """
    from taglm_core.cli import (
        backbone,
        condition,
        doctor,
        evaluate,
        identify,
        init,
        new_plugin,
        plugins,
        predict,
        run,
        runs,
        sample,
        tags,
    )

    app = typer.Typer(
        name="taglm",
        help="Teach a frozen causal language model a domain with small input tags.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    readers = (run.run, init.init, predict.predict, evaluate.evaluate)
    for command in readers:
        shown = command if registry is None else with_field_options(command, registry)
        app.command(command.__name__)(shown)
    app.command("sample")(sample.sample)
    app.command("condition")(condition.condition)
    app.command("identify")(identify.identify)
    app.command("plugins")(plugins.plugins)
    app.command("doctor")(doctor.doctor)
    app.add_typer(backbone.app, name="backbone")
    app.add_typer(runs.app, name="runs")
    app.add_typer(tags.app, name="tags")
    app.command("new-plugin")(new_plugin.new_plugin)
    return app


_FILES = frozenset(
    "-i --input -o --output --out --data --from --corpus --reference --save-config --token-file "
    "--heat-map --run".split()
)
"""Options that name a file or a folder."""
_TEXTS = ("identify", "sample", "condition")
"""Commands whose first word names no file."""


def check_names(words: Sequence[str]) -> None:
    """Demand that no name of a file is empty, as of a variable of the shell that is not set.

    Python takes it for the working folder, which nobody named.

    Args:
        words: Of the command line.

    Raises:
        ConfigError: naming the option, or the command whose first word it is.
    """
    words = [word for word in words if word != "--debug"]
    named = [word[:-1] for word in words if word.endswith("=") and word[:-1] in _FILES]
    named += [option for option, word in pairwise(words) if option in _FILES and not word]
    if named:
        raise ConfigError(f"{named[0]} is empty. Name a file or folder, or leave it out.")
    if len(words) > 1 and not words[1] and words[0] not in _TEXTS:
        raise ConfigError(f"the first word behind `taglm {words[0]}` is empty. Give it a name.")


def main() -> None:
    """Run the program; no exception shows a traceback without --debug.

    Exit code 1 for what a user can fix and for faults of taglm, 2 for wrong usage.
    """
    from taglm_core.cli.screen import set_up_logging

    set_up_logging("--debug" in sys.argv)
    try:
        check_names(sys.argv[1:])
        build_app()()  # ends by itself after wrong usage and after an interrupt of a command
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if _state["debug"] or "--debug" in sys.argv[1:2]:
            raise
        typer.echo(f"error: {message_of(error)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
