"""Excel workbooks are read and written like any other table."""

import datetime
import logging
import sys

import pytest

from taglm_core.data.memory import as_table
from taglm_core.data.readers import iter_tables, read_table
from taglm_core.data.writers import TableWriter, write_table
from taglm_core.errors import DataError

openpyxl = pytest.importorskip("openpyxl")


def workbook(path, *sheets):
    """Write a workbook, one list of rows a sheet."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for i, rows in enumerate(sheets):
        sheet = book.create_sheet(f"sheet {i}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_numbers_stay_numbers_and_lines_are_those_of_the_sheet(tmp_path, caplog):
    """A row is found again by the number that the spreadsheet shows at its left."""
    day = datetime.datetime(2024, 3, 1)
    path = workbook(
        tmp_path / "a.xlsx",
        [[None], ["ID", "smiles", "value", None], ["x1", "CCO", 1.5], [], ["x2", "C", None, None]],
    )
    table = read_table(path)
    assert table.columns == {"ID": ["x1", "x2"], "smiles": ["CCO", "C"], "value": [1.5, None]}
    assert (table.rows, table.lines) == ([1, 2], [3, 5])
    assert "skipped 1 blank line between" in caplog.text
    dated = workbook(tmp_path / "b.xlsx", [["when"], [day], [None], [3]], [["other"], [1]])
    with caplog.at_level(logging.WARNING):
        assert read_table(dated).columns == {"when": ["2024-03-01", None, 3]}
    assert "the first sheet, 'sheet 0', is read, not 'sheet 1'" in caplog.text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the file is empty"),
        ([["a", "b"]], r"no row below it \(0 rows\)"),
        ([["a", "a"], [1, 2]], "'a' occurs 2 times"),
        ([["a"], [1], [2, "note"]], "line 3: .* has 1: 'note' is .* give its column a name.$"),
        ([["Table 1"], [], ["a", "b"], [1, 2]], "line 3: .*line 1, 'Table 1', is a title"),
    ],
)
def test_faults_of_a_sheet_are_named(tmp_path, rows, message):
    """Nothing beside the table is dropped in silence."""
    with pytest.raises(DataError, match=message):
        read_table(workbook(tmp_path / "a.xlsx", rows))


@pytest.mark.parametrize(
    ("sheet", "value"),
    [("sheet 1", 1), ("SHEET 1 ", 1), ("2", 1), ("1", 0), ("sheet 0", 0), ("3", 2)],
)
def test_a_sheet_is_chosen_by_name_or_number(tmp_path, caplog, sheet, value):
    """A name wins over a number, and nothing is said of the others."""
    path = workbook(tmp_path / "a.xlsx", *([["a"], [i]] for i in range(3)))
    assert read_table(path, sheet=sheet).columns == {"a": [value]}
    assert caplog.text == ""


@pytest.mark.parametrize("sheet", ["Sheet", "4", "0", ""])
def test_an_unknown_sheet_lists_those_there_are(tmp_path, sheet):
    """With the numbers by which they can be asked for."""
    path = workbook(tmp_path / "a.xlsx", [["a"], [1]], [["a"], [2]])
    with pytest.raises(DataError, match=r"no sheet '.*'\..* Sheets: 1 'sheet 0', 2 'sheet 1'\."):
        read_table(path, sheet=sheet)


def test_only_workbooks_have_sheets(tmp_path):
    """An option without an effect would hide a mistake."""
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(
        DataError, match="a.csv: sheet '2' was asked for, but the file is not a workbook"
    ):
        read_table(tmp_path / "a.csv", sheet="2")
    with pytest.raises(DataError, match="but rows were given. Name a workbook"):
        as_table({"a": [1]}, sheet="2")


def test_no_workbook(tmp_path):
    """A csv file with the wrong ending says so."""
    (tmp_path / "a.xlsx").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"not a readable Excel workbook.*Save it again as \.xlsx"):
        read_table(tmp_path / "a.xlsx")


def test_what_is_written_is_read_again(tmp_path):
    """Text that begins with an equals sign is no formula; large numbers keep their digits."""
    columns = {
        "smiles": ["CCO", "=C", None],
        "value": [0.1, float("nan"), -3.0],
        "id": [1, 2**60, 3],
        "ok": [True, False, None],
    }
    with TableWriter(tmp_path / "a.xlsx") as writer:
        for i in range(3):
            writer.write({name: cells[i : i + 1] for name, cells in columns.items()})
    (table,) = iter_tables(tmp_path / "a.xlsx")
    assert table.columns == {
        "smiles": ["CCO", "=C", None],
        "value": [0.1, None, -3],
        "id": [1, str(2**60), 3],
        "ok": [True, False, None],
    }
    assert table.lines == [2, 3, 4]


@pytest.mark.parametrize(
    ("cell", "message"), [("x" * 32_768, "32,767 characters"), ("a\x01b", "control character")]
)
def test_cells_that_a_sheet_cannot_hold(tmp_path, cell, message):
    """Openpyxl would cut a long text in silence."""
    with pytest.raises(DataError, match=rf"row 1, column 'a': .*{message}"):
        write_table(tmp_path / "a.xlsx", {"a": [cell]})
    assert list(tmp_path.iterdir()) == []


def test_without_openpyxl(tmp_path, monkeypatch):
    """The message says what to install, before any work is done."""
    path = workbook(tmp_path / "a.xlsx", [["a"], [1]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    for use in (lambda: read_table(path), lambda: TableWriter(tmp_path / "out.xlsx")):
        with pytest.raises(DataError, match=r"pip install 'taglm\[excel\]'"):
            use()
