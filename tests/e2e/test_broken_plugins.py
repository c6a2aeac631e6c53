"""Package plugin packages beside the real ones: the program works, the numbers stay the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from broken_plugins import (
    IMPORT,
    KINDS,
    VERSION,
    Package,
    call,
    check_program,
    hook,
    small_run,
    write_distribution,
    write_wheel,
)

NAMED = {broken.kind: broken for broken in KINDS}


@pytest.mark.slow
def test_every_kind_installed_one_after_another(tmp_path):
    """The program lists all that works after each; beside all of them a run gives the same."""
    healthy = json.loads(call("plugins", "--json"))
    others = {plugin["name"]: plugin["registers"] for plugin in healthy["plugins"]}
    expected = small_run(tmp_path / "healthy")
    assert expected["splits"]["test"]["metrics"]["mae"] > 0
    folders, task = [], "QED"
    for broken in KINDS:
        folders.append(write_distribution(tmp_path / broken.kind, broken))
        check_program(broken, folders, others)
        if broken.breaks_libraries:
            folders.pop()  # torch itself does not start beside it
        elif broken.task != "QED":
            task = broken.task
    # every plugin stays where it is, so one run speaks for all; `python tests/broken_plugins.py`
    # runs after each, to find which
    assert small_run(tmp_path / "all", folders, task) == expected


@pytest.mark.slow
def test_pip_alone_installs_and_removes_a_plugin(tmp_path):
    """After `pip install` it is there, after `pip uninstall` it is gone; nothing else is needed."""
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (packages / "here.pth").write_text("\n".join(p for p in sys.path if Path(p).is_dir()) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]

    def names():
        listing = json.loads(call("plugins", "--json", python=python))
        own = [p for p in listing["plugins"] if p["name"] == "wrong-types"]
        return own, [f for f in listing["failures"] if f["plugin"] == "wrong-types"]

    assert names() == ([], [])
    wheel = write_wheel(tmp_path, NAMED["wrong-types"])
    install = [*pip, "install", "--no-index", "--no-deps", wheel]
    subprocess.run(install, check=True, capture_output=True)
    own, failures = names()
    assert own[0]["distribution"] == "taglm-broken-wrong-types"
    assert own[0]["version"] == VERSION
    assert own[0]["registers"] == {"tasks": ["Kept"]}
    assert len(failures) == 4
    remove = [*pip, "uninstall", "--yes", "taglm-broken-wrong-types"]
    subprocess.run(remove, check=True, capture_output=True)
    assert names() == ([], [])


def test_the_words_of_the_core_stay_its_own(tmp_path):
    """A command that shadows one is listed, and callable by its full name."""
    folder = write_distribution(tmp_path / "p", NAMED["bad-commands"])
    listing = json.loads(call("plugins", "--json", folders=[folder]))
    (failure,) = [f for f in listing["failures"] if f["plugin"] == "bad-commands"]
    assert failure["hook"] == "register_commands"
    assert "`taglm bad-commands/run` runs the plugin's" in failure["reason"]
    assert "Train a predictor" in call("run", "--help", folders=[folder])


def test_a_command_that_cannot_be_imported_ends_alone(tmp_path):
    """Its own call is one message; the word as a mere argument imports nothing."""
    folder = write_distribution(tmp_path / "p", NAMED["bad-commands"])
    message = call("explode", folders=[folder], code=1)
    assert "taglm-broken-bad-commands 7.1" in message
    assert "command 'explode'" in message
    assert "SystemExit: boom" in message
    assert "Traceback" not in message
    assert "explode" in call("--help", folders=[folder])
    assert "fingerprint" in call("tags", "list", folders=[folder], TAGLM_HOME=tmp_path / "home")
    message = call("tags", "show", "explode", folders=[folder], code=1, TAGLM_HOME=tmp_path / "h")
    assert "holds no tag 'explode'" in message


def command(kind, word):
    """Return a healthy plugin with one command that says its name."""
    text = f"def app():\n    '''Speak.'''\n    print('this is {kind}')\n"
    module = f"broken_{kind}"
    register = (
        f"return [taglm.Command(name={word!r}, help='Speak.', app='{module}_app:app'),"
        f" taglm.Command(name='own-{kind}', help='Speak.', app='{module}_app:app')]"
    )
    return Package(
        kind=kind,
        source=IMPORT + hook("register_commands", register),
        modules=((f"{module}_app", text),),
    )


def test_one_word_of_two_plugins(tmp_path):
    """The short word is an error that lists both; each full name works."""
    folders = [write_distribution(tmp_path / k, command(k, "speak")) for k in ("one", "two")]
    assert call("own-one", folders=folders) == "this is one\n"
    assert call("two/speak", folders=folders) == "this is two\n"
    message = call("speak", folders=folders, code=1)
    assert "one/speak, two/speak" in message


def test_something_that_is_no_command(tmp_path):
    """An app of a wrong type is refused with what was expected."""
    broken = Package(
        kind="number",
        source=IMPORT
        + hook(
            "register_commands",
            "return [taglm.Command(name='count', help='x', app='broken_number:SEVEN')]",
        )
        + "SEVEN = 7\n",
    )
    folder = write_distribution(tmp_path / "p", broken)
    assert "expected a typer.Typer or a function, not int" in call(
        "count", folders=[folder], code=1
    )


def test_a_misspelt_name_in_taglm_plugins_is_one_warning(tmp_path):
    """The line goes to stderr and the program goes on."""
    program = [sys.executable, "-m", "taglm_core.cli.main", "plugins", "--json"]
    environment = {**os.environ, "TAGLM_PLUGINS": "chmistry,nano"}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert len(done.stderr.splitlines()) == 1
    assert "TAGLM_PLUGINS names 'chmistry'" in done.stderr
    assert {p["name"] for p in json.loads(done.stdout)["plugins"]} == {"core", "nano"}


def test_strict_mode_ends_the_program_with_one_message(tmp_path):
    """TAGLM_STRICT=1 is for test suites of plugins: nothing goes on unseen."""
    folder = write_distribution(tmp_path / "p", NAMED["raises-on-registration"])
    alone = {"TAGLM_STRICT": "1", "TAGLM_PLUGINS": "raises-on-registration"}
    message = call("plugins", folders=[folder], code=1, **alone)
    assert message.startswith("error: plugin 'raises-on-registration'")
    assert "not today" in message


@pytest.mark.slow
def test_doctor_reports_a_broken_plugin(tmp_path):
    """Exit code 1, the failure and what to do; stdout stays JSON beside a noisy plugin."""
    kinds = ("raises-on-import", "noisy")
    folders = [write_distribution(tmp_path / kind, NAMED[kind]) for kind in kinds]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    environment["TAGLM_PLUGINS"] = ",".join(("nano", *kinds))
    program = [sys.executable, "-m", "taglm_core.cli.main", "doctor", "--json"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    failed = [c for c in json.loads(done.stdout)["checks"] if c["status"] == "fail"]
    assert len(failed) == 1
    assert "no license key" in failed[0]["found"]
    assert "pip install --upgrade taglm-broken-raises-on-import" in failed[0]["advice"]
