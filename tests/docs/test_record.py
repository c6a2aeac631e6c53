"""The picture of a session: recorded from a real terminal, and safe to show anywhere."""

import importlib.util
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "session.svg"


@pytest.fixture(scope="module")
def record():
    """Import docs/record.py."""
    spec = importlib.util.spec_from_file_location("record", ROOT / "docs" / "record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def demand_self_contained(text):
    """Demand XML without scripts and without references to anything outside."""
    tags = [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()]
    assert not {"script", "foreignObject", "image", "a"} & set(tags)
    assert not re.search(r"\bon\w+=|url\(|@import|javascript:", text)
    links = re.findall(r'\b(?:href|src)="([^"]*)"', text)
    assert all(link.startswith("#") for link in links)
    assert "://" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_the_picture_is_self_contained_and_small():
    """It is shown by the README, in a page that allows no scripts."""
    text = PICTURE.read_text(encoding="utf-8")
    demand_self_contained(text)
    assert len(text) < 300_000
    assert f"]({PICTURE.relative_to(ROOT).as_posix()})" in (ROOT / "README.md").read_text()


def test_it_shows_the_commands_of_the_session(record):
    """A session that changes is recorded again."""
    shown = "".join(ElementTree.fromstring(PICTURE.read_text(encoding="utf-8")).itertext())
    for typed, _ in record.SESSION:
        assert typed in shown


def test_a_command_is_recorded_as_a_terminal_shows_it(record, tmp_path):
    """A line that is written over counts as one; colors are kept; the exit code is passed on."""
    recorder = record.Recorder()
    recorder.type("count")
    command = "printf 'one\\r'; printf '\\033[31mtwo\\033[0m <&\\n'; test -t 1 && exit 3"
    assert recorder.run(command, tmp_path, os.environ) == 3
    last = recorder.frames[-1].lines
    assert [(style.color, text) for style, _, text in last[1]] == [
        ("red", "two"),
        ("default", " <&"),
    ]
    text = record.picture(recorder.frames, note="a < b")
    demand_self_contained(text)
    assert "count" in text
    assert "&lt;&amp;" in text
    with pytest.raises(AssertionError):
        demand_self_contained(text.replace("</svg>", '<use href="http://x.y/z"/></svg>'))


def test_frames_are_shown_faster_and_the_shortest_not_at_all(record):
    """A pause is kept as it is."""
    frames = [record.Frame((), second) for second in (0.0, 30.0, 31.0)]
    shown, end = record.timed([*frames, record.Frame((), 60.0, 2.0)])
    assert [(at, frame.seconds) for at, frame in shown] == [(0.0, 0.0), (1.0, 31.0), (2.0, 60.0)]
    assert end == 4.0
