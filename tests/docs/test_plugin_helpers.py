"""The public helpers for plugins: each is documented, and its example is run."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import taglm_core.plugin

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "plugin-helpers.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def sections():
    """Return name -> text of its section."""
    found = {}
    for piece in re.split(r"\n### ", PAGE.read_text())[1:]:
        name, _, text = piece.partition("\n")
        found[name] = text.split("\n## ")[0]
    return found


def test_names_are_sorted_and_can_be_imported():
    """`__all__` is the promise; nothing in it is missing, nothing beside it is reachable."""
    names = taglm_core.plugin.__all__
    assert names == sorted(names)
    assert set(names) == set(taglm_core.plugin._PLACES)
    for name in names:
        assert getattr(taglm_core.plugin, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'secret'"):
        _ = taglm_core.plugin.secret


def test_names_for_type_checkers_are_those_at_run_time():
    """A checker sees the imports under TYPE_CHECKING, a program the table of places."""
    text = Path(taglm_core.plugin.__file__).read_text().split("\n__all__")[0]
    block = text.split("if TYPE_CHECKING:")[1]
    imported = {}
    for module, plain, listed in re.findall(
        r"from taglm_core\.([\w.]+) import (?:([^(\n]+)|\(([^)]*)\))", block
    ):
        for word in filter(None, map(str.strip, (plain or listed).split(","))):
            original, _, public = word.partition(" as ")
            imported[public or original] = f"{module}:{original}"
    assert imported == taglm_core.plugin._PLACES


@pytest.mark.parametrize("name", taglm_core.plugin.__all__)
def test_every_helper_has_a_section_that_uses_it(name):
    """One by one, with an example."""
    text = sections()[name]
    assert f"import {name}" in text
    assert re.search(rf">>> .*\b{name}\b(?!$)|\.\.\. .*\b{name}\b", text.split("import", 1)[1])


def test_no_section_documents_what_is_not_public():
    """The page follows renamed helpers."""
    assert set(sections()) == set(taglm_core.plugin.__all__)


def test_the_examples_run(tmp_path, monkeypatch):
    """From top to bottom, as they stand on the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAGLM_PLUGINS", "")
    monkeypatch.delenv("TAGLM_DATASETS", raising=False)
    failed, run = doctest.testfile(str(PAGE), module_relative=False, optionflags=FLAGS)
    assert run > 60
    assert failed == 0


def test_importing_the_module_costs_nothing():
    """A plugin may import it in the module of its entry point."""
    code = (
        "import sys, taglm_core.plugin; "
        "heavy = {'numpy', 'torch', 'rich', 'pyarrow', 'yaml', 'typer'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
