"""Progress on the terminal and in lines: nested stages, what stays of them, who is asked."""

import io

import pytest
from rich.console import Console

from taglm_core.cli import bars
from taglm_core.progress import _CURRENT, outer_bar, progress_bar, reporting


@pytest.fixture
def shown(monkeypatch):
    """Return a function that runs work under a display and gives what is shown."""

    def run(work, is_terminal, seconds=0.0):
        clock = iter(range(10_000))
        monkeypatch.setattr(bars.time, "monotonic", lambda: next(clock) * seconds)
        file = io.StringIO()
        console = Console(file=file, force_terminal=is_terminal, width=80, soft_wrap=True)
        monkeypatch.setattr(bars, "errors", console)
        with reporting(bars.BarProgress()):
            work()
        return file.getvalue()

    return run


def two_stages():
    """Read, and fit with a score."""
    with progress_bar("reading"), progress_bar("canonicalizing", 3) as advance:
        advance(3)
    with progress_bar("fitting", 2) as advance:
        advance(1, "loss 0.5")
        advance(2, "loss 0.4")


def test_lines_where_there_is_no_terminal(shown):
    """A stage of known length is announced, its scores follow; a short one leaves nothing."""
    text = shown(two_stages, is_terminal=False)
    assert text.splitlines() == ["fitting", "  1/2: loss 0.5", "  2/2: loss 0.4"]


def test_a_long_stage_leaves_a_line_with_its_seconds(shown):
    """Also one that never says how far it is, and one inside another."""
    lines = shown(two_stages, is_terminal=False, seconds=6.0).splitlines()
    assert lines[0] == "canonicalizing"
    assert lines[1].startswith("reading: ")
    assert lines[1].endswith(" s")


def two_runs():
    """Run the two stages twice, under a bar over both."""
    with outer_bar(_CURRENT.get(), "2 runs", 2) as advance:
        for i in range(2):
            advance(i, f"fold-{i + 1}; about 3 min left")
            two_stages()


def test_runs_of_several_have_the_lines_of_one(shown):
    """The bar over all of them takes nothing away from each, and leaves no line of its own."""
    for seconds in (0.0, 6.0):
        one = shown(two_stages, is_terminal=False, seconds=seconds).splitlines()
        both = shown(two_runs, is_terminal=False, seconds=seconds).splitlines()
        assert both == one * 2


def test_a_bar_over_several_runs_says_which_and_how_long(shown):
    """On a terminal it stands above the bars of the present run until the last one is done."""
    text = shown(two_runs, is_terminal=True, seconds=6.0)
    assert "2 runs" in text
    assert "1/2" in text
    assert "fold-2; about 3 min left" in text
    assert "    canonicalizing" in text
    assert "2 runs: " not in text


def test_bars_of_a_terminal_show_both_stages_and_go_away(shown):
    """The bar is drawn; what stays is a line for each stage that took long."""
    text = shown(two_stages, is_terminal=True, seconds=6.0)
    assert "  canonicalizing" in text
    assert "ETA" in text
    assert "fitting: " in text
    assert "loss" in text.rpartition("fitting: ")[2]


def test_nobody_asked(capsys):
    """A plugin's bar without a display shows nothing, and the work is done."""
    with progress_bar("docking", 2) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_an_error_ends_the_bars(shown):
    """Nothing is drawn over the message."""

    def fail():
        with pytest.raises(ValueError, match="bad"), progress_bar("one"), progress_bar("two", 1):
            raise ValueError("bad")
        with progress_bar("three", 1):
            pass

    assert shown(fail, is_terminal=False).splitlines() == ["three"]
