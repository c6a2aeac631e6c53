"""The pytest plugin that the core ships: one test for each check, lazily."""

import contextlib
import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

OTHERS = ("anyio", "schemathesis", "hypothesispytest", "xdist", "pytest_cov")
"""Plugins that every run of pytest loads; the tests here are not of them."""

TEST = """
import pytest

@pytest.mark.taglm_plugin("{name}")
def test_contract(plugin_check):
    plugin_check()
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs pytest on one file, with no plugin but ours, by its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def call(text, *words):
        (tmp_path / "test_it.py").write_text(text)
        without = ["-p", "no:cacheprovider", "-p", "no:faulthandler", "--import-mode=importlib"]
        written = io.StringIO()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            code = pytest.main(["-p", "taglm", *without, *words, "test_it.py"])
        return SimpleNamespace(returncode=code, stdout=written.getvalue())

    yield call
    sys.modules.pop("test_it", None)


def test_each_check_is_a_test_with_its_name(run):
    """A failure is seen at a glance, and one check can be run alone."""
    text = TEST.format(name="nano")
    alone = run(text, "-k", "backbone and source", "-v", "--strict-markers")
    assert "test_it.py::test_contract[backbone:nano:source]" in alone.stdout, alone.stdout
    assert "1 passed" in alone.stdout, alone.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEST.format(name="nanno"), "unknown plugin 'nanno'. Did you mean 'nano'"),
        ("def test_contract(plugin_check): plugin_check()", "plugin_check needs the plugin's name"),
    ],
)
def test_a_wrong_use_is_one_message(text, message, run):
    """An unknown name is an error while collecting, not a test that passes."""
    done = run(text)
    assert done.returncode != 0
    assert message in done.stdout, done.stdout
    assert "Traceback" not in done.stdout


def test_failures_and_skips_carry_their_reason(run):
    """The author reads what to fix, without a traceback through our code."""
    text = """
import pytest
from taglm_core.testing.contract.outcomes import NotApplicable, demand
from taglm_core.testing.contract.report import Planned, Rule

def broken(subject):
    "Never holds."
    demand(False, "fix the alphabet")

def elsewhere(subject):
    "Cannot be checked."
    raise NotApplicable("no row to try")

PLANNED = [Planned("encoder", "X", Rule(function), None) for function in (broken, elsewhere)]

@pytest.mark.parametrize("plugin_check", PLANNED, indirect=True)
def test_contract(plugin_check):
    plugin_check()
"""
    done = run(text, "-rs")
    assert "1 failed, 1 skipped" in done.stdout, done.stdout
    assert "fix the alphabet" in done.stdout
    assert "no row to try" in done.stdout
    assert "def demand" not in done.stdout


def test_pytest_starts_without_torch_and_taglm_without_pytest(tmp_path):
    """The entry point is loaded by every run of pytest, and pytest is no dependency of taglm."""
    text = """
import sys

def test_nothing_heavy():
    assert not {"torch", "numpy", "transformers"} & set(sys.modules)
    assert "taglm_core.testing.pytest_plugin" in sys.modules
"""
    (tmp_path / "test_it.py").write_text(text)
    others = [word for name in OTHERS for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *others]
    done = subprocess.run([*command, "test_it.py"], cwd=tmp_path, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout
    code = "import sys, taglm_core.testing.contract.suite; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
