"""The pytest plugin that the core ships: one test for each check, lazily."""

import subprocess
import sys

import pytest

TEST = """
import pytest

@pytest.mark.taglm_plugin("{name}")
def test_contract(plugin_check):
    plugin_check()
"""


def run(folder, text, *words):
    """Run pytest on one file in a fresh process, as a plugin's author does."""
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_each_check_is_a_test_with_its_name(tmp_path):
    """A failure is seen at a glance, and one check can be run alone."""
    done = run(tmp_path, TEST.format(name="nano"), "--collect-only", "-q", "--strict-markers")
    assert "test_it.py::test_contract[backbone:nano:source]" in done.stdout, done.stdout
    alone = run(tmp_path, TEST.format(name="nano"), "-k", "backbone and source", "-q")
    assert "1 passed" in alone.stdout, alone.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEST.format(name="nanno"), "unknown plugin 'nanno'. Did you mean 'nano'"),
        ("def test_contract(plugin_check): plugin_check()", "plugin_check needs the plugin's name"),
    ],
)
def test_a_wrong_use_is_one_message(text, message, tmp_path):
    """An unknown name is an error while collecting, not a test that passes."""
    done = run(tmp_path, text)
    assert done.returncode != 0
    assert message in done.stdout, done.stdout
    assert "Traceback" not in done.stdout


def test_failures_and_skips_carry_their_reason(tmp_path):
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
    done = run(tmp_path, text, "-rs")
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
    done = run(tmp_path, text, "-q", "-p", "no:anyio")
    assert "1 passed" in done.stdout, done.stdout
    code = "import sys, taglm_core.testing.contract.suite; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
