"""Reading tables: every format gives the exact cells, every fault names file, row and fix."""

import gzip
import json

import pytest

from taglm_core.data.readers import iter_tables, read_table
from taglm_core.data.table import Table
from taglm_core.errors import DataError, ShapeError


def write(path, text, compress=False, encoding="utf-8"):
    """Write a test file and return its path."""
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if compress else data)
    return path


TEXTS = {
    "csv": 'smiles,Y\nCCO,1.50\n"C,C",\n',
    "tsv": "smiles\tY\nCCO\t1.50\nC,C\t\n",
    "jsonl": '{"smiles": "CCO", "Y": "1.50"}\n{"smiles": "C,C", "Y": ""}\n',
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("format", sorted(TEXTS))
def test_text_formats_keep_every_cell_exactly(tmp_path, format, compress, bom, end):
    """Writing back must be loss-free, so "1.50" may not become 1.5."""
    text = bom + TEXTS[format].replace("\n", end)
    path = write(tmp_path / f"a.{format}{'.gz' if compress else ''}", text, compress)
    table = read_table(path)
    assert table.columns == {"smiles": ["CCO", "C,C"], "Y": ["1.50", ""]}
    assert table.rows == [1, 2]
    assert table.source == str(path)


@pytest.mark.parametrize("format", sorted(TEXTS))
def test_chunks_count_rows_on(tmp_path, format):
    """Predict reads in chunks, and its messages still name the row of the file."""
    path = write(tmp_path / f"a.{format}", TEXTS[format])
    chunks = list(iter_tables(path, chunk_rows=1))
    assert [chunk.rows for chunk in chunks] == [[1], [2]]
    assert [chunk.columns["smiles"] for chunk in chunks] == [["CCO"], ["C,C"]]


def test_csv_reads_quoted_newlines(tmp_path):
    """A quoted cell may hold line ends of either kind."""
    path = write(tmp_path / "a.csv", 'a,b\r\n"1\r\n2","x ""y"""\r\n')
    assert read_table(path).columns == {"a": ["1\r\n2"], "b": ['x "y"']}


def test_tsv_has_no_quoting(tmp_path):
    """Quotes in translations are text, and so are the line separators of Unicode."""
    path = write(tmp_path / "a.tsv", 'en\tfr\n"Hi" he said\t"\nu\u2028v\tw\x85\n')
    table = read_table(path)
    assert table.columns == {"en": ['"Hi" he said', "u\u2028v"], "fr": ['"', "w\x85"]}


def test_jsonl_keeps_native_values_and_fills_missing_keys(tmp_path):
    """The columns are the keys of all lines."""
    path = write(tmp_path / "a.jsonl", '{"a": 1}\n\n{"b": [1.5, null], "a": null}\n')
    assert read_table(path).columns == {"a": [1, None], "b": [None, [1.5, None]]}


def test_parquet_keeps_native_values(tmp_path):
    """Numbers stay numbers, missing values None, over several row groups and chunks."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = pa.table({"s": ["a", None, "c"], "y": [1.5, 2.0, None], "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    expected = {"s": ["a", None, "c"], "y": [1.5, 2.0, None], "n": [1, 2, 3]}
    assert read_table(tmp_path / "a.parquet").columns == expected
    chunks = list(iter_tables(tmp_path / "a.parquet", chunk_rows=2))
    assert [chunk.rows for chunk in chunks] == [[1, 2], [3]]


def test_format_can_be_named(tmp_path):
    """A file with an odd extension is read as what the user says it is."""
    path = write(tmp_path / "a.dat", TEXTS["tsv"])
    assert read_table(path, format="tsv").num_rows == 2
    packed = write(tmp_path / "b.dat", TEXTS["csv"], compress=True)
    assert read_table(packed, format="csv.gz").num_rows == 2
    packed.rename(tmp_path / "b.dat.gz")
    assert read_table(tmp_path / "b.dat.gz", format="csv").num_rows == 2


def test_blank_lines_of_one_column_are_empty_cells(tmp_path):
    """Dropping them would shift every row after them; at the end they are nothing."""
    path = write(tmp_path / "a.csv", "smiles\nC\n\nCC\n\n\n")
    assert read_table(path).columns == {"smiles": ["C", "", "CC"]}


def test_blank_lines_of_several_columns_are_counted(tmp_path, caplog):
    """They are no rows, and a warning says that they were there."""
    path = write(tmp_path / "a.csv", "a,b\n1,2\n\n3,4\n\n")
    table = read_table(path)
    assert table.columns == {"a": ["1", "3"], "b": ["2", "4"]}
    assert table.rows == [1, 2]
    assert "skipped 1 blank line between" in caplog.text


FAULTS = {
    "a.csv": [
        ("", "the file is empty"),
        ("\ufeff\n\n", "the file is empty"),
        ("a,b\n", r"header but no row below it \(0 rows\)"),
        ("a,b,a\n1,2,3\n", r"'a' occurs 2 times \(columns 1, 3\)"),
        ("a,b\n1,2\n3\n", "row 2: 1 cell where the header has 2: 3"),
        ("a,b\n1,2,3\n", r"(?s)row 1: 3 cells where the header has 2.*comma.*quotes"),
        ('a,b\n1,2\n"3,4\n', "line 3: cannot be read as csv: unexpected end of data"),
        ('a,b\n"1"x,2\n', "line 2: cannot be read as csv"),
    ],
    "a.tsv": [("", "is empty"), ("a\tb\n1\n", "row 1: 1 cell where"), ("a\n", "0 rows")],
    "a.smi": [("", "is empty"), ("smiles name\n", "0 rows")],
    "a.jsonl": [
        ("", "is empty"),
        ("{}\n", "is empty"),
        ('{"a": 1}\n{"a": \n', "line 2: not valid JSON: .* at character"),
        ("[1]\n", r"line 1: a JSON object \{\.\.\.\} was expected, not list \[1\]"),
        ('{"a": 1, "a": 2}\n', "line 1: duplicate key 'a'"),
    ],
    "a.parquet": [("PAR1 nothing", "not a readable parquet file"), ("", "not a readable parquet")],
}


@pytest.mark.parametrize(
    ("name", "text", "message"), [(n, *fault) for n, faults in FAULTS.items() for fault in faults]
)
def test_faulty_files_are_explained(tmp_path, name, text, message):
    """The message names the file and what is wrong in it."""
    path = write(tmp_path / name, text)
    with pytest.raises(DataError, match=message) as raised:
        read_table(path)
    assert str(path) in str(raised.value)


def test_parquet_without_rows_is_an_error(tmp_path):
    """A table without rows is never what was meant."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="0 rows"):
        read_table(tmp_path / "a.parquet")


def test_missing_file_offers_the_nearest_name(tmp_path):
    """A typing error in a file name is the commonest fault."""
    write(tmp_path / "esol.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"no such file.* Did you mean 'esol.csv'\?"):
        iter_tables(tmp_path / "esoll.csv")
    with pytest.raises(DataError, match="the folder .*nowhere' does not exist"):
        iter_tables(tmp_path / "nowhere" / "a.csv")


def test_folder_is_not_a_file(tmp_path):
    """The message names a file inside."""
    write(tmp_path / "esol.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"is a folder; name a file in it, such as .*esol\.csv"):
        read_table(tmp_path)


@pytest.mark.parametrize("name", ["a.xls", "a", "a.gz", "csv"])
def test_unknown_extension_lists_the_known(tmp_path, name):
    """It is found before anything is read."""
    path = write(tmp_path / name, "a\n1\n")
    with pytest.raises(
        DataError,
        match=r"Known: \.csv, \.tsv, \.jsonl, \.parquet.*(Rename the file|as csv\.)",
    ):
        iter_tables(path)


def test_unknown_format_offers_the_nearest(tmp_path):
    """`--format jsnl` is a typing error."""
    path = write(tmp_path / "a.txt", "a\n1\n")
    with pytest.raises(DataError, match=r"unknown format 'jsnl'. Did you mean 'jsonl'\?"):
        iter_tables(path, format="jsnl")
    with pytest.raises(DataError, match="parquet files are compressed already"):
        iter_tables(path, format="parquet.gz")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv.gz", "a.jsonl"])
def test_bytes_that_are_not_utf8_are_located(tmp_path, name):
    """Line, byte and the command that fixes it are named."""
    text = '{"a": "x"}\n{"a": "é"}\n' if "json" in name else "a\nx\né\n"
    path = write(tmp_path / name, text, name.endswith(".gz"), encoding="latin1")
    with pytest.raises(DataError, match=r"line \d, byte \d+: 0xe9 is not UTF-8.*iconv"):
        read_table(path)


def test_utf16_is_named(tmp_path):
    """Spreadsheets write it as "Unicode text"."""
    path = write(tmp_path / "a.csv", "a,b\n1,2\n", encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16"):
        read_table(path)


def test_gzip_faults_are_explained(tmp_path):
    """A file cut short, one that is not compressed and one with the wrong name differ."""
    data = gzip.compress(b"a\n" + b"".join(b"%d\n" % i for i in range(5000)))
    (tmp_path / "cut.csv.gz").write_bytes(data[: len(data) // 2])
    (tmp_path / "plain.csv.gz").write_bytes(b"a\n1\n")
    (tmp_path / "wrong.csv").write_bytes(data)
    for name in ("cut.csv.gz", "plain.csv.gz"):
        with pytest.raises(DataError, match=f"{name}: the gzip compression is broken"):
            read_table(tmp_path / name)
    assert read_table(tmp_path / "wrong.csv").num_rows == 5000  # its first bytes tell


def test_long_cells_are_read(tmp_path):
    """The csv module's own limit is shorter than some proteins' genes."""
    path = write(tmp_path / "a.csv", "a,b\n" + "C" * 200_000 + ",1\n")
    assert len(read_table(path).columns["a"][0]) == 200_000


def test_select_keeps_row_numbers():
    """Messages about chosen rows must name the rows of the file."""
    table = Table(columns={"a": ["x", "y", "z"]}, rows=[1, 2, 3], source="t.csv")
    chosen = table.select([2, 0])
    assert chosen.columns == {"a": ["z", "x"]}
    assert chosen.rows == [3, 1]
    assert table.num_rows == 3


def test_unknown_column_offers_the_nearest():
    """The message lists what there is."""
    table = Table(columns={"smiles": ["C"]}, rows=[1], source="t.csv")
    assert table.column("smiles") == ["C"]
    with pytest.raises(DataError, match=r"t.csv: no column 'smile'. Did you mean 'smiles'\?"):
        table.column("smile")


def test_columns_of_unequal_length_are_refused():
    """A table is rectangular."""
    with pytest.raises(ShapeError, match="column 'b' has 1 values for 2 rows"):
        Table(columns={"a": [1, 2], "b": [1]}, rows=[1, 2], source="t")


def test_jsonl_of_odd_text(tmp_path):
    """Line separators of Unicode inside a string do not end the line."""
    path = tmp_path / "a.jsonl"
    write(path, json.dumps({"a": "x\u2028y\x85"}, ensure_ascii=False) + "\n")
    assert read_table(path).columns == {"a": ["x\u2028y\x85"]}


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.csv", "a,b\n1,2\n\n3,4\n", [2, 4]),
        ("a.csv", 'sep=;\na;b\n1;"x\ny"\n3;4\n', [3, 5]),
        ("a.csv", "a\n1\n\n3\n", [2, 3, 4]),
        ("a.tsv", "\na\tb\n1\t2\n\n3\t4\n", [3, 5]),
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}\n', [1, 3]),
    ],
)
def test_rows_know_their_line_in_the_file(tmp_path, name, text, lines):
    """The line is what an editor shows, however the table is read."""
    path = write(tmp_path / name, text)
    assert read_table(path).lines == lines
    chunks = list(iter_tables(path, chunk_rows=1))
    assert [line for chunk in chunks for line in chunk.lines] == lines
    assert read_table(path).select([len(lines) - 1]).lines == lines[-1:]


def test_text_that_parquet_holds_as_bytes(tmp_path):
    """A cell would be read as b'CCO', and written so beside its prediction."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"a": pa.array([b"CCO", None, "\u00e9".encode()])}), tmp_path / "a.parquet"
    )
    assert read_table(tmp_path / "a.parquet").columns == {"a": ["CCO", None, "\u00e9"]}
    pq.write_table(pa.table({"a": pa.array([b"CCO", b"\xff"])}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column 'a' holds bytes that are not UTF-8 text"):
        read_table(tmp_path / "a.parquet")
