"""What the set-up of the tests installs: no test is skipped for want of a package."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def optional_packages():
    """Return the packages without which a test is skipped, and the file of one such test."""
    files = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/**/*.py")]
    pattern = re.compile(r"importorskip\(\"(\w+)[\w.]*\"\)")
    return {name: file for file in files for name in pattern.findall(file.read_text())}


@pytest.mark.parametrize("name", sorted(optional_packages()))
def test_the_set_up_installs_what_a_test_is_skipped_without(name):
    """A test that is skipped wherever `make test` runs guards nothing."""
    file = optional_packages()[name].relative_to(ROOT)
    assert importlib.util.find_spec(name), f"{file} needs {name}; see `setup` in the Makefile"
