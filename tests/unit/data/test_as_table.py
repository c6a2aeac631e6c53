"""Rows in memory: every form becomes the same table, and what cannot be one is named."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow
import pytest

from taglm_core.data.memory import as_output, as_table, check_output
from taglm_core.errors import ConfigError, DataError

ROWS = ["CCO", None, "c1ccccc1"]


def forms(tmp_path):
    """Return the same three rows in every accepted form."""
    import datasets

    file = tmp_path / "rows.csv"
    file.write_text('smiles\nCCO\n""\nc1ccccc1\n')
    columns = {"smiles": ROWS}
    return {
        "frame": pd.DataFrame(columns),
        "object frame": pd.DataFrame(columns, dtype=object),
        "series": pd.Series(ROWS),
        "dict": columns,
        "dict of arrays": {"smiles": np.array(ROWS, dtype=object)},
        "list": ROWS,
        "tuple": tuple(ROWS),
        "array": np.array(ROWS, dtype=object),
        "dataset": datasets.Dataset.from_dict(columns),
        "arrow": pyarrow.table(columns),
        "path": file,
        "text of a path": str(file),
    }


def test_every_form_is_the_same_table(tmp_path):
    """A caller need not convert."""
    for name, data in forms(tmp_path).items():
        table = as_table(data, ["smiles"]).table
        found = [cell or None for cell in table.columns["smiles"]]
        assert (found, table.rows) == (ROWS, [1, 2, 3]), name


def test_the_index_is_kept():
    """Results join the frame that was given."""
    frame = pd.DataFrame({"smiles": ["C", "N"]}, index=["a", "b"])
    assert list(as_table(frame).index) == ["a", "b"]
    assert list(as_table(frame["smiles"], ["smiles"]).index) == ["a", "b"]


def test_cells_are_plain_values():
    """Numpy and pandas values are what a file would give; missing ones are None."""
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None], dtype="Int64"),
            "number": [1.5, float("nan")],
            "day": [pd.Timestamp("2020-01-31"), pd.NaT],
            "kind": pd.Categorical(["a", None]),
        }
    )
    columns = as_table(frame).table.columns
    assert columns == {
        "whole": [1, None],
        "number": [1.5, None],
        "day": ["2020-01-31", None],
        "kind": ["a", None],
    }
    assert [type(row[0]) for row in columns.values()] == [int, float, str, str]
    dates = {"day": [datetime.date(2020, 1, 31)], "n": np.array([1], dtype=np.int64)}
    assert as_table(dates).table.columns == {"day": ["2020-01-31"], "n": [1]}


def test_missing_values_of_every_library_are_missing():
    """A list holds what a Series would turn into a missing value; bytes are text."""
    values = ["CCO", pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("NaN"), np.float32("nan"), b"CN"]
    found = as_table(values, ("smiles",)).table.columns["smiles"]
    assert found == ["CCO", None, None, None, None, None, "CN"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("CCO", r"no such file\. Give a single row as a list: \['CCO'\]"),
        (["C", ["N"]], "the list holds list"),
        ({"smiles": "CCO"}, "smiles: give a list of values, not 'CCO'"),
        ({"smiles": ["C"], "y": [1, 2]}, "different lengths"),
        ({"smiles": np.zeros((2, 2))}, "one dimension"),
        ({"CCO"}, "give a list of values, not {'CCO'}"),
        ([b"\xff"], "no text in UTF-8"),
        (3, "give a list of values, not 3"),
        (pd.DataFrame([["C", "N"]], columns=["x", "x"]), "2 columns named 'x'"),
    ],
)
def test_what_is_no_table_is_named(data, message):
    """One message, no traceback of a library."""
    with pytest.raises(DataError, match=message):
        as_table(data, ["smiles"])


def test_a_list_fills_one_column_only():
    """Which of several fields a list means is not guessed."""
    with pytest.raises(DataError, match="task BA needs smiles, sequence"):
        as_table(["CCO"], ["smiles", "sequence"], "task BA")


def test_a_dataset_dict_is_not_guessed():
    """Its splits are named."""
    import datasets

    one = datasets.Dataset.from_dict({"smiles": ["C"]})
    with pytest.raises(DataError, match="several tables \\(train, test\\)"):
        as_table(datasets.DatasetDict({"train": one, "test": one}), ["smiles"])


def test_outputs():
    """Every form holds the same cells."""
    columns = {"y": [1.5, None], "error": [None, "bad"]}
    frame = as_output(columns, "pandas", pd.Index(["a", "b"]))
    assert frame["y"].dtype == float
    assert list(frame.index) == ["a", "b"]
    assert list(frame["error"].isna()) == [True, False]
    assert as_output(columns, "dict") == columns
    assert as_output(columns, "arrow").to_pydict() == columns
    with pytest.raises(ConfigError, match="Did you mean 'pandas'"):
        check_output("panda")


def test_an_arrow_table_has_the_same_types_with_and_without_errors():
    """Tables of several predictions can be put together; empty ones too."""
    good = as_output({"y": [1.0], "error": [None]}, "arrow")
    bad = as_output({"y": [2.0], "error": ["empty"]}, "arrow")
    assert good.schema == bad.schema
    assert pyarrow.concat_tables([good, bad])["error"].to_pylist() == [None, "empty"]
