"""Registered commands: listed without importing them, imported when called, never in the way."""

import sys
from collections.abc import Callable, Collection
from typing import Any

import attrs
import typer

from taglm_core.errors import DuplicateNameError, PluginError, listed
from taglm_core.plugins import PluginFailure, Registered, Registry
from taglm_core.plugins.builtin import CORE
from taglm_core.specs import Command
from taglm_core.specs.isolation import call_plugin
from taglm_core.specs.reference import resolve


@attrs.frozen
class Word:
    """A word after `taglm` that plugins fill."""

    name: str
    items: tuple[Registered[Command], ...]
    """Who gives it; several make the word an error at use."""
    is_hidden: bool = False


def words(registry: Registry, core: Collection[str]) -> list[Word]:
    """Return the registered words: short names that the core has not, and all full names."""
    short: dict[str, list[Registered[Command]]] = {}
    for item in registry.commands:
        if not _is_taken(item, core):
            short.setdefault(item.short, []).append(item)
    words_of_plugins = [Word(name, tuple(items)) for name, items in short.items()]
    return words_of_plugins + [Word(item.name, (item,), True) for item in registry.commands]


def shadowing(registry: Registry, core: Collection[str]) -> list[PluginFailure]:
    """Return a failure for each command whose word is one of the core's."""
    return [
        PluginFailure(
            source=item.source,
            hook="register_commands",
            reason=f"the command '{item.short}' is one of taglm itself; "
            f"`taglm {item.name}` runs the plugin's",
        )
        for item in registry.commands
        if _is_taken(item, core)
    ]


def _is_taken(item: Registered[Command], core: Collection[str]) -> bool:
    """Whether a command's word is one of the core's, which registers some of them itself."""
    return item.short in core and item.source.name != CORE.name


def add_plugin_commands(app: typer.Typer, registry: Registry, core: Collection[str]) -> None:
    """Add the commands of plugins; only the one that is called is imported."""
    called = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    for word in words(registry, core):
        note = word.items[0].spec.help if len(word.items) == 1 else _ambiguous(word)
        command: Any = _not_called
        if word.name == called:
            command = _loaded(word)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=word.name, help=note, hidden=word.is_hidden)
        else:
            app.command(word.name, help=note, hidden=word.is_hidden)(command)


def _loaded(word: Word) -> "typer.Typer | Callable[..., Any]":
    """Import a command.

    Raises:
        DuplicateNameError: when several plugins give the word.
        PluginError: when it cannot be imported or is no command.
    """
    if len(word.items) > 1:
        raise DuplicateNameError(f"the command '{word.name}': {_ambiguous(word)}")
    item = word.items[0]
    owner = f"{item.source}, command '{item.short}'"
    app = resolve(item.spec.app, owner)
    trial = typer.Typer()
    try:
        if isinstance(app, typer.Typer):
            trial.add_typer(app, name=item.short)
        elif callable(app):
            trial.command(item.short)(app)
        else:
            raise PluginError(f"expected a typer.Typer or a function, not {type(app).__name__}")
        call_plugin(typer.main.get_command, trial)  # reads the signatures of its functions
    except PluginError as error:
        raise PluginError(f"{owner}: '{item.spec.app}': {error}") from error
    checked: typer.Typer | Callable[..., Any] = app
    return checked


def _ambiguous(word: Word) -> str:
    return f"given by several plugins; write one of {listed(item.name for item in word.items)}."


def _not_called() -> None:
    raise AssertionError("a command that is called is imported first")
