"""Names, isolation and messages of the registry."""

import subprocess
import sys
import types

import pluggy
import pytest

import taglm_core as taglm
from taglm_core.errors import DuplicateNameError, PluginError, UnknownNameError
from taglm_core.plugins import load_registry

hookimpl = pluggy.HookimplMarker("taglm")


def plugin(**hooks):
    """Return a plugin object with the given hook functions."""
    made = types.SimpleNamespace()
    for name, function in hooks.items():
        function.__name__ = name
        setattr(made, name, hookimpl(function))
    return made


def task(name):
    """Return a small task."""
    return taglm.Task(
        name=name, function_tag=name, template=f"x<{name}>", target=taglm.Regression(names="y")
    )


def test_short_and_full_names_find_the_same():
    """A unique short name is as good as the full one."""
    registry = load_registry(only=(), extra=[("a", plugin(register_tasks=lambda: [task("QED")]))])
    assert registry.tasks.get("QED") is registry.tasks.get("a/QED")


def test_a_short_name_of_two_plugins_is_an_error_at_use():
    """Both stay usable by their full names; the short one lists them."""
    both = [(n, plugin(register_tasks=lambda: [task("QED")])) for n in ("a", "b")]
    registry = load_registry(only=(), extra=both)
    assert not registry.failures
    assert registry.tasks.get("b/QED").source.name == "b"
    assert registry.tasks.get("QED", plugin="a").name == "a/QED"
    with pytest.raises(DuplicateNameError, match="a/QED, b/QED"):
        registry.tasks.get("QED")


def test_an_unknown_name_offers_the_nearest_and_the_distribution():
    """A misspelt name gets help; a known one that is absent gets the pip command."""
    registry = load_registry(only=(), extra=[("a", plugin(register_tasks=lambda: [task("Value")]))])
    with pytest.raises(UnknownNameError, match="Did you mean 'Value'"):
        registry.tasks.get("Valeu")
    with pytest.raises(UnknownNameError, match="pip install taglm-plugin-chem"):
        registry.tasks.get("QED")


def _raise():
    raise ValueError("broken on purpose")


@pytest.mark.parametrize(
    ("broken", "hook", "reason"),
    [
        (plugin(register_tasks=_raise), "register_tasks", "broken on purpose"),
        (plugin(register_tasks=lambda: ["QED"]), "register_tasks", "expected Task"),
        (plugin(register_tusks=lambda: []), "registration", "register_tusks"),
        (plugin(register_tasks=lambda surplus: []), "registration", "surplus"),
        (plugin(register_tasks=lambda: [task("A"), task("A")]), "register_tasks", "twice"),
    ],
)
def test_a_broken_plugin_is_charged_and_the_others_go_on(broken, hook, reason):
    """Each failure names plugin, hook and reason; a good plugin beside it works."""
    good = plugin(register_tasks=lambda: [task("Good")])
    registry = load_registry(only=(), extra=[("bad", broken), ("good", good)])
    assert registry.tasks.get("Good").name == "good/Good"
    failure = registry.failures[0]
    assert (failure.source.name, failure.hook) == ("bad", hook)
    assert reason in failure.reason


def test_strict_mode_raises(monkeypatch):
    """TAGLM_STRICT=1 turns a failure into an error."""
    monkeypatch.setenv("TAGLM_STRICT", "1")
    with pytest.raises(PluginError, match="broken on purpose"):
        load_registry(only=(), extra=[("bad", plugin(register_tasks=_raise))])


def test_a_failing_event_does_not_end_the_run():
    """An event's failure is recorded; the other plugin's result arrives."""

    def fails(event):
        raise RuntimeError("no")

    def works(event):
        return {"heard": event}

    registry = load_registry(
        only=(), extra=[("bad", plugin(on_evaluated=fails)), ("ok", plugin(on_evaluated=works))]
    )
    found = registry.send("on_evaluated", "x")
    assert [value for _, value in found] == [{"heard": "x"}]
    assert registry.failures[-1].hook == "on_evaluated"


LIBRARIES = ("torch", "transformers", "rdkit", "numpy", "sklearn", "pyarrow")
HEAVY = f"[m for m in {LIBRARIES} if m in sys.modules]"


@pytest.mark.parametrize("command", ["--help", "plugins"])
def test_listing_commands_import_nothing_heavy(command):
    """`taglm --help` and `taglm plugins` import neither torch nor rdkit."""
    code = f"""
import sys
sys.argv = ['taglm', {command!r}]
from taglm_core.cli.main import main
try:
    main()
except SystemExit:
    pass
print('HEAVY', {HEAVY})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr


def test_the_check_above_can_fail():
    """A process that imports numpy is caught."""
    code = f"import sys, numpy; print('HEAVY', {HEAVY})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY ['numpy']" in done.stdout
