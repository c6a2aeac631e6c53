"""What `taglm predict` reads: words of any locale, and a standard input that may be closed."""

import os
import sys

import pytest

from taglm_core.cli.streams import chosen_input, opened_input
from taglm_core.errors import ConfigError


def test_values_are_text_in_every_locale():
    """Python hands over the bytes of other characters as halves, which no file can hold."""
    word = "CC\u00e9"
    assert chosen_input([word, "CCO"], None) == [word, "CCO"]
    halves = word.encode().decode("ascii", "surrogateescape")
    assert chosen_input([halves], None) == [word]
    with pytest.raises(ConfigError, match="is not UTF-8"):
        chosen_input(["CC\udce9"], None)


def test_a_closed_standard_input_is_said(monkeypatch):
    """`taglm predict runs/QED - <&-`, as some schedulers start programs."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="standard input is closed"), opened_input("-", "csv"):
        pass


def test_a_pipe_is_read_as_standard_input(tmp_path):
    """What a shell makes of <(command) is no value."""
    os.mkfifo(tmp_path / "pipe")
    for word in (str(tmp_path / "pipe"), "/dev/null"):
        with pytest.raises(ConfigError, match=f"'{word}' is not a regular file.*: - < {word}"):
            chosen_input([word], None)
    assert chosen_input(["C" * 5000, "C\0C"], None) == ["C" * 5000, "C\0C"]
