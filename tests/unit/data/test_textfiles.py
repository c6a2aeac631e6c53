"""Opening text: every encoding, compression and line end is read, or named with its place."""

import gzip

import pytest

from taglm_core.data.readers import read_table
from taglm_core.data.textfiles import open_text, read_lines, read_text
from taglm_core.errors import DataError

TEXT = "smiles,Y\nCCO,1\nCCN,2\n"


def put(path, data, packed=False):
    """Write bytes, or text as UTF-8, and return the path."""
    data = data if isinstance(data, bytes) else data.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT.encode("utf-16"), "the text is UTF-16, not UTF-8.*iconv -f UTF-16 "),
        (TEXT.encode("utf-16-le"), "the text is UTF-16LE, not UTF-8"),
        (TEXT.encode("utf-16-be"), "the text is UTF-16BE, not UTF-8"),
        (TEXT.encode("utf-32"), "the text is UTF-32, not UTF-8"),
        (TEXT.encode("utf-32-le"), "the text is UTF-32LE, not UTF-8"),
        ("a,b\nx,“é”\n".encode("cp1252"), "line 2, byte 6: 0x93 is not UTF-8.*Windows-1252.*'“'"),
        ("a\nx\né\n".encode("latin1"), "line 3, byte 4: 0xe9 is not UTF-8. In Latin-1.*'é'"),
        ("a\nx\né".encode()[:-1], "line 3, byte 4: 0xc3 .*ends inside a character"),
        (b"a,b\nC\0C,1\n", r"line 2, byte 5: a NUL byte \(U\+0000\)"),
        (b"PK\x03\x04\x14\0\x06\0", "a zip archive or an Excel workbook"),
        (b"PAR1\x15\x04\x15\x10", "this is a parquet file. Name it .parquet"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.smi"])
def test_what_is_no_utf8_text_is_named(tmp_path, name, data, message, packed):
    """The message says what the file is, where the fault stands and what to do."""
    file = put(tmp_path / name, data, packed)
    with pytest.raises(DataError, match=message) as raised:
        read_table(file)
    assert str(file) in str(raised.value)
    with pytest.raises(DataError, match=message):
        read_text(file)


ROWS = {
    "csv": ("smiles,Y\nCCO,1\nCCN,2\n", {"smiles": ["CCO", "CCN"], "Y": ["1", "2"]}),
    "tsv": ("smiles\tY\nCCO\t1\nCCN\t2\n", {"smiles": ["CCO", "CCN"], "Y": ["1", "2"]}),
    "smi": ("CCO a\nCCN b\n", {"smiles": ["CCO", "CCN"], "name": ["a", "b"]}),
    "jsonl": ('{"a": 1}\n{"a": 2}\n', {"a": [1, 2]}),
    "fasta": (
        ">x\nMK\n>y\nMA\n",
        {"id": ["x", "y"], "description": ["", ""], "sequence": ["MK", "MA"]},
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("format", sorted(ROWS))
def test_every_line_end_gives_the_same_rows(tmp_path, format, end, bom, packed):
    """A file of an old Mac holds as many rows as one of Linux."""
    text, rows = ROWS[format]
    file = put(tmp_path / f"a.{format}", bom + text.replace("\n", end), packed)
    assert read_table(file).columns == rows


@pytest.mark.parametrize("format", ["smi", "fasta", "jsonl"])
def test_mixed_line_ends_lose_no_row(tmp_path, format):
    """A carriage return ends a line where no cell can hold one."""
    text, rows = ROWS[format]
    assert read_table(put(tmp_path / f"a.{format}", text.replace("\n", "\r", 1))).columns == rows


def test_a_carriage_return_inside_a_tsv_cell_stays(tmp_path):
    """Tables of sentences are cut at line feeds alone."""
    file = put(tmp_path / "a.tsv", "en\tfr\na\rb\tx\n")
    assert read_table(file).columns == {"en": ["a\rb"], "fr": ["x"]}


@pytest.mark.parametrize("char", ["\r", "\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c"])
@pytest.mark.parametrize("packed", [False, True])
def test_lines_in_parallel_end_at_the_line_feed_alone(tmp_path, char, packed):
    """Anything else would shift every line after it against the other file."""
    file = put(tmp_path / "a.en", f"one{char}two\nthree\r\nfour", packed)
    assert read_lines(file) == [f"one{char}two", "three", "four"]


def test_lines_in_parallel_of_an_old_mac_are_refused(tmp_path):
    """Whether a carriage return ends a line there is a guess."""
    file = put(tmp_path / "a.en", "one\rtwo\r")
    with pytest.raises(DataError, match=r"a.en: the lines end with a carriage return.*tr "):
        read_lines(file)


def test_a_fault_far_inside_is_placed(tmp_path):
    """Files are read in pieces, and the place counts from the first byte."""
    file = put(tmp_path / "a.en", b"x" * 70 + b"\n" + b"abc\n" * 100_000 + b"d\0\n")
    with pytest.raises(DataError, match="line 100002, byte 400072: a NUL byte"):
        read_lines(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """Readers of plugins name the nearest file as those of the core do."""
    put(tmp_path / "corpus.en", "a\n")
    with (
        pytest.raises(DataError, match=r"no such file.*Did you mean 'corpus.en'\?"),
        open_text(tmp_path / "corpus.eng"),
    ):
        pass
