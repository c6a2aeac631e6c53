"""Excel workbooks are read and written like any other table."""

import datetime
import logging
import sys

import pytest

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
