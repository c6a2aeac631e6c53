"""Tables of spreadsheets and R: read where there is one way to read them, else named."""

import pytest

from taglm_core.data.columns import find_column
from taglm_core.data.readers import read_table
from taglm_core.errors import DataError


def read(folder, name, text):
    """Write a file and return its columns."""
    (folder / name).write_text(text, newline="")
    return read_table(folder / name).columns


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sep.csv", "sep=,\r\nsmiles,Y\r\nCCO,1\r\n"),
        ("sep.csv", '"sep=;"\nsmiles;Y\nCCO;1\n'),
        ("sep.csv", "SEP=\t\nsmiles\tY\nCCO\t1\n"),
        ("empty-columns.csv", "smiles,Y,,\nCCO,1,,\n"),
        ("empty-cells.csv", "smiles,Y\nCCO,1,,\n"),
        ("no-cells.csv", "smiles,Y,,\nCCO,1\n"),
        ("empty-column.tsv", "smiles\tY\t\nCCO\t1\t\n"),
        ("two-marks.csv", "\ufeff\ufeffsmiles,Y\nCCO,1\n"),
        ("invisible.csv", "\u200bsmi\u00adles\u2060,Y\u200b\nCCO,1\n"),
        ("blank-lines.csv", "\n\nsmiles,Y\n\nCCO,1\n\n"),
    ],
)
def test_harmless_habits_of_spreadsheets_are_read(tmp_path, name, text):
    """An empty column at the end is none, and a line `sep=` names the separator."""
    assert read(tmp_path, name, text) == {"smiles": ["CCO"], "Y": ["1"]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "smiles;name\r\nCCO;x\r\n",
            "separated by ';', where ',' .*the line sep=; before",
        ),
        ("a.csv", "smiles;Y\nCCO;1,5\n", "separated by ';'.*decimal point: 1.5 and not 1,5"),
        ("a.csv", "smiles\tY\nCCO\t1,5\n", "separated by a tab.*to end in .tsv"),
        ("a.csv", "smiles|Y\nCCO|1\n", r"separated by '\|'"),
        ("a.csv", '"smiles,Y"\n"CCO,1"\n', "each line as a whole is in quotes"),
        ("a.tsv", "smiles,Y\nCCO,1\n", "separated by ','.*to end in .csv"),
        ("a.tsv", "smiles;Y\nCCO;1,5\n", "separated by ';', where a tab"),
        ("a.tsv", '"smiles"\t"name"\n"CCO"\t"x"\n', r"in quotes \(.smiles.\).*quote = FALSE"),
        ("a.tsv", '"smiles"\t"Y"\n"1"\t"CCO"\t1.5\n', "row.names = FALSE, quote = FALSE"),
        ("a.tsv", "smiles\tY\n1\tCCO\t1.5\n", r"(?s)row 1: 3 cells.*row.names = FALSE"),
        ("a.csv", '"smiles","Y"\n"1","CCO",1\n', r"(?s)row 1: 3 cells.*row.names = FALSE"),
        ("a.csv", "# of 2024\nsmiles,Y\nCCO,1\n", r"(?s)row 1: .*line 1, '# of 2024', is a title"),
        ("a.csv", "\n<!DOCTYPE html><html>\n<body>\n", r"a web page \(HTML\)"),
        ("a.csv", "\n  \n \n", "the file is empty"),
        ("a.csv", "smiles,,,Y\nCCO,1,2,3\n", "the columns 2, 3 have no name"),
        ("a.csv", "smiles,Y,\nCCO,1,x\n", "row 1: 3 cells where the header has 2"),
        ("a.csv", "sep=;\na;b\n1;2\n1;2;3\n", "row 2: 3 cells where the header has 2"),
        ("a.csv", 'sep=;\na;b\n"1"x;2\n', "line 3: cannot be read as csv"),
        ("a.jsonl", '{"a": "\\ud83d"}\n', r"line 1, key 'a': half of a character \(U\+D83D"),
        ("a.jsonl", '{"a": ["x\\uDC00"]}\n', r"line 1, key 'a': half of a character \(U\+DC00"),
        ("a.jsonl", '{"a": 1, "b": ' + "9" * 5000 + "}\n", "line 1, key 'b': .* of 5000 digits"),
        ("a.jsonl", '{"a": ' + "[" * 9999 + "]" * 9999 + "}\n", "line 1: .*nested too deep"),
    ],
)
def test_other_layouts_are_named_with_what_to_do(tmp_path, name, text, message):
    """The file, and where it is one row the row, stands in the message."""
    with pytest.raises(DataError, match=message) as raised:
        read(tmp_path, name, text)
    assert str(tmp_path / name) in str(raised.value)


def test_a_table_of_one_column_may_hold_other_separators(tmp_path):
    """Only a header with a separator that the rows hold too is suspicious."""
    assert read(tmp_path, "a.csv", "text\na;b\n") == {"text": ["a;b"]}
    assert read(tmp_path, "b.csv", "mass|exact\n1.5\n") == {"mass|exact": ["1.5"]}
    assert read(tmp_path, "a.tsv", "en\nyes, but; no\n") == {"en": ["yes, but; no"]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["smiles;Y", " pKd"], "holds several names: cells seem to be separated by ';'"),
        (
            ["smil\u0435s"],
            r"looks like it, but character 5 is .* \(U\+0435 CYRILLIC SMALL LETTER IE",
        ),
        (["CCO", "1.2"], "The first line looks like a row and not like a header"),
        (["name", "\u22121,5"], r"no column for the field 'smiles'.*Columns: name"),
    ],
)
def test_a_missing_column_is_explained(columns, message):
    """Why a column that seems to be there is not found."""
    with pytest.raises(DataError, match=message):
        find_column(columns, "smiles", (), {}, "a.csv")


def test_invisible_characters_do_not_hide_a_column():
    """Headers are compared without them."""
    assert find_column(["\u200bSmiles\u00a0"], "smiles", (), {}, "a.csv") == "\u200bSmiles\u00a0"
