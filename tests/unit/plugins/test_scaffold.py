"""The scaffold of a plugin: names, files, and that what it writes keeps the contract."""

import importlib
import sys
import tomllib

import pytest

from taglm_core.cli.new_plugin import write_new_folder
from taglm_core.errors import ConfigError, DataError
from taglm_core.plugins import load_registry
from taglm_core.plugins.scaffold import plugin_files, plugin_names
from taglm_core.testing import check_plugin


def test_names_follow_from_the_plugins_name():
    """One word decides package, distribution, tag and task."""
    names = plugin_names("my_domain")
    assert names.package == "taglm_my_domain"
    assert names.distribution == "taglm-plugin-my-domain"
    assert (names.tag, names.field, names.task) == ("MyDomain", "mydomain", "MyDomainContent")
    assert plugin_names("demo", "RNA").task == "RNAContent"


@pytest.mark.parametrize(
    ("name", "tag", "message"),
    [
        ("My-Plugin", None, "such as 'my_plugin'"),
        ("1st", None, "a letter first, such as 'demo'"),
        ("", None, "such as 'demo'"),
        ("class", None, "'class' is a word of the Python language.*'class_data'"),
        ("chem", None, "'taglm_chem' is installed already.*Take another name"),
        ("core", None, "'taglm_core' is installed already"),
        ("demo", "D N A", "a letter first, such as 'DNA'"),
        ("demo", "5S", "a tag is written <5S>"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name, tag, message):
    """The message says why and offers one that can."""
    with pytest.raises(ConfigError, match=message):
        plugin_names(name, tag)


def test_every_hook_is_named():
    """A beginner learns what a plugin may register; a new hook has to be told too."""
    from taglm_core.plugins.implementations import SPECIFIED

    text = "".join(plugin_files(plugin_names("demo")).values())
    missing = [hook for hook in SPECIFIED if hook.startswith("register_") and hook not in text]
    assert missing == []


def test_every_place_is_filled_and_the_package_is_complete():
    """Nothing of the templates' own language is left; the project file is what pip needs."""
    files = plugin_files(plugin_names("demo"))
    assert "%%" not in "".join(files.values())
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".gitignore",
        ".github/workflows/tests.yml",
        "taglm_demo/__init__.py",
        "taglm_demo/encoder.py",
        "taglm_demo/py.typed",
        "tests/test_contract.py",
    } <= set(files)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["entry-points"]["taglm"] == {"demo": "taglm_demo"}
    assert "taglm>=0.1,<0.2" in project["dependencies"]


def test_the_license_is_the_projects_own(pytestconfig):
    """The copy beside the templates may not fall behind."""
    license = (pytestconfig.rootpath / "LICENSE").read_text()
    assert plugin_files(plugin_names("demo"))["LICENSE"] == license


@pytest.mark.parametrize("tag", [None, "DNA", "a"])
def test_what_is_written_keeps_the_contract(tag, tmp_path, monkeypatch):
    """A beginner's first `pytest` must be green, whatever the tag is called."""
    names = plugin_names("demo", tag)
    write_new_folder(tmp_path / "new", plugin_files(names))
    monkeypatch.syspath_prepend(str(tmp_path / "new"))
    module = importlib.import_module("taglm_demo")
    try:
        registry = load_registry(only=(), extra=[("demo", module)])
        made = check_plugin("demo", registry)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "taglm_demo"]:
            del sys.modules[name]
    assert [check for check in made if check.outcome != "passed"] == []
    assert {check.kind for check in made} >= {"domain", "encoder", "task", "dataset", "metric"}


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    """Nothing of the user's is ever overwritten."""
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="already exists and was not changed.*--out"):
        write_new_folder(tmp_path / "mine", {"a": "b"})
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    """A failure half-way leaves neither a half package nor a temporary folder."""
    with pytest.raises(OSError, match="name"):
        write_new_folder(tmp_path / "new", {"a": "b", "x" * 300: "too long a name"})
    assert list(tmp_path.iterdir()) == []
