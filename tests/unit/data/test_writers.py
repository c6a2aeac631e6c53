"""Writing tables: loss-free, whole or not at all, faults found before the work."""

import gzip
import json
import math

import numpy as np
import pytest

from taglm_core.data.readers import read_table
from taglm_core.data.writers import TableWriter, cell_text
from taglm_core.errors import DataError, ShapeError

TEXT = ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz"]


def write_chunks(path, *chunks):
    """Write chunks; an exception among them is raised where a chunk is due."""
    with TableWriter(path) as writer:
        for chunk in chunks:
            if isinstance(chunk, BaseException):
                raise chunk
            writer.write(chunk)


def names_in(folder):
    """Return the names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("format", [*TEXT, "parquet"])
def test_written_cells_are_read_back(tmp_path, format):
    """Input columns of a prediction must come out as they went in."""
    columns = {"smiles": ["CCO", "", "é,\"'x"], "Y": ["1.50", " ", "NA"]}
    path = tmp_path / f"a.{format}"
    with TableWriter(path) as writer:
        writer.write({name: values[:2] for name, values in columns.items()})
        writer.write({name: values[2:] for name, values in columns.items()})
    assert read_table(path).columns == columns
    assert names_in(tmp_path) == [path.name]


def test_csv_keeps_line_ends_and_quotes(tmp_path):
    """A lone carriage return is a line end to readers, so it needs quotes."""
    columns = {"a": ["1\n2", "1\r2", "1\r\n2", 'x"y', ""]}
    with TableWriter(tmp_path / "a.csv") as writer:
        writer.write(columns)
    assert read_table(tmp_path / "a.csv").columns == columns


@pytest.mark.parametrize("format", [*TEXT, "parquet"])
def test_numbers_survive_exactly(tmp_path, format):
    """The shortest text that reads as the same number, of either width."""
    values = [0.1 + 0.2, 1 / 3, 1e-300, -0.0, 123456789.123456789]
    path = tmp_path / f"a.{format}"
    with TableWriter(path) as writer:
        writer.write({"y": np.array(values), "n": [1, 2, 3, 4, 5]})
    read = read_table(path).columns
    assert [float(value) for value in read["y"]] == values
    assert [int(value) for value in read["n"]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.1"),
        (np.float64(0.1), "0.1"),
        (np.int64(3), "3"),
        (0.1, "0.1"),
        (math.nan, ""),
        (np.float32("nan"), ""),
        (None, ""),
        (math.inf, "inf"),
        (True, "True"),
        ([1, math.nan], "[1, null]"),
        ("x", "x"),
    ],
)
def test_cell_text(value, text):
    """The repr of a numpy number names its type, which no reader understands."""
    assert cell_text(value) == text


def test_jsonl_writes_nan_as_null(tmp_path):
    """NaN is no JSON."""
    with TableWriter(tmp_path / "a.jsonl") as writer:
        writer.write({"y": np.array([np.nan, 1.0]), "z": [None, [math.inf]]})
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"y": None, "z": None}, {"y": 1.0, "z": [None]}]


def test_gzip_files_are_reproducible(tmp_path):
    """Equal tables give equal bytes, so fingerprints of files mean something."""
    for name in ("a.csv.gz", "b.csv.gz"):
        with TableWriter(tmp_path / name) as writer:
            writer.write({"a": ["x"]})
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == b"a\nx\n"


def test_parquet_types_may_become_known_late(tmp_path):
    """The error column of a prediction is often empty in the first chunks."""
    chunks = [
        {"error": [None, None], "y": [1, 2], "z": [None, None], "never": [None, None]},
        {"error": ["bad", None], "y": [1.5, math.nan], "z": [None, None], "never": [None, None]},
        {"error": [None], "y": [2], "z": [[1]], "never": [None]},
    ]
    with TableWriter(tmp_path / "a.parquet") as writer:
        for chunk in chunks:
            writer.write(chunk)
    assert read_table(tmp_path / "a.parquet").columns == {
        "error": [None, None, "bad", None, None],
        "y": [1.0, 2.0, 1.5, None, 2.0],
        "z": [None, None, None, None, [1]],
        "never": [None] * 5,
    }
    assert names_in(tmp_path) == ["a.parquet"]


@pytest.mark.parametrize("second", [["x", 1], ["x", "y"]])
def test_parquet_refuses_mixed_kinds(tmp_path, second):
    """One column has one type, within a chunk and across chunks."""
    with pytest.raises(DataError, match=r"'a': holds values of different kinds .*\.jsonl"):
        write_chunks(tmp_path / "a.parquet", {"a": [1, 2]}, {"a": second})
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("format", [*TEXT, "parquet"])
def test_nothing_is_left_after_an_exception(tmp_path, format):
    """A file that is there is a whole one; an older one stays as it was."""
    path = tmp_path / f"a.{format}"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_chunks(path, {"smiles": ["C"]}, KeyboardInterrupt())
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == [path.name]


def test_nothing_is_visible_before_the_end(tmp_path):
    """Another program never sees half a file."""
    with TableWriter(tmp_path / "a.csv") as writer:
        writer.write({"a": ["x"] * 10})
        assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "a.csv").exists()


def test_writing_nothing_is_an_error(tmp_path):
    """A table without a header is no table."""
    with pytest.raises(DataError, match="no rows were given"):
        write_chunks(tmp_path / "a.csv")
    assert names_in(tmp_path) == []


def test_header_alone_can_be_written(tmp_path):
    """A chunk of no rows still says which columns there are."""
    with TableWriter(tmp_path / "a.csv") as writer:
        writer.write({"a": [], "b": []})
    assert (tmp_path / "a.csv").read_text() == "a,b\n"


def test_other_columns_later_are_refused(tmp_path):
    """Every chunk has the columns of the first, in order, and they are of one length."""
    with TableWriter(tmp_path / "a.csv") as writer:
        writer.write({"a": [1], "b": [2]})
        with pytest.raises(ShapeError, match="columns b, a after one with a, b"):
            writer.write({"b": [1], "a": [2]})
        with pytest.raises(ShapeError, match="different lengths: {'a': 1, 'b': 2}"):
            writer.write({"a": [1], "b": [2, 3]})


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("a.tsv", {"a": ["x", "y"], "b": ["1", "2\t3"]}, r"row 2, column 'b'.*tab.*'2\\t3'.*csv"),
        ("a.tsv", {"a\n": ["x"]}, "newline"),
        ("a.tsv", {"a": ["\r"], "b": ["1"]}, "row 1, column 'a'"),
        ("a.tsv", {"a": [""]}, "only an empty cell"),
    ],
)
def test_cells_that_a_format_cannot_hold_are_refused(tmp_path, name, columns, message):
    """Better no file than one that reads as something else."""
    with pytest.raises(DataError, match=message):
        write_chunks(tmp_path / name, columns)
    assert names_in(tmp_path) == []


def test_faults_are_found_before_the_work(tmp_path):
    """An hour of prediction may not end in a file that cannot be written."""
    for name in ("a.xls", "a.smi", "a.fasta"):
        match = rf"cannot be written in the extension '.{name[2:]}'.*Write a \.csv"
        with pytest.raises(DataError, match=match):
            TableWriter(tmp_path / name)
    with pytest.raises(DataError, match=r"folder .*out' does not exist.*mkdir -p"):
        TableWriter(tmp_path / "out" / "a.csv")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        TableWriter(tmp_path / "b.csv")
    with pytest.raises(DataError, match="not a regular file"):
        TableWriter("/dev/null", format="csv")


def test_write_needs_the_block(tmp_path):
    """Outside the block there is no file to write to."""
    with pytest.raises(RuntimeError, match="inside its `with` block"):
        TableWriter(tmp_path / "a.csv").write({"a": [1]})


@pytest.mark.parametrize("name", ["lab.csv", "./lab.csv", "link.csv"])
def test_a_file_that_is_read_is_never_replaced(tmp_path, monkeypatch, name):
    """A workbook would lose its other sheets, and a slip of the hand the only copy of the data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.csv").write_text("smiles\nCCO\n")
    (tmp_path / "link.csv").symlink_to("lab.csv")
    with pytest.raises(DataError, match="is read by this command and is not replaced"):
        TableWriter(name, reads=[tmp_path / "lab.csv"])
    TableWriter("new.csv", reads=["lab.csv", "nofile.csv", None])
    assert (tmp_path / "lab.csv").read_text() == "smiles\nCCO\n"
