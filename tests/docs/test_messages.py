"""The page of messages holds what a person can read, and nothing that only the program reads."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "messages.md"
KNOWN = {
    "errors": "cli/streams.py: nothing to predict. Give values",
    "warnings": "data/fixing.py: {source}: {fixed} of",
    "questions": "cli/asking.py: Number",
    "progress": "api/preparation.py: training the final predictor on all rows",
    "output": "cli/main.py: error: {error}",
    "help": "cli/predict.py: Table of rows to predict, or -.",
    "other": "cli/closing.py: predict: taglm predict {run} new.csv",
}
SOURCE = '''
"""A module."""
import logging

WORDS = re.compile("not a text at all")

def check(rows, names):
    """Do."""
    hint = f" Known names: {', '.join(names)}."
    if rows.kind == "one two three":
        raise DataError(f"{rows.path}, row {rows.number + 1}: {'one' if one else 'two'}." + hint)
    logger.warning("%s: %d rows skipped", rows.path, 3)
    say(f"{counted(len(rows), 'row')} read")
    return f"see the page {names[0]['page']}"

def run(out: Annotated[str, typer.Option(metavar="NO FILE HERE", help="File to write.")] = "a"):
    """Run it."""
    typer.echo("done")

Seed = Annotated[int, typer.Option(help="Random seed.")]

def draw(seed: Seed = 0):
    """Draw rows."""
'''


@pytest.fixture(scope="module")
def messages():
    """Import docs/messages.py."""
    spec = importlib.util.spec_from_file_location("messages", ROOT / "docs" / "messages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_texts_of_a_source_have_their_kinds(messages, tmp_path):
    """What varies is named; docstrings, patterns, keys and placeholders of options are no texts."""
    file = tmp_path / "source.py"
    file.write_text(SOURCE)
    assert messages.texts(file) == [
        ("errors", "Known names: {names}."),
        ("errors", "{path}, row {number}: {one | two}.{hint}"),
        ("warnings", "%s: %d rows skipped"),
        ("progress", "{rows} rows read"),
        ("other", "see the page {page}"),
        ("help", "Run it."),
        ("help", "File to write."),
        ("output", "done"),
        ("help", "Random seed."),
        ("help", "Draw rows."),
    ]


@pytest.mark.parametrize("kind", KNOWN)
def test_known_texts_of_every_kind_are_found(messages, kind):
    """The page cannot be empty."""
    name, _, text = KNOWN[kind].partition(": ")
    found = messages.texts(ROOT / "taglm_core" / name)
    assert [shown for k, shown in found if k == kind and shown.startswith(text)]


def test_every_room_and_plugin_has_its_section():
    """No room is left out; the backbone alone says nothing."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
    found = {section.split("\n")[0]: section.count("\n- ") for section in sections}
    rooms = {p.parent.name for p in (ROOT / "taglm_core").glob("*/__init__.py")}
    plugins = {p.parents[1].name for p in (ROOT / "plugins").glob("*/taglm_*/__init__.py")}
    assert {name.rpartition("/")[2] for name in found} >= rooms | plugins - {"nano"}
    assert sum(found.values()) > 1000
