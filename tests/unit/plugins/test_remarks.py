"""What plugins say of the rows of a task is kept where it can be used, and blamed where not."""

import pytest

from taglm_core.plugins.events import checked_result


def test_lines_and_report_are_kept():
    """The usual answer comes through whole."""
    said = {"summary": ("2 odd rows",), "report": {"odd": 2}}
    found, faults = checked_result("on_rows_loaded", said)
    assert found == {"summary": ["2 odd rows"], "report": {"odd": 2}}
    assert faults == []


@pytest.mark.parametrize(
    ("said", "kept", "words"),
    [
        ("odd", None, "expected {'summary'"),
        ({"summary": "odd", "report": {"n": 1}}, {"report": {"n": 1}}, "expected a list of lines"),
        ({"report": 3, "summary": ["x"]}, {"summary": ["x"]}, "expected a dictionary"),
        ({"lines": ["x"]}, None, "unknown key 'lines'"),
    ],
)
def test_nonsense_is_left_out_with_the_reason(said, kept, words):
    """The good part of an answer stays."""
    found, faults = checked_result("on_rows_loaded", said)
    assert found == kept
    assert len(faults) == 1
    assert words in faults[0]


def test_silence_is_no_fault():
    """None means that nothing is odd."""
    assert checked_result("on_rows_loaded", None) == (None, [])
