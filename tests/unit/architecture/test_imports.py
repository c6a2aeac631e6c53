"""What may import what: the contracts of `make lint` hold, and each of them can fail."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PUBLIC = {"taglm_core", "taglm_core.plugin", "taglm_core.errors", "taglm_core.testing"}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
EXAMPLES = [ROOT / "examples" / "plugins" / name for name in ("dna", "weather")]


def lint(folder, settings):
    """Run the import linter with settings, the packages of a folder first."""
    lines = ["[importlinter]", *_lines(settings)]
    for number, contract in enumerate(settings["contracts"]):
        lines += [f"[importlinter:contract:{number}]", *_lines(contract)]
    (folder / ".importlinter").write_text("\n".join(lines))
    path = [folder, *EXAMPLES, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    program = "from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--config", ".importlinter"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
    )


def _lines(settings):
    for key, value in settings.items():
        if key != "contracts":
            held = "\n    ".join(["", *value]) if isinstance(value, list) else value
            yield f"{key} = {held}"


def contract(name):
    """Return the contract with a word in its name."""
    return next(c for c in SETTINGS["contracts"] if name in c["name"])


def test_all_contracts_are_kept(tmp_path):
    """As `make lint` finds them."""
    done = lint(tmp_path, SETTINGS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(SETTINGS['contracts'])} kept, 0 broken" in done.stdout


def write_package(folder, name, **modules):
    """Write a package."""
    (folder / name).mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (folder / name / f"{module}.py").write_text(text)


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        ("from taglm_core.data.readers import read_table", False),
        ("def read():\n    from taglm_core.plugins import load_registry", False),
        ("import taglm_core.cli.screen", False),
        ("from taglm_core.plugin import read_table", True),
        ("import taglm_core as taglm\nfrom taglm_core.errors import DataError", True),
    ],
)
def test_a_plugin_that_imports_a_private_module_is_caught(tmp_path, line, is_kept):
    """Late imports inside functions count too."""
    write_package(tmp_path, "taglm_bad", rows=line)
    rule = contract("public modules") | {"source_modules": ["taglm_bad"]}
    settings = {**SETTINGS, "root_packages": ["taglm_core", "taglm_bad"], "contracts": [rule]}
    done = lint(tmp_path, settings)
    assert (done.returncode == 0) == is_kept, done.stdout + done.stderr
    assert ("taglm_bad.rows -> taglm_core" in done.stdout) != is_kept


def test_plugins_that_import_each_other_are_caught(tmp_path):
    """They name each other's objects by text."""
    write_package(tmp_path, "taglm_bad", rows="import taglm_worse")
    write_package(tmp_path, "taglm_worse")
    names = ["taglm_bad", "taglm_worse"]
    rule = contract("imports another") | {"modules": names}
    done = lint(tmp_path, {**SETTINGS, "root_packages": names, "contracts": [rule]})
    assert done.returncode == 1
    assert "taglm_bad.rows -> taglm_worse" in done.stdout


@pytest.mark.parametrize(
    ("rooms", "found"),
    [
        ({"specs": "import taglm_bad.training", "training": ""}, "taglm_bad.specs ->"),
        ({"kitchen": ""}, "kitchen"),
        ({"cli": "import taglm_bad.testing", "testing": ""}, "taglm_bad.cli ->"),
    ],
)
def test_a_room_above_and_a_room_without_a_place_are_caught(tmp_path, rooms, found):
    """The order of the rooms is the one of the project's own contract."""
    rule = contract("rooms below") | {"containers": ["taglm_bad"]}
    layers = [re.sub(r"[()]", "", layer) for layer in rule["layers"]]
    names = {name.strip() for layer in layers for name in layer.split("|")}
    write_package(tmp_path, "taglm_bad", **{**dict.fromkeys(names, ""), **rooms})
    done = lint(tmp_path, {**SETTINGS, "root_packages": ["taglm_bad"], "contracts": [rule]})
    assert done.returncode == 1
    assert found in done.stdout


@pytest.mark.parametrize("line", ["", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "])
def test_a_circle_is_caught(tmp_path, line):
    """Two modules that need each other are one, if only for the names of types."""
    second = f"{line}import taglm_bad.first"
    write_package(tmp_path, "taglm_bad", first="import taglm_bad.second", second=second)
    rule = contract("circle") | {"ancestors": ["taglm_bad"]}
    done = lint(tmp_path, {**SETTINGS, "root_packages": ["taglm_bad"], "contracts": [rule]})
    assert done.returncode == 1, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        ("from taglm_bad.cache import Cache", True),
        ("from taglm_bad.cache.storage import Disk", False),
    ],
)
def test_a_look_into_the_prefix_cache_is_caught(tmp_path, line, is_kept):
    """Other packages know its class and not its parts."""
    write_package(tmp_path, "taglm_bad", other=line)
    write_package(tmp_path / "taglm_bad", "cache", storage="")
    rule = contract("prefix cache") | {
        "protected_modules": ["taglm_bad.cache.*"],
        "allowed_importers": ["taglm_bad.cache"],
    }
    done = lint(tmp_path, {**SETTINGS, "root_packages": ["taglm_bad"], "contracts": [rule]})
    assert (done.returncode == 0) == is_kept, done.stdout + done.stderr


def test_types_of_every_package_are_checked():
    """A plugin or example that is added is checked by mypy too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    folders = [ROOT, *(ROOT / "plugins").iterdir(), *(ROOT / "examples" / "plugins").iterdir()]
    named = {file.parent.name for folder in folders for file in folder.glob("taglm*/__init__.py")}
    assert named == set(project["mypy"]["packages"])
    assert named - {"taglm"} == set(project["importlinter"]["root_packages"])


def modules_imported(text):
    """Return the modules of taglm_core that a source text imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
    return {name for name in found if name.partition(".")[0] == "taglm_core"}


def scaffolded():
    """Return the templates of a new plugin, and the pages that show a plugin's source."""
    templates = ROOT / "taglm_core" / "plugins" / "scaffold" / "templates"
    sources = {str(f.relative_to(templates)): f.read_text() for f in templates.rglob("*.py.tmpl")}
    for page in ("reference/hooks.md", "tutorial/first-plugin.md"):
        blocks = re.findall(r"```python[^\n]*\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)
        sources[page] = "\n".join(blocks)
    return sources


@pytest.mark.parametrize("name", scaffolded())
def test_new_plugins_begin_with_public_imports(name):
    """What a stranger starts from may not lead into private modules."""
    text = re.sub(r"%%\w+%%", "name", scaffolded()[name])
    assert modules_imported(text) <= PUBLIC


def test_the_check_of_sources_can_fail():
    """Late imports are seen too."""
    text = "import taglm_core\ndef f():\n    from taglm_core.data import rows"
    assert modules_imported(text) - PUBLIC == {"taglm_core.data"}
