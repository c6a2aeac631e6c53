"""Checks of backbones, of folders of trained tags and of commands."""

import re
from pathlib import Path

from taglm_core.specs.reference import is_reference, resolve
from taglm_core.testing.contract.context import Subject
from taglm_core.testing.contract.outcomes import Broken, demand
from taglm_core.testing.contract.report import Rule

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def source(subject: Subject) -> None:
    """`path` is a function that gives a model's folder, or has the form of a Hub id."""
    path = subject.spec.path
    if not is_reference(path):
        demand(
            _HUB_ID.fullmatch(path) is not None,
            f"`path` is {path!r}; give a Hub id such as 'owner/name', or 'package.module:function' "
            "of a function that returns a folder.",
        )
        return
    folder = Path(resolve(path, f"backbone {subject.item.name}")())
    for name in ("config.json", "tokenizer.json"):
        demand(
            (folder / name).is_file(),
            f"{folder} holds no {name}. Return the folder that `save_pretrained` of the model and "
            "of its tokenizer wrote, and list it as package data.",
        )
    weights = [p for p in folder.glob("*") if p.suffix == ".safetensors"]
    demand(bool(weights), f"{folder} holds no .safetensors weights; save the model with them.")


def described(subject: Subject) -> None:
    """The backbone says what it is and under which license its weights stand."""
    for field in ("description", "license"):
        demand(
            bool(getattr(subject.spec, field).strip()),
            f"`{field}` is empty; users choose a backbone by it.",
        )


BACKBONES = (Rule(source), Rule(described))


def tags_load(subject: Subject) -> None:
    """The folder holds trained tags, and each can be read."""
    from taglm_core.store.tagstore import PackagedTags, TagStore

    folder = Path(resolve(subject.spec.path, f"tag folder {subject.item.name}")())
    store = TagStore(folder / "none", [PackagedTags(folder, subject.item.source.distribution)])
    entries = store.packaged_entries()
    demand(
        bool(entries),
        f"{folder} holds no BACKBONE_KEY/PLUGIN/TAG/FINGERPRINT/config.json. Copy the folders of "
        "the tag store with everything above them, and list them as package data.",
    )
    for entry in entries:
        store.load(entry)


TAG_FOLDERS = (Rule(tags_load),)


def word_free(subject: Subject) -> None:
    """The word is no command of the core and of no other plugin."""
    from taglm_core.cli.words import CORE_WORDS
    from taglm_core.plugins.builtin import CORE

    name = subject.spec.name
    demand(
        subject.item.source == CORE or name not in CORE_WORDS,
        f"`taglm {name}` is a command of the core. Choose another word.",
    )
    others = [
        item.source.name
        for item in subject.registry.commands
        if item.short == name and item.name != subject.item.name
    ]
    demand(not others, f"`taglm {name}` is also given by {', '.join(others)}. Choose another word.")


def help_shown(subject: Subject) -> None:
    """The command imports, has a line for `taglm --help`, and answers `--help`."""
    import typer
    from typer.testing import CliRunner

    demand(bool(subject.spec.help.strip()), "`help` is empty; write one line for `taglm --help`.")
    found = resolve(subject.spec.app, f"command {subject.item.name}")
    app = found
    if not isinstance(found, typer.Typer):
        demand(
            callable(found),
            f"`app` is {type(found).__name__}; give a typer.Typer or a function.",
        )
        app = typer.Typer()
        app.command(subject.spec.name)(found)
    try:
        shown = CliRunner().invoke(app, ["--help"])
    except RuntimeError as error:  # typer, for an app without a command
        raise Broken(f"`app` cannot be used as a program: {error}. Give it a command.") from error
    demand(
        shown.exit_code == 0,
        f"`taglm {subject.spec.name} --help` ends with code {shown.exit_code}: {shown.exception}.",
    )


COMMANDS = (Rule(word_free), Rule(help_shown))
