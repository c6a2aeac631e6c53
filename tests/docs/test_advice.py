"""Advice that can be followed: each option that a text of the code proposes is one of a command."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

import taglm_core
from taglm_core.cli.main import core_app
from taglm_core.plugins import load_registry
from taglm_core.specs.reference import resolve

ROOT = Path(taglm_core.__file__).parents[1]
_OF_OTHER_PROGRAMS = {"chemprop.py"}
"""Files whose options are those of a program that they call."""
FILES = sorted(
    file
    for folder in (ROOT / "taglm_core", *(ROOT / "plugins").glob("*/taglm_*"))
    for file in folder.rglob("*.py")
    if "templates" not in file.parts and file.name not in _OF_OTHER_PROGRAMS
)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_COMMAND = re.compile(r"taglm ((?:[a-z-]+ ){1,2})[^`\n.]*")
_OTHERS = re.compile(r"pip install|pip uninstall|llama-gguf-split|tensorboard --logdir")
_EVERY = {"--help", "--debug", "--version"}


def commands(command: click.Command, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Give the name of each command with its options."""
    yield name, {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    for short, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {short}".strip())


def whole_app() -> typer.Typer:
    """Return the program with the commands of plugins, all of them imported."""
    app = core_app()
    for item in load_registry().commands:
        found = resolve(item.spec.app, item.name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=item.short)
        else:
            app.command(item.short)(found)
    return app


OPTIONS = dict(commands(typer.main.get_command(whole_app())))


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Give line and text of each string of a file, the pieces of an f-string as one."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inside = {
        id(piece)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for piece in ast.walk(node)
        if piece is not node
    }
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            pieces = [p.value if isinstance(p, ast.Constant) else "{}" for p in node.values]
            yield node.lineno, "".join(map(str, pieces))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def fitting(file: Path) -> list[str]:
    """Return the commands that can show the texts of a file; all when it is no room's own."""
    parts = file.relative_to(ROOT).parts
    own = file.stem.replace("_", "-")
    if parts[:2] == ("taglm_core", "cli") and own in OPTIONS:
        return [name for name in OPTIONS if name.split(" ")[0] == own]
    if parts[:2] == ("taglm_core", "training"):
        return ["run"]
    if parts[:2] == ("taglm_core", "data"):
        return ["run", "predict", "evaluate"]
    return list(OPTIONS)


def test_the_texts_hold_options():
    """The test would say nothing of a pattern that finds nothing."""
    found = [
        option for file in FILES for _, text in texts(file) for option in _OPTION.findall(text)
    ]
    assert len(found) > 100
    assert "--on-error" in OPTIONS["predict"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_option_in_a_text_exists(file):
    """A message, help text or docstring names options of the commands that can show it."""
    for line, text in texts(file):
        if _OTHERS.search(text):
            continue
        known = _EVERY.union(*(OPTIONS[name] for name in fitting(file)))
        unknown = set(_OPTION.findall(_COMMAND.sub("", text))) - known
        assert not unknown, f"line {line}: {unknown} of none of {fitting(file)}: {text}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_in_a_text_has_its_options(file):
    """`taglm predict ... --input FILE` is a line that can be typed."""
    for line, text in texts(file):
        for match in _COMMAND.finditer(text):
            words = match[1].split()
            names = [n for n in (" ".join(words[:2]), words[0]) if n in OPTIONS]
            if names:
                unknown = set(_OPTION.findall(match[0])) - OPTIONS[names[0]] - _EVERY
                assert not unknown, f"line {line}: {unknown} is not of taglm {names[0]}"
