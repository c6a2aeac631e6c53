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


class Unshowable:
    """An object whose own repr fails."""

    def __repr__(self):
        raise ValueError


class Unlistable:
    """An object that cannot even be looked at."""

    def __dir__(self):
        raise RuntimeError("no attributes today")


@pytest.mark.parametrize(
    ("broken", "hook", "reason"),
    [
        (plugin(register_tasks=_raise), "register_tasks", "broken on purpose"),
        (plugin(register_tasks=lambda: ["QED"]), "register_tasks", "expected Task"),
        (plugin(register_tusks=lambda: []), "register_tusks", "Did you mean 'register_tasks'"),
        (plugin(register_tasks=lambda surplus: []), "register_tasks", "argument 'surplus'"),
        (plugin(register_optimizers=lambda: []), "register_optimizers", "needs a newer taglm"),
        (plugin(register_tasks=lambda: task("A")), "register_tasks", "expected a list of Task"),
        (plugin(register_tasks=lambda: (t for t in [])), "register_tasks", "expected a list"),
        (plugin(register_tasks=lambda: 7), "register_tasks", "returned 7"),
        (plugin(register_tasks=lambda: [Unshowable()]), "register_tasks", "cannot be shown"),
        (plugin(register_tasks=lambda: sys.exit(3)), "register_tasks", "SystemExit: 3"),
        (plugin(register_tasks=lambda: taglm.Task(nam="A")), "register_tasks", "newer taglm"),
        (plugin(register_tasks=lambda: taglm.Tusk()), "register_tasks", "newer taglm"),
        (types.SimpleNamespace(), "registration", "implements no hook"),
        (types.SimpleNamespace(register_tasks=lambda: []), "register_tasks", "@taglm.hookimpl"),
        (Unlistable(), "registration", "no attributes today"),
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


def test_what_is_good_in_a_broken_plugin_stays():
    """The good items of a list and the other hooks of the plugin count."""
    registry = load_registry(
        only=(),
        extra=[
            (
                "half",
                plugin(
                    register_tasks=lambda: [task("A"), "nonsense", task("B")],
                    register_domains=_raise,
                    register_tusks=lambda: [],
                    register_splitters=lambda: [taglm.Splitter(name="mine", groups="m:f")],
                ),
            )
        ],
    )
    assert {item.name for item in registry.tasks} == {"half/A", "half/B"}
    assert registry.splitters.get("mine").name == "half/mine"
    assert {failure.hook for failure in registry.failures} == {
        "register_tasks",
        "register_domains",
        "register_tusks",
    }
    assert any("item 2" in failure.reason for failure in registry.failures)


def test_a_reason_says_where_in_the_plugin():
    """File and line of the plugin's own code stand in the reason."""
    registry = load_registry(only=(), extra=[("bad", plugin(register_tasks=_raise))])
    assert "plugins/test_registry.py, line " in registry.failures[0].reason


def test_an_interrupt_by_the_user_is_no_failure():
    """Ctrl-C during registration ends the program as anywhere else."""

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_registry(only=(), extra=[("bad", plugin(register_tasks=interrupted))])


def test_what_a_plugin_prints_goes_to_stderr(capsys):
    """Results on stdout stay readable for programs."""

    def noisy():
        sys.stdout.write("hello from a plugin")
        return []

    load_registry(only=(), extra=[("noisy", plugin(register_tasks=noisy))])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello from a plugin" in captured.err


def test_a_hook_marked_optional_may_be_unknown():
    """A plugin can serve this core and a newer one with `hookimpl(optionalhook=True)`."""

    def register_optimizers():
        return []

    made = types.SimpleNamespace(
        register_optimizers=pluggy.HookimplMarker("taglm")(optionalhook=True)(register_optimizers),
        register_tasks=hookimpl(_named("register_tasks", lambda: [task("A")])),
    )
    registry = load_registry(only=(), extra=[("ahead", made)])
    assert registry.failures == []
    assert registry.tasks.get("A").name == "ahead/A"


def _named(name, function):
    function.__name__ = name
    return function


def test_strict_mode_raises(monkeypatch):
    """TAGLM_STRICT=1 turns a failure into an error."""
    monkeypatch.setenv("TAGLM_STRICT", "1")
    with pytest.raises(PluginError, match="broken on purpose"):
        load_registry(only=(), extra=[("bad", plugin(register_tasks=_raise))])


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("nonsense", "returned 'nonsense'"),
        ({"heard": 1}, "unknown key 'heard'"),
        ({"summary": "one"}, "the summary is 'one'"),
        ({"report": [1]}, "the report is [1]"),
    ],
)
def test_a_failing_event_does_not_end_the_run(returned, reason):
    """What raises or returns nonsense is recorded; the other plugin's result arrives."""
    good = {"summary": ["one line"], "report": {"rows": 3}}

    def fails(event):
        raise RuntimeError("no")

    extra = [
        ("bad", plugin(on_rows_loaded=fails)),
        ("odd", plugin(on_rows_loaded=lambda event: returned)),
        ("ok", plugin(on_rows_loaded=lambda event: good)),
    ]
    registry = load_registry(only=(), extra=extra)
    found = registry.send("on_rows_loaded", types.SimpleNamespace())
    assert [(source.name, value) for source, value in found] == [("ok", good)]
    first, second = registry.failures
    assert (first.source.name, first.hook) == ("bad", "on_rows_loaded")
    assert (second.source.name, second.hook) == ("odd", "on_rows_loaded")
    assert reason in second.reason


def test_what_is_good_in_an_event_result_stays():
    """One wrong entry does not take the other with it."""
    half = {"summary": ["fine"], "report": 3}
    registry = load_registry(only=(), extra=[("half", plugin(on_rows_loaded=lambda event: half))])
    ((_, value),) = registry.send("on_rows_loaded", types.SimpleNamespace())
    assert value == {"summary": ["fine"]}
    assert "the report is 3" in registry.failures[0].reason


def test_an_event_that_expects_nothing_reports_what_it_gets():
    """What a plugin returns from it would be lost in silence."""
    registry = load_registry(only=(), extra=[("odd", plugin(on_evaluated=lambda event: {"a": 1}))])
    assert registry.send("on_evaluated", types.SimpleNamespace()) == []
    assert "nothing is expected of this hook" in registry.failures[0].reason


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


def test_a_deprecated_hook_warns_and_works(monkeypatch):
    """Pluggy's `warn_on_impl` reaches the author of a plugin through the isolation."""
    from taglm_core.plugins import hookspecs

    warning = DeprecationWarning("register_commands goes in 0.3; use register_words")
    monkeypatch.setitem(hookspecs.register_commands.taglm_spec, "warn_on_impl", warning)
    command = taglm.Command(name="speak", help="Speak.", app="m:f")
    with pytest.warns(DeprecationWarning, match="goes in 0.3; use register_words"):
        registry = load_registry(
            only=(), extra=[("old", plugin(register_commands=lambda: [command]))]
        )
    assert registry.failures == []
    assert registry.commands.get("speak").name == "old/speak"
