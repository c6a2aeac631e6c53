"""Options that several commands share have one name and one help text."""

import pytest
import typer

from taglm_core.cli.main import core_app
from taglm_core.plugins import load_registry
from taglm_core.specs.reference import resolve

SHARED = ("--device", "--precision", "--cache", "--backbone", "--preset", "--set")


def commands():
    """Return the name and the parameters of each command, of the core and of plugins."""
    app = core_app()
    for item in load_registry().commands:
        found = resolve(item.spec.app, item.name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=item.short)
        else:
            app.command(item.short)(found)
    waiting = list(typer.main.get_command(app).commands.items())
    for name, command in waiting:
        waiting += [(f"{name} {n}", c) for n, c in getattr(command, "commands", {}).items()]
        yield name, command.params


@pytest.mark.parametrize("flag", SHARED)
def test_a_shared_option_says_the_same_everywhere(flag):
    """A precision or a kind of backbone that is new stands in the help of every command."""
    found = {
        name: (option.help.replace("Another copy of the b", "B"), option.metavar)
        for name, options in commands()
        for option in options
        if flag in option.opts and (name, flag) != ("doctor", "--backbone")
    }
    assert len(found) > 2
    assert len(set(found.values())) == 1 or flag == "--backbone", found
    if flag == "--backbone":
        assert all("GGUF file or Hub id" in text for text, _ in found.values()), found
