"""Finding plugins among installed distributions, broken ones included."""

import sys

import broken_plugins
import pytest
from broken_plugins import KINDS, Package, check_reports, hook, write_distribution

from taglm_core.errors import DuplicateNameError, PluginError, UnknownNameError
from taglm_core.plugins import load_registry


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that puts a distribution on the path of this process."""

    def put(broken):
        folder = write_distribution(tmp_path / broken.kind, broken)
        monkeypatch.syspath_prepend(str(folder))
        for name in [m for m in sys.modules if m.startswith("broken_") and m != "broken_plugins"]:
            monkeypatch.delitem(sys.modules, name)
        return folder

    return put


def listed(registry):
    """Return failures as `taglm plugins --json` does."""
    return {
        "failures": [
            {
                "plugin": f.source.name,
                "distribution": f.source.distribution,
                "version": f.source.version,
                "hook": f.hook,
                "reason": f.reason,
            }
            for f in registry.failures
        ]
    }


@pytest.mark.parametrize("broken", KINDS, ids=lambda broken: broken.kind)
def test_each_kind_is_reported_and_the_others_register(broken, install):
    """Plugin, distribution, version, hook and reason; the real plugins are all there."""
    install(broken)
    registry = load_registry()
    if broken.kind != "bad-commands":  # the words of commands belong to the program
        check_reports(broken, listed(registry))
    assert registry.tasks.get("chem/QED").source.distribution == "taglm-plugin-chem"
    assert registry.backbones.get("nano").name == "nano/nano"


@pytest.mark.parametrize("broken", [k for k in KINDS if k.reports][:10], ids=lambda b: b.kind)
def test_strict_mode_makes_each_an_error(broken, install, monkeypatch):
    """TAGLM_STRICT=1 names the same facts in an error."""
    install(broken)
    monkeypatch.setenv("TAGLM_STRICT", "1")
    with pytest.raises(PluginError, match=broken.distribution) as caught:
        load_registry()
    assert broken_plugins.VERSION in str(caught.value)
    assert "TAGLM_STRICT" in str(caught.value)


def test_short_name_of_two_distributions(install):
    """Both are usable by their full names."""
    install(next(k for k in KINDS if k.kind == "taken-short-name"))
    registry = load_registry()
    assert registry.failures == []
    assert registry.tasks.get("taken-short-name/QED").source.version == broken_plugins.VERSION
    with pytest.raises(DuplicateNameError, match="chem/QED, taken-short-name/QED"):
        registry.tasks.get("QED")


@pytest.mark.parametrize("name", ["core", "local", "a/b", "9lives"])
def test_names_that_cannot_qualify(name, install):
    """A reserved or malformed plugin name is refused with the rule."""
    install(
        Package(
            kind="odd-name",
            source=broken_plugins.IMPORT + hook("register_tasks", "return []"),
            entry_points=f"[taglm]\n{name} = broken_odd_name\n",
        )
    )
    (failure,) = load_registry().failures
    assert failure.hook == "registration"
    assert "Rename the entry point" in failure.reason


def test_an_entry_point_that_is_no_module_name(install):
    """A malformed value is named as it stands."""
    install(Package(kind="odd-value", entry_points="[taglm]\nodd-value = not/a-module\n"))
    (failure,) = load_registry().failures
    assert "'not/a-module', which is not of the form" in failure.reason


def test_metadata_without_name_or_version(install):
    """A distribution whose METADATA is gone is still reported, as unknown."""
    folder = install(Package(kind="bare", source="raise RuntimeError('bare')\n"))
    (info,) = folder.glob("*.dist-info")
    (info / "METADATA").write_text("")
    (failure,) = load_registry().failures
    assert (failure.source.name, failure.source.distribution) == ("bare", "unknown")


def test_taglm_plugins_restricts(monkeypatch):
    """Only the named plugins are imported; the core is always there."""
    monkeypatch.setenv("TAGLM_PLUGINS", "nano, studies")
    registry = load_registry()
    assert [p.source.name for p in registry.plugins] == ["core", "nano", "studies"]
    assert registry.notes == []


def test_an_unknown_name_in_taglm_plugins(monkeypatch):
    """It is a note that offers the nearest, and an error in strict mode."""
    monkeypatch.setenv("TAGLM_PLUGINS", "nano,chme")
    (note,) = load_registry().notes
    assert "'chme'" in note
    assert "Did you mean 'chem'?" in note
    monkeypatch.setenv("TAGLM_STRICT", "1")
    with pytest.raises(UnknownNameError, match="chme"):
        load_registry()
