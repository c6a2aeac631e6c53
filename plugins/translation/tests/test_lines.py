"""Files in parallel: each line stays beside its own translation, or the file is named."""

import gzip

import pytest

from taglm_core.errors import DataError
from taglm_translation.sentences import read_sentences


def pair(folder, english, french, ending=""):
    """Write a Moses pair and return its first file."""
    for name, data in (("c.en", english), ("c.fr", french)):
        packed = gzip.compress(data) if ending else data
        (folder / f"{name}{ending}").write_bytes(packed)
    return folder / f"c.en{ending}"


def texts(file):
    """Return what was read, a tuple of English and French a line."""
    return [(s.texts.get("EN"), s.texts.get("FR")) for s in read_sentences(file)]


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("char", ["\r", "\u2028", "\x85", "\x0c"])
def test_white_space_inside_a_line_shifts_nothing(tmp_path, char, ending):
    """A stray carriage return in one file, in the other or in both is white space."""
    odd, plain = f"on{char}e\ntwo\n".encode(), b"un\ndeux\n"
    assert texts(pair(tmp_path, odd, plain, ending)) == [("on e", "un"), ("two", "deux")]
    assert texts(pair(tmp_path, plain, odd, ending)) == [("un", "on e"), ("deux", "two")]
    assert texts(pair(tmp_path, odd, odd, ending)) == [("on e", "on e"), ("two", "two")]


def test_byte_order_mark_and_line_ends_are_no_text(tmp_path):
    """One file may come from Windows and the other not."""
    file = pair(tmp_path, b"\xef\xbb\xbfone\r\ntwo\r\n", b"un\ndeux")
    assert texts(file) == [("one", "un"), ("two", "deux")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("été\nx\n".encode("latin1"), "c.fr: line 1, byte 0: 0xe9 is not UTF-8"),
        ("un\ndeux\n".encode("utf-16"), "c.fr: the text is UTF-16"),
        (b"un\rdeux\r", "c.fr: the lines end with a carriage return"),
        (b"un\nde\0ux\n", "c.fr: line 2, byte 5: a NUL byte"),
        (b"un\n", r"(?s)different numbers of lines: {'EN': 2, 'FR': 1} \(c.en, c.fr\)"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, data, message):
    """The fault is the file's and not the plugin's."""
    with pytest.raises(DataError, match=message):
        texts(pair(tmp_path, b"one\ntwo\n", data))
