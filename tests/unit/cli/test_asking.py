"""Questions at the terminal: asked again until an answer is chosen, or an error without one."""

import io
import sys

from taglm_core.cli.asking import ask_person, person_at_terminal
from taglm_core.data.recognition import refuse_to_ask


class Terminal(io.StringIO):
    """Text typed at a terminal."""

    def isatty(self):
        """Say that a person is there."""
        return True


def test_a_person_is_asked_until_an_answer_fits(monkeypatch, capsys):
    """Question and answers go to stderr, numbered from 1; what is given back counts from 0."""
    monkeypatch.setattr(sys, "stdin", Terminal("9\nQY\n2\n"))
    assert ask_person("Which column?", ["LogS", "QY"], "--target NAME") == 1
    shown = capsys.readouterr()
    assert not shown.out.strip()
    for text in ("Which column?", "  1  LogS", "  2  QY", "Number"):
        assert text in shown.err
    assert shown.err.count("Number") == 3


def test_nobody_is_asked_without_a_terminal(monkeypatch):
    """A program that waits for an answer would wait for ever."""
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert person_at_terminal() is ask_person
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert person_at_terminal() is refuse_to_ask
